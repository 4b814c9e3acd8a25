"""What people may do with a chat; knows no Slack, no HTTP. Each use is one short transaction and a wake-up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bot.answers.events import EventPublisher
from bot.chats.attachments.rules import only_unusable_files
from bot.chats.messages import (
    HandleResult,
    IncomingMessage,
    ModelChoiceOutcome,
    ModelChosen,
    Outcome,
)
from bot.chats.models import ModelChoice
from bot.domain import Answer, Chat, ModelInfo, ModelRef, SharedFile, Thread, TitleBy, User
from bot.errors import ChatNotFound, LimitReached
from storage.answers import Answers
from storage.chat_requests import ChatRequest, ChatRequests
from storage.chats import ChatPage, Chats, NewMessage, StoredMessage
from storage.people import People, Profile

CHATS_PAGE_SIZE = 10
"""Chats on one page of a list."""


class ChatService:
    """The use cases. All raise StorageError when the database fails: then nothing was stored."""

    def __init__(
        self,
        *,
        chats: Chats,
        answers: Answers,
        requests: ChatRequests,
        people: People,
        models: ModelChoice,
        publisher: EventPublisher,
        wake: Callable[[str], None],
        limit: int,
    ) -> None:
        self._chats, self._answers, self._requests, self._people = chats, answers, requests, people
        self._publisher, self._wake = publisher, wake
        self.models = models
        self.limit = limit

    # -- what people say ---------------------------------------------------------------------------------------

    async def hear(self, said: IncomingMessage) -> HandleResult:
        """Takes one message from Slack, however often it is delivered."""
        if said.in_thread:
            chat, asked = await self._chats.chat_and_open_request(said.thread, said.user)
            if chat is not None:
                return await self._continue(chat, said)
            if asked and (filled := await self._fill(said)):
                return filled
        if not said.addressed:
            return HandleResult(Outcome.IGNORED)
        if only_unusable_files(said.text, said.files):
            return HandleResult(Outcome.UNREADABLE)
        request, new = await self._requests.create(
            thread=said.thread,
            ts=said.ts,
            user=said.user,
            user_team=said.user_team,
            text=said.text or None,
            files=said.files,
        )
        return HandleResult(Outcome.ASKED if new else Outcome.IGNORED, request=request)

    async def _continue(self, chat: Chat, said: IncomingMessage) -> HandleResult:
        if said.to_others or not (said.text or said.files):
            return HandleResult(Outcome.IGNORED)
        if refused := self._unusable(said, chat.model):
            return refused
        if said.text.strip().rstrip(".!").lower() == "stop" and await self.stop(chat.id, said.ts):
            return HandleResult(Outcome.STOPPED)
        message = NewMessage(
            text=said.text,
            author=said.user,
            author_team=said.user_team,
            source=said.ts,
            ts=said.ts,
            files=said.files,
        )
        try:
            stored = await self._chats.add_message(chat.id, message, limit=self.limit)
        except LimitReached:
            return HandleResult(Outcome.FULL)
        if stored.duplicate:
            return HandleResult(Outcome.IGNORED, said=stored)
        self._publisher.message_added(stored)
        self._wake(chat.id)
        return HandleResult(Outcome.SAID, said=stored)

    async def _fill(self, said: IncomingMessage) -> HandleResult | None:
        """The first reply of somebody who mentioned Bobbin without a word is the question."""
        request = await self._requests.find_open(said.thread, said.user)
        if request is None or said.to_others:
            return None
        if request.source == said.ts or request.ts == said.ts:
            if said.files:  # one of Slack's two events for a mention may not have told of them
                await self._requests.add_files(request.id, "", said.files)
            return HandleResult(Outcome.IGNORED)
        if not (said.text or said.files):
            return None
        if refused := self._unusable(said, request.model):
            return refused
        if request.text is not None:
            return await self._add(request, said)
        filled = await self._requests.set_text(
            request.id, text=said.text, source=said.ts, files=said.files
        )
        if filled is None or filled.model is None:
            return HandleResult(Outcome.IGNORED, request=filled)
        return HandleResult(
            Outcome.SAID, request=filled, said=await self._start(filled, filled.model)
        )

    async def _add(self, request: ChatRequest, said: IncomingMessage) -> HandleResult | None:
        """Files that follow a question, before a model is chosen, belong to it."""
        if not said.files:
            return None
        return HandleResult(
            Outcome.ADDED, request=await self._requests.add_files(request.id, said.text, said.files)
        )

    def _unusable(self, said: IncomingMessage, model: ModelRef | None) -> HandleResult | None:
        if only_unusable_files(said.text, said.files):
            return HandleResult(Outcome.UNREADABLE)
        if model is not None and only_unusable_files(
            said.text, said.files, sees=self.models.can_see(model)
        ):
            return HandleResult(Outcome.UNSEEN, model=model)
        return None

    # -- choosing a model --------------------------------------------------------------------------------------

    async def question(self, request_id: str) -> ChatRequest:
        """Raises ChatNotFound."""
        return await self._requests.get(request_id)

    async def choose(
        self, request_id: str, user: str, key: str, menu_ts: str | None = None
    ) -> ModelChosen:
        """A person picks a model in the menu. Raises ChatNotFound, ModelNotAllowed, LimitReached."""
        request = await self._requests.get(request_id)
        if request.menu_ts is None and menu_ts:  # the click came before Slack's answer to our post
            request = await self._requests.set_menu(request_id, menu_ts)
        if request.user != user:
            return ModelChosen(ModelChoiceOutcome.NOT_YOURS, request)
        if not request.open:
            return ModelChosen(ModelChoiceOutcome.ALREADY, request)
        model = self.models.by_key(key).ref
        asked = bool(request.text or request.files)
        if (
            request.needs_context
            and asked
            and not only_unusable_files(
                request.text or "", request.files, sees=self.models.can_see(model)
            )
        ):
            return ModelChosen(
                ModelChoiceOutcome.KEPT, await self._requests.set_model(request.id, model)
            )
        return await self.choose_model(request, model)

    async def choose_model(self, request: ChatRequest, model: ModelRef) -> ModelChosen:
        """Starts the chat when the question has its text, else keeps the choice until it has."""
        if request.open and only_unusable_files(
            request.text or "", request.files, sees=self.models.can_see(model)
        ):
            return ModelChosen(ModelChoiceOutcome.CANNOT_SEE, request)
        chosen = await self._requests.set_model(request.id, model)
        if chosen.open and chosen.text is None and not chosen.files:
            return ModelChosen(ModelChoiceOutcome.NEEDS_TEXT, chosen)
        others = [
            other for other in await self._requests.others_without_model(chosen) if chosen.open
        ]
        for other in (
            others
        ):  # all of them before any starts, so that none is forgotten if this process dies
            await self._requests.set_model(other.id, model)
        said = await self._start(chosen, model)
        also = [
            more
            for other in others
            if (more := await self._start_if_room(other, model)) is not None
        ]
        return ModelChosen(
            ModelChoiceOutcome.ALREADY if said.duplicate else ModelChoiceOutcome.STARTED,
            chosen,
            said,
            tuple(also),
        )

    async def _start_if_room(self, request: ChatRequest, model: ModelRef) -> StoredMessage | None:
        try:
            return await self._start(replace(request, context_files=()), model)
        except LimitReached:
            await self._requests.close(request.id)
            return None

    async def join(self, request: ChatRequest) -> ModelChosen | None:
        """What the person said before choosing a model for what they had said first.

        Said in the chat if the thread has one by now; else, with no `said`, the earlier question whose menu stands for
        both. None when this is the first one. Raises LimitReached.
        """
        if request.source is None:  # nothing is asked yet, or it is in no message of its own
            return None
        chat = await self._chats.find_by_thread(request.thread)
        if chat is not None:
            said = await self._start(replace(request, context_files=()), chat.model)
            return ModelChosen(
                ModelChoiceOutcome.ALREADY if said.duplicate else ModelChoiceOutcome.STARTED,
                request,
                said,
            )
        earlier = [
            other
            for other in await self._requests.others_without_model(request)
            if other.id < request.id
        ]
        return ModelChosen(ModelChoiceOutcome.ALREADY, earlier[0]) if earlier else None

    async def _start(self, request: ChatRequest, model: ModelRef) -> StoredMessage:
        user = User(request.thread.team, request.user)
        said = await self._chats.start(
            team=request.thread.team,
            owner=request.user,
            model=model,
            thread=request.thread,
            context=request.context,
            header_ts=request.menu_ts,
            question_id=request.id,
            limit=self.limit,
            message=NewMessage(
                text=request.text or "",
                author=request.user,
                author_team=request.user_team,
                source=request.source or request.ts,
                ts=request.source or request.ts,
                files=(*request.files, *request.context_files),
            ),
        )
        if not said.duplicate:
            self._publisher.message_added(said)
            await self._people.set_last_model(user, model)
        self._wake(said.chat.id)
        return said

    async def ask_in_dialog(
        self,
        thread: Thread,
        dialog: str,
        user: str,
        text: str,
        key: str | None,
        *,
        user_team: str | None = None,
        files: tuple[SharedFile, ...] = (),
    ) -> tuple[ChatRequest, bool]:
        """Keeps what a person submitted in a dialog (its id is `dialog`); False beside it when it is known already.

        `thread` is where the chat is wanted: its thread is empty where a new one is, and without a `key` for the model
        the thread has a chat already. Raises ModelNotAllowed, ChatNotFound, LimitReached.
        """
        chat = await self._chats.find_by_thread(thread) if thread.ts else None
        if chat is None and key is None:
            raise ChatNotFound("no chat there yet, and no model")
        if chat is not None and self.left(chat) < 2:
            raise LimitReached(chat.id)
        model = chat.model if chat is not None else self.models.by_key(key or "").ref
        return await self._requests.create(
            thread=thread,
            ts=dialog,
            user=user,
            user_team=user_team,
            text=text,
            files=files,
            model=model,
            in_dialog=True,
        )

    # -- what a person prefers ---------------------------------------------------------------------------------

    async def profile(self, user: User) -> Profile:
        return await self._people.get(user)

    async def always(self, request: ChatRequest) -> ModelInfo | None:
        """The model of a person who wants no menu; none where it could not see what is asked about."""
        own = self.models.always_model(
            await self._people.get(User(request.thread.team, request.user))
        )
        if own is not None and only_unusable_files(
            request.text or "", request.files, sees=own.vision
        ):
            return None
        return own

    async def prefer(self, user: User, key: str) -> None:
        """The person's own model from now on. Raises ModelNotAllowed."""
        await self._people.set_default(user, self.models.by_key(key).ref)

    async def prefer_always(self, user: User, always: bool) -> None:
        """Whether the person's own model, the one preselected if none was chosen, answers without a menu."""
        profile = await self._people.get(user)
        shown = self.models.preselected_for(profile)
        model = profile.default_model if shown is None or not always else shown.ref
        always = always and model is not None
        await self._people.set_always(user, always, known=profile.default_model, model=model)

    async def skipped_menu(self, chat: Chat) -> bool:
        """Whether this chat has just begun with its owner's own model, who was not asked for another one."""
        if chat.message_count > 2:
            return False
        profile = await self._people.get(User(chat.team, chat.owner))
        always = profile.always and profile.default_model == chat.model
        return always and not await self._requests.started_in_dialog(chat.id)

    # -- the answer --------------------------------------------------------------------------------------------

    async def stop(self, chat_id: str, source: str | None = None) -> bool:
        """Ends the answer that is being written, in whichever process; False when none is.

        `source`: the message that asks for it; delivered again it stops nothing more, and is True still.
        """
        answer = await self._answers.request_stop(chat_id, source)
        if answer is None:
            return False
        self._publisher.request_stop(answer.id)
        return True

    async def retry(self, answer_id: str) -> Answer | None:
        """Answers the same message again in the same place; None when somebody else was quicker."""
        answer = await self._answers.retry(answer_id)
        if answer is not None:
            self._wake(answer.chat_id)
        return answer

    async def retry_with(self, answer_id: str, key: str) -> Answer | None:
        """The chat's model is gone: go on with another one, and answer the same message with it.

        None when the answer did not fail for that reason, or somebody else was quicker. Raises ModelNotAllowed.
        """
        answer = await self._answers.retry(answer_id, self.models.by_key(key).ref)
        if answer is not None:
            self._wake(answer.chat_id)
        return answer

    async def rate(self, answer_id: str, user: User, value: int) -> None:
        await self._people.set_feedback(answer_id, user, value)

    # -- chats -------------------------------------------------------------------------------------------------

    async def at(self, thread: Thread) -> Chat | None:
        return await self._chats.find_by_thread(thread)

    async def get(self, chat_id: str) -> Chat:
        """Raises ChatNotFound."""
        return await self._chats.get(chat_id)

    async def rename(self, thread: Thread, title: str) -> Chat | None:
        """A person gave the chat a title, which no model replaces; None where no chat stands."""
        chat = await self._chats.find_by_thread(thread)
        if chat is None or not await self._chats.set_title(chat.id, title, TitleBy.PERSON):
            return None
        self._publisher.title_changed(chat, title)
        return await self._chats.get(chat.id)

    async def any_in(self, team: str, channel: str) -> bool:
        """Whether some chat stands in this channel."""
        return await self._chats.any_in_channel(team, channel)

    async def move_channel(self, team: str, old: str, new: str) -> None:
        """Slack gave a channel another id."""
        await self._chats.move_channel(team, old, new)

    async def respell(self, said: IncomingMessage, text: str) -> None:
        """What was said is spelt with people's names, which were not known when it was stored."""
        await self._chats.replace_text(said.thread, said.ts, said.text, text)

    async def get_for(self, user: User, chat_id: str) -> Chat:
        """The chat, if this person may see it. Raises ChatNotFound."""
        return await self._chats.get_for(user, chat_id)

    async def list_for(
        self, user: User, *, cursor: str | None, words: str, newer: bool
    ) -> ChatPage:
        """One page of the person's own chats, newest first: the one after the cursor, or with `newer` before it."""
        return await self._chats.list_for(
            user, limit=CHATS_PAGE_SIZE, cursor=cursor, words=words or None, newer=newer
        )

    async def set_away(self, user: User, channel: str, away: bool) -> None:
        """The person has left a private channel, so that its chats are not theirs to see; or is back."""
        await self._chats.set_away(user, channel, away)

    def left(self, chat: Chat) -> int:
        """Messages that the chat may still hold."""
        return max(0, self.limit - chat.message_count)

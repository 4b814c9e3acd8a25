"""What people may do with a chat. Independent of Slack and HTTP; each use case is one short transaction and a
wake-up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bot.answers.events import EventPublisher
from bot.chats.announcing import Announce
from bot.chats.chat_request_service import ChatRequestService, refusal_of
from bot.chats.messages import HandleResult, IncomingMessage, Outcome
from bot.chats.models import ModelChoice
from bot.domain import Answer, Chat, Thread, TitleBy, User
from bot.domain.model_options import Effort
from bot.errors import ContextTooLong, LimitReached
from bot.languages.stop_words import asks_to_stop
from bot.providers.catalogue import ModelGroup
from bot.usage.limits import BudgetReached
from storage.answers import Answers
from storage.chat_requests import ChatRequests
from storage.chats import Chats
from storage.messages import NewMessage
from storage.people import People


class ChatService:
    """The use cases of chats. All raise StorageError when the database fails; then nothing was stored."""

    def __init__(
        self,
        *,
        chats: Chats,
        answers: Answers,
        chat_requests: ChatRequests,
        requests: ChatRequestService,
        people: People,
        models: ModelChoice,
        publisher: EventPublisher,
        announce: Announce,
        wake: Callable[[str], None],
        limit: int,
    ) -> None:
        """`wake`: called with the id of a chat that has an answer to be written. `limit`: messages of a chat."""
        self._chats = chats
        self._answers = answers
        self._chat_requests = chat_requests
        self._requests = requests
        self._people = people
        self._publisher = publisher
        self._announce = announce
        self._wake = wake
        self.limit = limit
        self._models = models

    # -- messages ----------------------------------------------------------------------------------------------

    async def handle_message(self, message: IncomingMessage) -> HandleResult:
        """Handles one message from Slack, however often it is delivered."""
        try:
            return await self._handle(message)
        except BudgetReached as reached:
            return HandleResult(Outcome.BUDGET_REACHED, reached=reached)

    async def _handle(self, message: IncomingMessage) -> HandleResult:
        if message.edited:
            return await self._handle_edit(message)
        if message.in_thread:
            chat, has_request, is_asked = await self._chats.chat_and_open_request(
                message.thread, message.user
            )
            if chat is not None:
                return await self._continue(chat, message)
            if has_request and (result := await self._requests.add_reply(message)):
                return result
            if is_asked and not message.addressed:
                return await self._note_message(message)
        if not message.addressed:
            return HandleResult(Outcome.IGNORED)
        return await self._requests.create(message)

    async def _handle_edit(self, message: IncomingMessage) -> HandleResult:
        """Handles a mention that an edit added: outside a chat it is a new message, inside one it is ignored."""
        if await self._chats.find_by_thread(message.thread) is not None:
            return HandleResult(Outcome.IGNORED)
        return await self._requests.create(message)

    async def _note_message(self, message: IncomingMessage) -> HandleResult:
        """Handles a message between a question and the choice of its model: it becomes part of the question."""
        if message.text or message.files:
            noted = await self._chat_requests.note_message(message.thread, message.ts)
            chat = None if noted else await self._chats.find_by_thread(message.thread)
            if chat is not None:  # the chat has started in this moment
                return await self._continue(chat, message)
        return HandleResult(Outcome.IGNORED)

    async def _continue(self, chat: Chat, message: IncomingMessage) -> HandleResult:
        """The next message of a chat."""
        if message.to_others or not (message.text or message.files):
            return HandleResult(Outcome.IGNORED)
        if refusal := refusal_of(message, chat.model, self._models):
            return refusal
        if asks_to_stop(message.text) and (
            await self.stop(chat.id, message.user, message.ts)
            or await self._answers.is_at_work(
                chat.id
            )  # the model has finished, but Slack does not show everything yet
        ):
            return HandleResult(Outcome.STOPPED)
        new = NewMessage(
            text=message.text,
            author=message.user,
            author_team=message.user_team,
            source=message.ts,
            ts=message.ts,
            files=message.files,
        )
        try:
            stored = await self._chats.add_message(chat.id, new, limit=self.limit)
        except LimitReached:
            return HandleResult(Outcome.CHAT_FULL, chat_id=chat.id)
        if stored.duplicate:
            return HandleResult(Outcome.IGNORED, stored=stored)
        self._announce(stored)
        return HandleResult(Outcome.STORED, stored=stored)

    async def replace_text(self, thread: Thread, ts: str, before: str, after: str) -> None:
        """Replaces a stored message's text, with names of users that were not known when it was stored."""
        await self._chats.replace_text(thread, ts, before, after)

    # -- preferences -------------------------------------------------------------------------------------------

    async def set_default_model(self, user: User, key: str) -> None:
        """Sets the user's own model from now on. Raises ModelNotAllowed."""
        await self._people.set_default(user, self._models.by_key(key).ref)

    async def set_always(self, user: User, always: bool) -> None:
        """Sets whether the user's own model answers without a menu. If the user has none, the preselected model becomes
        it.
        """
        profile = await self._people.get(user)
        shown = self._models.preselected_for(profile)
        model = profile.default_model if shown is None or not always else shown.ref
        always = always and model is not None
        await self._people.set_always(user, always, known=profile.default_model, model=model)

    async def set_own_search(self, user: User, wanted: bool) -> None:
        """Sets whether the web is searched with the user's own model. If the user has none, the preselected model
        becomes it.
        """
        if await self._has_own_model(user):
            await self._people.set_web_search(user, wanted)

    async def set_own_effort(self, user: User, effort: Effort | None) -> None:
        """Sets how much the user's own model reasons. If the user has none, the preselected model becomes it."""
        if await self._has_own_model(user):
            await self._people.set_effort(user, effort)

    async def _has_own_model(self, user: User) -> bool:
        """False if there is none, and none that could become it."""
        profile = await self._people.get(user)
        shown = self._models.preselected_for(profile)
        if profile.default_model is None and shown is not None:
            await self._people.set_default(user, shown.ref)
        return profile.default_model is not None or shown is not None

    async def skipped_menu(self, chat: Chat) -> bool:
        """Whether the chat is new and uses its owner's own model because the owner skips the menu."""
        if chat.message_count > 2:
            return False
        profile = await self._people.get(User(chat.team, chat.owner))
        always = profile.always and profile.default_model == chat.model
        return always and not await self._chat_requests.started_in_dialog(chat.id)

    # -- answers -----------------------------------------------------------------------------------------------

    async def stop(self, chat_id: str, user: str | None, source: str | None = None) -> bool:
        """Stops the answer that is being written, in any process; False if there is none.

        `user`: Slack id of the user who stops it. `source`: the message or event that does; the same one again stops
        nothing more, but returns True again.
        """
        answer = await self._answers.request_stop(chat_id, source, user)
        if answer is None:
            return False
        self._publisher.request_stop(answer.id)
        return True

    async def retry(self, answer_id: str) -> Answer | None:
        """Answers the same message again, in the same Slack messages; None if another user was quicker.

        Raises BudgetReached.
        """
        return self._waiting(await self._answers.retry(answer_id))

    async def retry_with_model(self, answer_id: str, key: str) -> Answer | None:
        """Changes the chat's model, and answers the same message with it.

        None if the answer did not fail for a reason that another model would cure, or another user was quicker. Raises
        ModelNotAllowed, BudgetReached.
        """
        return self._waiting(await self._answers.retry(answer_id, self._models.by_key(key).ref))

    async def models_for_retry(self, answer_id: str, query: str) -> tuple[ModelGroup, ...]:
        """What the menu beside a failed answer shows: after ContextTooLong, only models with a larger window."""
        answer = await self._answers.get(answer_id)
        chat = await self._chats.get(answer.chat_id)
        too_small = None
        if answer.error == ContextTooLong.code:
            info = self._models.info(chat.model)
            too_small = info.context if info else None
        return self._models.search(chat.team, query, larger_than=too_small)

    def _waiting(self, answer: Answer | None) -> Answer | None:
        if answer is not None:
            self._wake(answer.chat_id)
        return answer

    async def set_feedback(self, answer_id: str, user: User, value: int) -> None:
        """`value`: 1 for thumbs up, -1 for thumbs down."""
        await self._people.set_feedback(answer_id, user, value)

    # -- chats -------------------------------------------------------------------------------------------------

    async def rename(self, chat: Chat, title: str) -> Chat | None:
        """A user changes the title, which models never change after that; None if the chat is gone."""
        if not await self._chats.set_title(chat.id, title, TitleBy.PERSON):
            return None
        self._publisher.title_changed(chat, title)
        return replace(chat, title=title, title_by=TitleBy.PERSON)

    async def set_header(self, chat_id: str, ts: str) -> None:
        """Records which message is the chat's header."""
        await self._chats.set_header(chat_id, ts)

    async def mark_header_shown(self, request_id: str) -> None:
        """Records that this request's menu now shows the header of the resulting chat."""
        await self._chat_requests.mark_header_shown(request_id)

    async def move_channel(self, team: str, old: str, new: str) -> None:
        """Slack gave a channel another id."""
        await self._chats.move_channel(team, old, new)

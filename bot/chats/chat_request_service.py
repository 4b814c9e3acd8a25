"""What people may do with a chat request: ask, reply, choose a model, submit a dialog, and thereby start the chat."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from bot.chats.announcing import Announce
from bot.chats.attachments.rules import only_unusable_files
from bot.chats.channels import ChannelService
from bot.chats.chat_request_lifecycle import (
    FilesAdded,
    GivenUp,
    MenuPosted,
    ModelSelected,
    RequestLifecycle,
    RequestState,
    TextGiven,
    state_of,
)
from bot.chats.messages import (
    HandleResult,
    IncomingMessage,
    ModelChoiceOutcome,
    ModelChosen,
    Outcome,
    RefusedRequest,
)
from bot.chats.models import ModelChoice, menu_key, own_options
from bot.domain import ModelRef, SharedFile, Thread, User
from bot.domain.model_options import NO_OPTIONS, ModelOptions
from bot.errors import ChatNotFound, LimitReached, StorageError
from bot.usage.calls import Payer
from bot.usage.limits import BudgetReached
from storage.chat_requests import ChatRequest, ChatRequests
from storage.chats import Chats
from storage.ledger import Ledger
from storage.messages import NewMessage, StoredMessage
from storage.people import People


class ChatRequestService:
    """The use cases of chat requests. All raise StorageError when the database fails: then nothing was stored."""

    def __init__(
        self,
        *,
        requests: ChatRequests,
        lifecycle: RequestLifecycle,
        chats: Chats,
        people: People,
        channels: ChannelService,
        models: ModelChoice,
        announce: Announce,
        ledger: Ledger,
        limit: int,
    ) -> None:
        """`limit`: messages of a chat."""
        self._requests = requests
        self._lifecycle = lifecycle
        self._chats = chats
        self._people = people
        self._channels = channels
        self._models = models
        self._announce = announce
        self._ledger = ledger
        self.limit = limit

    # -- asking ------------------------------------------------------------------------------------------------

    async def create(self, message: IncomingMessage) -> HandleResult:
        """Creates a request for a message that is addressed to Bobbin outside of any chat. Raises BudgetReached."""
        if only_unusable_files(message.text, message.files):
            return HandleResult(Outcome.UNREADABLE)
        await self._check_budgets(message.thread, message.user)
        request, is_new = await self._requests.create(
            thread=message.thread,
            ts=message.ts,
            user=message.user,
            user_team=message.user_team,
            text=message.text or None,
            files=message.files,
        )
        return HandleResult(Outcome.REQUESTED if is_new else Outcome.IGNORED, request=request)

    async def submit_dialog(
        self,
        *,
        thread: Thread,
        dialog: str,
        user: str,
        text: str,
        key: str | None,
        user_team: str | None = None,
        files: tuple[SharedFile, ...] = (),
        options: ModelOptions = NO_OPTIONS,
    ) -> tuple[ChatRequest, bool]:
        """Stores what a user submitted in the dialog with this id; the second value is False if it was already stored.

        `thread`: where the chat is to start, with an empty ts for a new thread. `key`: the model's key; None if the
        thread already has a chat. Raises ModelNotAllowed, ChatNotFound, LimitReached, BudgetReached.
        """
        chat = await self._chats.find_by_thread(thread) if thread.ts else None
        if chat is None and key is None:
            raise ChatNotFound("no chat there yet, and no model")
        if chat is not None and chat.message_count + 2 > self.limit:
            raise LimitReached(chat.id)
        model = chat.model if chat is not None else self._models.by_key(key or "").ref
        await self._check_budgets(thread, user)
        return await self._requests.create(
            thread=thread,
            ts=dialog,
            user=user,
            user_team=user_team,
            text=text,
            files=files,
            model=model,
            options=options,
            in_dialog=True,
        )

    async def add_reply(self, message: IncomingMessage) -> HandleResult | None:
        """Adds a reply of the user who has an open request in the thread; None if the reply is not about the request.

        The first reply to a mention without text is the question; files that follow a question belong to it.
        """
        request = await self._requests.find_open(message.thread, message.user)
        if request is None or message.to_others:
            return None
        if message.ts in (request.source, request.ts):
            if (
                message.files
            ):  # Slack sends a mention as two events, and one of them may lack the files
                await self._lifecycle.advance(request, FilesAdded(message.files))
            return HandleResult(Outcome.IGNORED)
        if not (message.text or message.files):
            return None
        if refusal := refusal_of(message, request.model, self._models):
            return refusal
        if request.text is None:
            return await self._fill(request, message)
        if not message.files:
            return None
        request = await self._lifecycle.advance(request, FilesAdded(message.files, message.text))
        return HandleResult(Outcome.FILES_ADDED, request=request)

    async def _fill(self, request: ChatRequest, message: IncomingMessage) -> HandleResult:
        await self._check_budgets(request.thread, request.user)
        event = TextGiven(message.ts, message.text, message.files)
        filled = await self._lifecycle.advance(request, event)
        if filled.source != message.ts or filled.model is None:
            return HandleResult(Outcome.IGNORED, request=filled)
        if filled.needs_context:
            return HandleResult(Outcome.WAITING_FOR_CONTEXT, request=filled)
        stored = await self._start_chat(filled, filled.model)
        if stored.duplicate:
            return HandleResult(Outcome.IGNORED, request=filled, stored=stored)
        return HandleResult(Outcome.STORED, request=filled, stored=stored)

    # -- choosing a model --------------------------------------------------------------------------------------

    async def skips_menu(self, request: ChatRequest) -> ModelSelected | None:
        """The model that answers without a menu, as set by the user or the channel, with its options.

        None if neither has set one, or if the model does not accept the question's images.
        """
        thread = request.thread
        profile = await self._people.get(User(thread.team, request.user))
        own = self._models.always_model(profile)
        if own is None:
            settings = await self._channels.get(thread.team, thread.channel)
            if settings.skip_menu:
                own = self._models.preselected_for(profile, settings.default_model)
        if own is None or only_unusable_files(request.text or "", request.files, sees=own.vision):
            return None
        return ModelSelected(own.ref, own_options(profile, own))

    async def choose_model(
        self,
        request_id: str,
        *,
        user: User,
        key: str,
        menu_ts: str | None = None,
        options: ModelOptions = NO_OPTIONS,
    ) -> ModelChosen:
        """The user chooses a model and its options in the menu that is in the message `menu_ts`.

        Raises ChatNotFound for a request that is unknown in the user's workspace or that was given up (unless it was
        given up for lack of room, and there still is none), ModelNotAllowed, BudgetReached.
        """
        request = await self._requests.get(request_id)
        if request.thread.team != user.team:
            raise ChatNotFound("no such request here")
        if state_of(request) is RequestState.GIVEN_UP:
            return await self._given_up(request, user)
        if (
            request.menu_ts is None and menu_ts
        ):  # the choice came before Slack's response to the post
            request = await self._lifecycle.advance(request, MenuPosted(menu_ts))
        if request.user != user.id:
            return ModelChosen(ModelChoiceOutcome.NOT_ASKER, request)
        if not request.open:
            return ModelChosen(_after_start(request, key, options), request)
        model = self._models.by_key(key).ref
        if not self._can_see(request, model):
            return ModelChosen(ModelChoiceOutcome.MODEL_CANNOT_SEE, request, model=model)
        await self._check_budgets(request.thread, request.user)
        chosen = await self._lifecycle.advance(request, ModelSelected(model, options))
        if state_of(chosen) is RequestState.WAITING_FOR_CONTEXT:
            return ModelChosen(ModelChoiceOutcome.WAITING_FOR_CONTEXT, chosen)
        try:
            return await self._start(chosen, model)
        except LimitReached as full:
            await self._lifecycle.advance(chosen, GivenUp())
            return ModelChosen(ModelChoiceOutcome.CHAT_FULL, chosen, chat_id=str(full))

    async def _given_up(self, request: ChatRequest, user: User) -> ModelChosen:
        """Why there was no room, however often its asker presses: the process that was to say so may have ended.

        Raises BudgetReached, ChatNotFound.
        """
        if request.user != user.id:
            raise ChatNotFound("no such open request here")
        chat = await self._chats.find_by_thread(request.thread)
        if chat is not None and chat.message_count + 2 > self.limit:
            return ModelChosen(ModelChoiceOutcome.CHAT_FULL, request, chat_id=chat.id)
        await self._check_budgets(request.thread, request.user)
        raise ChatNotFound("no such open request here")

    async def start(self, request: ChatRequest, own: ModelSelected | None = None) -> ModelChosen:
        """Starts the chat with the request's model, with or without context; keeps the request open if the text is
        still missing.

        `own`: the model of a user who was not asked. Raises LimitReached, BudgetReached.
        """
        model = request.model if own is None else own.model
        assert model is not None
        selected = own or ModelSelected(model, request.options)
        if request.open and not self._can_see(request, model):
            return ModelChosen(ModelChoiceOutcome.MODEL_CANNOT_SEE, request, model=model)
        return await self._start(await self._lifecycle.advance(request, selected), model)

    def _can_see(self, request: ChatRequest, model: ModelRef) -> bool:
        sees = self._models.can_see(model)
        return not only_unusable_files(request.text or "", request.files, sees=sees)

    async def _start(self, request: ChatRequest, model: ModelRef) -> ModelChosen:
        if state_of(request) is RequestState.WAITING_FOR_TEXT:
            return ModelChosen(ModelChoiceOutcome.WAITING_FOR_TEXT, request)
        others = await self._requests.others_without_model(request) if request.open else []
        for other in (
            others
        ):  # all of them before any starts, so that recovery finds each one if this process dies
            await self._lifecycle.advance(other, ModelSelected(model, request.options))
        stored = await self._start_chat(request, model)
        more = [await self._start_if_room(other, model) for other in others]
        return ModelChosen(
            ModelChoiceOutcome.ALREADY_STARTED if stored.duplicate else ModelChoiceOutcome.STARTED,
            request,
            stored,
            tuple(each for each in more if isinstance(each, StoredMessage)),
            tuple(each for each in more if isinstance(each, RefusedRequest)),
        )

    async def _start_if_room(
        self, request: ChatRequest, model: ModelRef
    ) -> StoredMessage | RefusedRequest:
        try:
            return await self._start_chat(replace(request, context_files=()), model)
        except LimitReached as full:
            await self._lifecycle.advance(request, GivenUp())
            return RefusedRequest(request, full)
        except BudgetReached as reached:  # already given up
            return RefusedRequest(request, reached)

    async def join(self, request: ChatRequest) -> ModelChosen | None:
        """Adds a request that needs no menu of its own, because its user has already been asked in the thread.

        If the thread has a chat by now, the question is stored there. Otherwise nothing is `stored`, and the result's
        request is the earlier one, whose menu serves both. None if this is the user's first request. Raises
        LimitReached.
        """
        if request.source is None:  # there is no question yet, or no Slack message that contains it
            return None
        chat = await self._chats.find_by_thread(request.thread)
        if chat is not None:
            stored = await self._start_chat(replace(request, context_files=()), chat.model)
            outcome = (
                ModelChoiceOutcome.ALREADY_STARTED
                if stored.duplicate
                else ModelChoiceOutcome.STARTED
            )
            return ModelChosen(outcome, request, stored)
        for other in await self._requests.others_without_model(request):
            if other.id < request.id:
                return ModelChosen(ModelChoiceOutcome.ALREADY_STARTED, other)
        return None

    async def _start_chat(self, request: ChatRequest, model: ModelRef) -> StoredMessage:
        """READY becomes STARTED, in one transaction: the question is stored in the thread's chat, new or existing.

        Raises LimitReached, and BudgetReached when the request is given up because of it.
        """
        try:
            stored = await self._store_question(request, model)
        except BudgetReached:
            await self._lifecycle.advance(request, GivenUp())
            raise
        self._announce(stored)
        if not stored.duplicate:
            with suppress(StorageError):  # the chat has started anyway
                await self._people.set_last_model(User(request.thread.team, request.user), model)
        return stored

    async def _check_budgets(self, thread: Thread, user: str) -> None:
        """Raises BudgetReached, if applicable, before storing anything that leads to a message from this user."""
        await self._ledger.check(Payer(thread.team, user, thread.channel or None, ""))

    async def _store_question(self, request: ChatRequest, model: ModelRef) -> StoredMessage:
        settings = await self._channels.get(request.thread.team, request.thread.channel)
        return await self._chats.start(
            team=request.thread.team,
            owner=request.user,
            model=model,
            thread=request.thread,
            context=request.context,
            header_ts=request.menu_ts,
            instructions=settings.instructions,
            options=self._models.options_for(request.options, model),
            request_id=request.id,
            limit=self.limit,
            message=NewMessage(
                text="\n".join(text for text in (request.text, request.said_since) if text),
                author=request.user,
                author_team=request.user_team,
                source=request.source or request.ts,
                ts=request.source or request.ts,
                files=(*request.files, *request.context_files),
            ),
        )


def refusal_of(
    message: IncomingMessage, model: ModelRef | None, models: ModelChoice
) -> HandleResult | None:
    """Why a message cannot be used: its files are unreadable, or the model accepts no images. None if it can be
    used.
    """
    if only_unusable_files(message.text, message.files):
        return HandleResult(Outcome.UNREADABLE)
    if model is not None and only_unusable_files(
        message.text, message.files, sees=models.can_see(model)
    ):
        return HandleResult(Outcome.MODEL_CANNOT_SEE, model=model)
    return None


def _after_start(request: ChatRequest, key: str, options: ModelOptions) -> ModelChoiceOutcome:
    """What a choice means whose chat has already started."""
    chosen = None if request.model is None else menu_key(request.model)
    if (chosen, request.options) == (key, options):
        return ModelChoiceOutcome.REPEATED
    return ModelChoiceOutcome.ALREADY_STARTED

"""The menu of models in a thread: posting it, acting on a choice, and recovering menus of dead processes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import Any

from bot import strings
from bot.chats.channels import ChannelService
from bot.chats.chat_request_lifecycle import GivenUp, MenuPosted, ModelSelected, RequestLifecycle
from bot.chats.chat_request_service import ChatRequestService
from bot.chats.messages import ModelChoiceOutcome, ModelChosen
from bot.chats.models import ModelChoice
from bot.chats.service import ChatService
from bot.domain import ModelRef, Thread, User
from bot.errors import ChatError, ChatNotFound, LimitReached
from bot.observability import get_logger
from bot.runtime.tasks import Tasks
from bot.text.mention_marks import unmarked
from bot.timing import Timing
from bot.usage.limits import BudgetReached
from bot.usage.sentences import budget_reached
from handlers.client.errors import SlackError, SlackRejected
from handlers.client.user_names import UserNames
from handlers.client.web_api import SlackClient
from handlers.rate_limits.urgency import Urgency
from handlers.threads.chat_header import ChatHeaders
from handlers.threads.file_notices import FileNotices
from handlers.threads.private_notices import cannot_write, post_ephemeral_once
from handlers.threads.queued_reaction import QueuedReactions
from handlers.threads.thread_context import ThreadContextReader
from handlers.threads.thread_messages import ThreadMessages, delete_message, message
from handlers.threads.unfinished import Unfinished
from handlers.views import chat_full, model_menu, model_options
from handlers.views.blocks import Block
from storage.chat_requests import ChatRequest, ChatRequests
from storage.messages import StoredMessage

log = get_logger(__name__)

RECOVERY_BATCH = 100
Refusal = LimitReached | BudgetReached | ModelRef
"""Why a request is given up: no room, no budget, or a model that cannot see a question of images."""


class ModelMenus:
    def __init__(
        self,
        *,
        service: ChatService,
        requests: ChatRequestService,
        lifecycle: RequestLifecycle,
        chat_requests: ChatRequests,
        models: ModelChoice,
        channels: ChannelService,
        names: UserNames,
        messages: ThreadMessages,
        headers: ChatHeaders,
        contexts: ThreadContextReader,
        queued_reactions: QueuedReactions,
        file_notices: FileNotices,
        tasks: Tasks,
        timing: Timing,
    ) -> None:
        self._service = service
        self._requests = requests
        self._lifecycle = lifecycle
        self._chat_requests = chat_requests
        self._models = models
        self._channels = channels
        self._names = names
        self._messages = messages
        self._headers = headers
        self._contexts = contexts
        self._queued_reactions = queued_reactions
        self._file_notices = file_notices
        self._tasks = tasks
        self._timing = timing
        self._offering: set[str] = set()
        self._starting: set[str] = set()

    # -- the menu ----------------------------------------------------------------------------------------------

    async def offer(self, request: ChatRequest) -> None:
        """Posts the menu of a new request; starts immediately for people who always use their own model."""
        if request.id in self._offering:
            return
        self._offering.add(request.id)
        try:
            if (slack := await self._messages.client_for(request)) is not None:
                async with self._using_askers_language(request):
                    await self._offer(slack, request)
        finally:
            self._offering.discard(request.id)

    async def _offer(self, slack: SlackClient, request: ChatRequest) -> None:
        try:
            if await self._join(slack, request):
                return
            async with self._contexts.reading(slack, request):
                own = await self._requests.skips_menu(request)
                if own is not None:
                    await self._contexts.finish(slack, request)
                    await self._start_without_menu(slack, request, own)
                else:
                    await self._post_menu(slack, request)
        except BudgetReached as reached:
            await self._notify_refused(request, reached)
        except (
            SlackRejected
        ) as error:  # whatever the reason, Slack would refuse the same call again
            await self._lifecycle.advance(request, GivenUp())
            log.warning("menu_refused", request=request.id, reason=error.code)
            await cannot_write(slack, request.thread, request.user, error.code)
        except (SlackError, ChatError) as error:
            log.warning("menu_not_posted", request=request.id, reason=type(error).__name__)

    async def _join(self, slack: SlackClient, request: ChatRequest) -> bool:
        """Whether the request needs no menu: the thread has a chat by now, or the user already has a menu there."""
        try:
            joined = await self._requests.join(request)
        except LimitReached as full:
            await self._refuse(request, full)
            return True
        except BudgetReached as reached:
            await self._notify_refused(request, reached)
            return True
        if joined is None:
            return False
        if joined.stored is not None and joined.stored.queued:
            self._queued_reactions.add(
                slack, request.thread.channel, request.ts, joined.stored.answer.id
            )
        elif joined.stored is None and joined.request.menu_ts is not None:
            await self._lifecycle.advance(request, MenuPosted(joined.request.menu_ts))
        return True

    async def _post_menu(self, slack: SlackClient, request: ChatRequest) -> None:
        user = User(request.thread.team, request.user)
        settings = await self._channels.get(request.thread.team, request.thread.channel)
        preselected = await self._models.preselected(user, settings.default_model)
        options = model_options.elements(self._models.offered_options(), preselected.options)
        menu = model_menu.menu(request, preselected.model, options)
        ts = await self._messages.post(slack, request, menu, strings.MENU_FALLBACK)
        stored = await self._lifecycle.advance(request, MenuPosted(ts))
        if stored.menu_ts not in (None, ts):  # another process was quicker
            await delete_message(slack, request.thread.channel, ts)

    async def _start_without_menu(
        self, slack: SlackClient, request: ChatRequest, own: ModelSelected
    ) -> None:
        chosen = await self._requests.start(request, own)
        if chosen.outcome is ModelChoiceOutcome.WAITING_FOR_TEXT:
            content = self._waiting_for_text(chosen.request)
            ts = await self._messages.post(slack, request, content, strings.WAITING_FOR_TEXT)
            await self._lifecycle.advance(request, MenuPosted(ts))
        else:
            await self.show_choice(chosen)

    # -- a choice ----------------------------------------------------------------------------------------------

    async def show_choice(self, chosen: ModelChosen, response_url: str | None = None) -> None:
        """Turns the menu into the chat's header, or into a request for the question.

        `response_url`: of the interaction with the menu, which may be used to replace it.
        """
        request = chosen.request
        if (slack := await self._messages.client_for(request)) is None:
            return
        if chosen.stored is not None:
            for stored in (chosen.stored, *chosen.more_stored):
                await self._show_stored(slack, request, stored)
            for each in chosen.more_refused:
                self._tasks.start(self._notify_refused(each.request, each.reason), name="notice")
            await self._headers.show_started(slack, request, chosen.stored.chat, response_url)
        elif chosen.outcome is ModelChoiceOutcome.WAITING_FOR_TEXT and request.menu_ts is not None:
            await self._messages.replace(
                slack,
                channel=request.thread.channel,
                ts=request.menu_ts,
                draw=partial(self._draw_waiting_for_text, request),
                urgency=Urgency.REPLY,
                response_url=response_url,
            )

    async def start_with_context(
        self, request: ChatRequest, response_url: str | None = None
    ) -> None:
        """Starts the chat of a request whose model is chosen, once its thread context is read.

        Returns when the question is stored, or cannot be; both are shown in the background. The asker is told if Slack
        does not return the thread in time, if there is no room for the question, or if the model cannot see the
        images of which it consists.
        """
        if request.id in self._starting:
            return
        if (slack := await self._messages.client_for(request)) is None:
            return
        self._starting.add(request.id)
        try:
            await self._contexts.finish(slack, request)
            chosen = await self._requests.start(request)
        except LimitReached as full:
            self._tasks.start(self._refuse(request, full), name="notice")
        except BudgetReached as reached:
            self._tasks.start(self._notify_refused(request, reached), name="notice")
        else:
            if chosen.outcome is ModelChoiceOutcome.MODEL_CANNOT_SEE and chosen.model is not None:
                self._tasks.start(self._refuse(request, chosen.model), name="notice")
            else:
                self._tasks.start(self.show_choice(chosen, response_url), name="header")
        finally:
            self._starting.discard(request.id)

    async def _refuse(self, request: ChatRequest, reason: Refusal) -> None:
        """While another task or process tells the asker, that one gives up the request, or a later sweep."""
        if await self._notify_refused(request, reason):
            await self._lifecycle.advance(request, GivenUp())

    async def _notify_refused(self, request: ChatRequest, reason: Refusal) -> bool:
        """Tells the asker why their request is given up. False while another task or process may be telling them."""
        if (slack := await self._messages.client_for(request)) is None:
            return True
        content: list[Block] | None = None
        async with self._using_askers_language(request):
            if isinstance(reason, LimitReached):
                text, content = self.chat_full(request, str(reason))
            elif isinstance(reason, BudgetReached):
                text = budget_reached(reason)
            else:
                text = self._file_notices.cannot_see(reason)
        return await post_ephemeral_once(
            slack,
            f"refused {request.id}",  # there may have been a notice about the message's files
            channel=request.thread.channel,
            user=request.user,
            text=text,
            thread=request.thread.ts,
            content=content,
        )

    def chat_full(self, request: ChatRequest, chat_id: str) -> tuple[str, list[Block]]:
        """The notice that a chat has no room for the question, as a text and as blocks with the ways to continue."""
        limit, ts = self._service.limit, request.source or request.ts
        blocks = chat_full.limit_reached(chat_id, limit, unmarked(request.text or ""), ts)
        return strings.CHAT_FULL.format(count=limit), blocks

    async def _show_stored(
        self, slack: SlackClient, request: ChatRequest, stored: StoredMessage
    ) -> None:
        await self._insert_names(stored)
        if stored.queued and stored.answer.question_ts is not None:
            self._queued_reactions.add(
                slack, request.thread.channel, stored.answer.question_ts, stored.answer.id
            )

    async def _insert_names(self, stored: StoredMessage) -> None:
        """Stores names that became known between the question and the start of the chat."""
        thread, message = stored.chat.thread, stored.message
        before = message.marked_text
        if before is None or thread is None or message.source is None:
            return
        text = await self._names.replace_ids(stored.chat.team, before)
        if text != before:
            await self._service.replace_text(thread, message.source, before, text)

    async def _draw_waiting_for_text(self, request: ChatRequest) -> dict[str, Any]:
        async with self._using_askers_language(request):
            return message(self._waiting_for_text(request), strings.WAITING_FOR_TEXT)

    def _using_askers_language(self, request: ChatRequest) -> AbstractAsyncContextManager[None]:
        return self._names.using_language_of(User(request.thread.team, request.user))

    def _waiting_for_text(self, request: ChatRequest) -> list[Block]:
        assert request.model is not None
        return model_menu.waiting_for_text(request, self._models.label(request.model))

    # -- recovery ----------------------------------------------------------------------------------------------

    async def missing(self, min_age: float) -> list[Unfinished]:
        """Menus that no process has confirmed, to be posted. `min_age`: of their requests, in seconds."""
        return [
            _unfinished("menu", request, self._offer_again)
            for request in await self._chat_requests.without_menu(min_age, RECOVERY_BATCH)
            if request.id not in self._offering  # it is only waiting for Slack
        ]

    async def _offer_again(self, request: ChatRequest) -> None:
        slack = await self._messages.client_for(request)
        if slack is None or await self._has_menu(slack, request):
            return
        await self._chat_requests.mark_offered_again(request.id, pending=True)
        await self.offer(request)

    async def _has_menu(self, slack: SlackClient, request: ChatRequest) -> bool:
        """Whether the request has a menu in Slack, or needs none. Also True while Slack cannot be asked."""
        try:
            if await self._join(slack, request):
                return True
            block_id = model_menu.menu_block_id(request.id)
            ts = await self._messages.find(slack, request, block_id)
        except (SlackError, ChatError) as error:
            log.warning("menu_search_failed", request=request.id, reason=type(error).__name__)
            return True
        if ts is not None:
            await self._lifecycle.advance(request, MenuPosted(ts))
        return ts is not None

    async def ready_to_start(self, min_age: float) -> list[Unfinished]:
        """Chats of complete requests whose process died before starting them.

        The requests of one thread are one piece of work: they become messages of its chat, in the order they were made.
        """
        threads: dict[Thread, list[ChatRequest]] = {}
        for request in await self._chat_requests.ready_to_start(min_age, RECOVERY_BATCH):
            threads.setdefault(request.thread, []).append(request)
        return [
            Unfinished("start", _id_of(thread), thread.team, partial(self._start_each, requests))
            for thread, requests in threads.items()
        ]

    async def _start_each(self, requests: Sequence[ChatRequest]) -> None:
        """Raises StorageError: then the rest is still to be started, after the one that failed."""
        for request in requests:
            if request.id in self._starting:
                return  # the next sweep finds those after it
            with suppress(ChatNotFound):  # it was erased meanwhile
                await self.start_with_context(request)

    async def duplicates(self) -> list[Unfinished]:
        """Duplicate menus, to be deleted: a dead process may have posted one that appeared after recovery's."""
        delay = self._timing.duplicate_menu_delay
        offered = await self._chat_requests.offered_again(delay, RECOVERY_BATCH)
        return [_unfinished("duplicates", request, self._clear_up) for request in offered]

    async def _clear_up(self, request: ChatRequest) -> None:
        if await self._delete_duplicates(request):
            await self._chat_requests.mark_offered_again(request.id, pending=False)

    async def _delete_duplicates(self, request: ChatRequest) -> bool:
        """Whether this is done; if Slack could not be asked, it is tried again."""
        if request.menu_ts is None:  # it was given up
            return True
        if (slack := await self._messages.client_for(request)) is None:
            return not request.open
        try:
            block_id = model_menu.menu_block_id(request.id)
            for ts in await self._messages.find_all(slack, request, block_id):
                if ts != request.menu_ts:
                    await delete_message(slack, request.thread.channel, ts)
        except SlackError as error:
            return isinstance(error, SlackRejected)
        return True


def _id_of(thread: Thread) -> str:
    return f"{thread.team}/{thread.channel}/{thread.ts}"


def _unfinished(
    kind: str, request: ChatRequest, finish: Callable[[ChatRequest], Awaitable[None]]
) -> Unfinished:
    return Unfinished(kind, request.id, request.thread.team, partial(finish, request))

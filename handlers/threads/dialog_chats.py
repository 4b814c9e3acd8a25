"""Chats that start in a dialog: opening the dialog, and posting what was submitted as the first message of a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from bot import sentences, strings
from bot.access.rules import AccessRules
from bot.chats.channels import ChannelService
from bot.chats.chat_request_lifecycle import (
    GivenUp,
    QuestionMoved,
    QuestionPosted,
    RequestLifecycle,
)
from bot.chats.chat_request_service import ChatRequestService
from bot.chats.models import NOTHING_PRESELECTED, ModelChoice, Preselection
from bot.domain import ModelInfo, Thread, User
from bot.errors import ChatError, ChatNotFound, LimitReached, PlaceNotAllowed, StorageError
from bot.observability import get_logger
from bot.runtime.tasks import Tasks
from bot.timing import Timing
from bot.usage.limits import BudgetReached
from bot.usage.sentences import budget_reached
from handlers.client.errors import NotInstalled, SlackError, SlackRejected
from handlers.client.post_once import post_message_once
from handlers.client.user_names import UserNames
from handlers.client.web_api import SlackClient
from handlers.client.workspaces import WorkspaceResolver
from handlers.markdown.plain_text import mrkdwn_escape, plain
from handlers.threads.model_menu import ModelMenus
from handlers.threads.open_view import open_view
from handlers.threads.own_messages import with_block
from handlers.threads.private_notices import notify_once, why_elsewhere
from handlers.threads.refused_question import RefusedQuestion, read_refused
from handlers.threads.thread_context import ThreadContextReader
from handlers.views import modals
from handlers.views.blocks import Block
from handlers.views.modals import DialogTarget
from handlers.views.payloads import Reader
from storage.chat_requests import ChatRequest, ChatRequests
from storage.chats import Chats

log = get_logger(__name__)

Found = TypeVar("Found")

LOOKUP_TIMEOUT = 1.0
"""Seconds that the dialog waits for the details it shows besides its fields: a trigger id is valid for three."""
MAX_CLOCK_SKEW = 60
"""Seconds by which this machine's clock may differ from Slack's."""
RECOVERY_BATCH = 100


@dataclass(frozen=True, slots=True)
class DialogDetails:
    """What the dialog shows besides its fields."""

    preselected: Preselection = NOTHING_PRESELECTED
    existing_chat: tuple[str, str] | None = None
    """Title and model of the chat in the thread where the question goes."""


class DialogChats:
    def __init__(
        self,
        *,
        requests: ChatRequestService,
        lifecycle: RequestLifecycle,
        chat_requests: ChatRequests,
        chats: Chats,
        models: ModelChoice,
        channels: ChannelService,
        workspaces: WorkspaceResolver,
        menus: ModelMenus,
        contexts: ThreadContextReader,
        names: UserNames,
        rules: AccessRules,
        tasks: Tasks,
        timing: Timing,
    ) -> None:
        self._rules = rules
        self._requests = requests
        self._lifecycle = lifecycle
        self._chat_requests = chat_requests
        self._chats = chats
        self._models = models
        self._channels = channels
        self._workspaces = workspaces
        self._menus = menus
        self._contexts = contexts
        self._names = names
        self._tasks = tasks
        self._timing = timing
        self._starting: set[str] = set()

    # -- opening the dialog ------------------------------------------------------------------------------------

    def open_dialog(
        self,
        slack: SlackClient,
        *,
        user: str,
        trigger: str,
        target: DialogTarget,
        text: str = "",
        about: str = "",
        mentions: Iterable[str] = (),
        like: str = "",
        refused: str = "",
    ) -> None:
        """Opens the dialog. Returns at once.

        `trigger`: trigger id of the interaction. `text`: the initial content of the message field. `about`: a message
        that the dialog quotes; `mentions`: the users mentioned in it. `like`: id of a chat whose model is preselected.
        `refused`: ts of a message in that chat's thread, which replaces `text` if it can be read.
        """
        user_of_team = User(slack.team, user)

        async def work() -> None:
            known = RefusedQuestion(text, target.files)
            details, quoted, question = await asyncio.gather(
                self._in_time(self._details(user_of_team, target, like), DialogDetails()),
                self._in_time(self._with_names(slack.team, about, mentions), about),
                self._in_time(self._refused(slack, target, like, refused, known), known),
            )
            view = modals.dialog(
                replace(target, files=question.files),
                details.preselected,
                text=question.text,
                about=quoted,
                existing_chat=details.existing_chat,
                offered=self._models.offered_options(),
            )
            reader = Reader(user, target.channel, response_url=target.response_url)
            await open_view(slack, trigger, view, reader)

        self._tasks.start(work(), name="dialog")

    async def _refused(
        self,
        slack: SlackClient,
        target: DialogTarget,
        chat_id: str,
        ts: str,
        known: RefusedQuestion,
    ) -> RefusedQuestion:
        """The whole message for which the chat in the target's channel had no room; else the part that is known."""
        if not ts:
            return known
        chat = await self._chats.get(chat_id)
        if chat.thread != Thread(slack.team, target.channel, chat.thread.ts if chat.thread else ""):
            return known
        return await read_refused(slack, self._names, chat, ts) or known

    async def _with_names(self, team: str, text: str, mentions: Iterable[str]) -> str:
        await self._names.find(User(team, id) for id in mentions)
        return await self._names.name_ids(team, text)

    async def _in_time(self, lookup: Awaitable[Found], default: Found) -> Found:
        try:
            return await asyncio.wait_for(lookup, LOOKUP_TIMEOUT)
        except (TimeoutError, StorageError, SlackError, ChatNotFound) as error:
            log.info("dialog_lookup_failed", reason=type(error).__name__)
            return default

    async def _details(self, user: User, target: DialogTarget, like: str) -> DialogDetails:
        if target.thread:
            thread = Thread(user.team, target.channel, target.thread)
            chat = await self._chats.find_by_thread(thread)
            if chat is not None:
                return DialogDetails(
                    existing_chat=(sentences.title(chat), self._models.label(chat.model))
                )
        info = await self._model_of(user, target, like) if like else None
        settings = await self._channels.get(user.team, target.channel)
        preselected = await self._models.preselected(user, settings.default_model)
        return DialogDetails(Preselection(info) if info else preselected)

    async def _model_of(self, user: User, target: DialogTarget, chat_id: str) -> ModelInfo | None:
        """The model of a chat that the user takes part in, or that is in the channel of the button."""
        try:
            chat = await self._chats.get(chat_id)
            in_channel = chat.thread is not None and chat.thread == Thread(
                user.team, target.channel, chat.thread.ts
            )
            if not in_channel:
                chat = await self._chats.get_visible_to(user, chat_id)
        except ChatNotFound:
            return None
        return self._models.info(chat.model)

    # -- starting the chat -------------------------------------------------------------------------------------

    def start_chat(self, request: ChatRequest, response_url: str = "") -> None:
        """Posts a submitted question and starts its chat. Returns at once.

        `response_url`: where the user can be notified of a failure.
        """
        self._tasks.start(self._start(request, response_url), name="chat from dialog")

    async def start_missing(self, min_age: float) -> None:
        """Starts the chats of submissions whose process died before posting them. `min_age`: in seconds."""
        missing = await self._chat_requests.not_posted(
            max(min_age, self._timing.dialog_min_age), RECOVERY_BATCH
        )
        for request in missing:
            self._tasks.start(self._start(request, look_first=True), name="chat from dialog")

    async def _start(
        self, request: ChatRequest, response_url: str = "", *, look_first: bool = False
    ) -> None:
        if request.id in self._starting:
            return
        self._starting.add(request.id)
        try:
            slack = await self._workspaces.client_for(request.thread.team)
            async with self._names.using_language_of(User(slack.team, request.user)):
                await self._start_in(slack, request, response_url, look_first)
        except NotInstalled:
            await self._lifecycle.advance(request, GivenUp())
        except (SlackError, ChatError, StorageError) as error:  # recovery tries again
            log.warning("dialog_chat_delayed", request=request.id, reason=type(error).__name__)
        finally:
            self._starting.discard(request.id)

    async def _start_in(
        self, slack: SlackClient, request: ChatRequest, response_url: str, look_first: bool
    ) -> None:
        posted = request
        try:
            posted = await self._post_question(slack, request, response_url, look_first)
            chosen = await self._requests.start(posted)
            await self._menus.show_choice(chosen)
        except SlackRejected as error:
            log.warning("dialog_chat_refused", request=request.id, reason=error.code)
            await self._lifecycle.advance(request, GivenUp())
            await _notify(slack, request, response_url, strings.CHAT_NOT_STARTED)
        except PlaceNotAllowed:
            await self._lifecycle.advance(request, GivenUp())
            await _notify(slack, request, response_url, strings.CHAT_NOT_STARTED)
        except LimitReached as full:
            await _notify(slack, request, response_url, *self._menus.chat_full(posted, str(full)))
            await self._lifecycle.advance(request, GivenUp())
        except BudgetReached as reached:
            await _notify(slack, request, response_url, budget_reached(reached))

    async def _post_question(
        self, slack: SlackClient, request: ChatRequest, response_url: str, look_first: bool
    ) -> ChatRequest:
        """Posts the question in its channel, or in the direct messages if Slack refuses that.

        Raises SlackError, or PlaceNotAllowed if chats are not allowed in direct messages.
        """
        reason = ""
        if request.thread.channel:
            try:
                return await self._post_in_channel(slack, request, look_first)
            except SlackRejected as error:
                log.info("dialog_chat_moved", request=request.id, reason=error.code)
                reason = why_elsewhere(request.thread.channel, error.code)
        response = await slack.call_with_retry("conversations.open", users=request.user)
        channel = str(response["channel"]["id"])
        if not self._rules.allows_channel(slack.team, channel):
            raise PlaceNotAllowed(channel)
        moved = await self._lifecycle.advance(request, QuestionMoved(channel))
        is_elsewhere = bool(reason) and channel != request.thread.channel
        note = strings.STARTED_IN_DIRECT_MESSAGES.format(reason=reason) if is_elsewhere else ""
        posted = await self._post(slack, moved, note, look_first=look_first)
        if is_elsewhere:
            link = slack.permalink(channel, posted.thread.ts, posted.thread.ts)
            text = strings.LINK_TO_DIRECT_MESSAGES.format(reason=reason, link=mrkdwn_escape(link))
            await _notify(slack, request, response_url, text)
        return posted

    async def _post_in_channel(
        self, slack: SlackClient, request: ChatRequest, look_first: bool
    ) -> ChatRequest:
        in_thread = bool(request.thread.ts)
        chat = await self._chats.find_by_thread(request.thread) if in_thread else None
        posted = await self._post(slack, request, look_first=look_first)
        if not in_thread or chat is not None:
            return posted
        await self._contexts.finish(slack, posted, posted.source)
        return posted

    async def _post(
        self, slack: SlackClient, request: ChatRequest, note: str = "", *, look_first: bool
    ) -> ChatRequest:
        """Posts the question once. `look_first`: a dead process may have posted it."""
        thread: dict[str, Any] = {"thread_ts": request.thread.ts} if request.thread.ts else {}
        ts = await post_message_once(
            slack,
            lambda: self._find(slack, request),
            look_first=look_first,
            channel=request.thread.channel,
            blocks=modals.dialog_question(request, note),
            text=f"{strings.ASKED.format(user=request.user)} {plain(request.text or '', 300)}",
            unfurl_links=False,
            unfurl_media=False,
            **thread,
        )
        return await self._lifecycle.advance(request, QuestionPosted(ts))

    async def _find(self, slack: SlackClient, request: ChatRequest) -> str | None:
        """The ts of the question in Slack, if it was posted."""
        after = f"{request.created_at.timestamp() - MAX_CLOCK_SKEW:.6f}"
        if request.thread.ts:
            messages = await slack.own_messages(request.thread.channel, request.thread.ts, after)
        else:
            messages = await slack.own_channel_messages(request.thread.channel, after)
        return next(iter(with_block(messages, modals.question_block_id(request.id))), None)


async def _notify(
    slack: SlackClient,
    request: ChatRequest,
    response_url: str,
    text: str,
    content: list[Block] | None = None,
) -> None:
    """Tells the user who submitted the dialog about its outcome, once across all replicas."""
    reader = Reader(request.user, response_url=response_url)
    await notify_once(slack, ("dialog", request.id), reader, text, content)

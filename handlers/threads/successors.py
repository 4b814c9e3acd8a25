"""Posts continuations and branches, each as a new thread in the same channel: see `bot.chats.successors`."""

from __future__ import annotations

from contextlib import suppress

from bot import strings
from bot.chats.continuations import ContinueService
from bot.chats.successors import SuccessorService
from bot.domain import Chat, User
from bot.errors import ChatError, ChatNotFound, StorageError
from bot.observability import get_logger
from bot.runtime.tasks import Tasks
from bot.timing import Timing
from handlers.client.errors import NotInstalled, SlackError, SlackRejected
from handlers.client.post_once import post_message_once
from handlers.client.user_names import UserNames
from handlers.client.web_api import SlackClient
from handlers.client.workspaces import WorkspaceResolver
from handlers.threads.chat_header import ChatHeaders
from handlers.threads.own_messages import with_block
from handlers.threads.thread_messages import delete_message
from handlers.views import chat_header
from storage.action_claims import ActionClaims
from storage.chats import Chats
from storage.successors import Successor, Successors

log = get_logger(__name__)

CLAIM = "successor"
CLAIM_LEASES = 1.5
"""How many leases a claim lasts: after a kill it outlasts the lease for writing the summary, which is needed first."""
MAX_CLOCK_SKEW = 60.0
"""Seconds by which this machine's clock may differ from Slack's."""
RECOVERY_BATCH = 100


class SuccessorThreads:
    def __init__(
        self,
        *,
        service: SuccessorService,
        continuations: ContinueService,
        successors: Successors,
        headers: ChatHeaders,
        chats: Chats,
        workspaces: WorkspaceResolver,
        claims: ActionClaims,
        names: UserNames,
        tasks: Tasks,
        timing: Timing,
    ) -> None:
        self._service = service
        self._continuations = continuations
        self._successors = successors
        self._headers = headers
        self._chats = chats
        self._workspaces = workspaces
        self._claims = claims
        self._names = names
        self._tasks = tasks
        self._timing = timing

    def open(self, successor: Successor) -> None:
        """Prepares and posts the thread, unless another process is doing so. Returns immediately."""
        self._tasks.start(self._open(successor), name="successor")

    async def open_missing(self, min_age: float) -> None:
        """Posts what dead processes left undone. `min_age`: of the successors, in seconds."""
        # Sooner than elsewhere, because a process that is working on one holds a claim.
        age = min(min_age, self._timing.lease_duration)
        missing = await self._successors.without_thread(age, RECOVERY_BATCH)
        for successor in missing:
            self._tasks.start(self._open(successor, look_first=True), name="successor")

    async def _open(self, successor: Successor, *, look_first: bool = False) -> None:
        chat = successor.chat
        seconds = self._timing.lease_duration * CLAIM_LEASES
        if not await self._claims.claim(CLAIM, chat.id, seconds=seconds):
            return
        try:
            async with self._claims.renewing(CLAIM, chat.id, seconds=seconds):
                slack = await self._workspaces.client_for(chat.team)
                await self._post(slack, successor, look_first)
        except (SlackRejected, NotInstalled) as error:
            log.warning("successor_refused", chat=chat.id, reason=str(error))
            await self._service.give_up_thread(chat)
        except (SlackError, ChatError, StorageError) as error:  # recovery tries again
            log.warning("successor_delayed", chat=chat.id, reason=type(error).__name__)
        finally:
            with suppress(StorageError):  # then the claim expires
                await self._claims.release(CLAIM, chat.id)

    async def _post(self, slack: SlackClient, successor: Successor, look_first: bool) -> None:
        chat = await self._continuations.summarised(await self._chats.get(successor.chat.id))
        if chat.thread is not None:  # another process was faster
            return
        assert successor.channel is not None
        channel = successor.channel
        async with self._names.using_language_of(User(chat.team, chat.owner)):
            fallback = strings.SUCCESSOR_FALLBACK
        ts = await post_message_once(
            slack,
            lambda: _find(slack, chat, channel),
            look_first=look_first,
            channel=channel,
            blocks=await self._headers.content(chat),
            text=fallback,
            unfurl_links=False,
            unfurl_media=False,
        )
        await self._set_thread(slack, chat, channel, ts)
        await self._headers.show(await self._service.predecessor(chat))

    async def _set_thread(self, slack: SlackClient, chat: Chat, channel: str, ts: str) -> None:
        """Stores the posted message as the thread's first, or deletes it. Raises ChatNotFound."""
        try:
            stored = await self._service.set_thread(chat, ts)
        except ChatNotFound:  # given up or erased meanwhile
            await delete_message(slack, channel, ts)
            raise
        if stored.thread is not None and stored.thread.ts != ts:  # this process had been suspended
            await delete_message(slack, channel, ts)


async def _find(slack: SlackClient, chat: Chat, channel: str) -> str | None:
    """The ts of the message that begins the thread, if it was posted."""
    after = f"{chat.created_at.timestamp() - MAX_CLOCK_SKEW:.6f}"
    messages = await slack.own_channel_messages(channel, after)
    return next(iter(with_block(messages, chat_header.header_block_id(chat.id))), None)

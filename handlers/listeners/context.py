"""What every listener is given: the use cases, the renderers of their results, and how to find the workspace."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from bot import strings
from bot.access.access_control import AccessControl
from bot.access.membership import Membership
from bot.answers.events import EventPublisher
from bot.chats.api_tokens import ApiTokens
from bot.chats.approvals import ApprovalService
from bot.chats.branches import BranchService
from bot.chats.channels import ChannelService
from bot.chats.chat_request_service import ChatRequestService
from bot.chats.continuations import ContinueService
from bot.chats.models import ModelChoice
from bot.chats.service import ChatService
from bot.chats.usage import UsageService
from bot.domain import Thread
from bot.errors import StorageError
from bot.runtime.tasks import KeyedLocks, Tasks
from bot.timing import Timing
from handlers.client.errors import NotInstalled
from handlers.client.people import SlackPeople
from handlers.client.user_names import UserNames
from handlers.client.web_api import SlackClient
from handlers.client.workspaces import WorkspaceResolver
from handlers.live_views.chat_lists import ChatLists
from handlers.live_views.home_tabs import HomeTabs
from handlers.threads.chat_exports import ChatExports
from handlers.threads.chat_header import ChatHeaders
from handlers.threads.dialog_chats import DialogChats
from handlers.threads.file_notices import FileNotices
from handlers.threads.model_menu import ModelMenus
from handlers.threads.private_notices import notify
from handlers.threads.queued_reaction import QueuedReactions
from handlers.threads.successors import SuccessorThreads
from handlers.views import payloads
from handlers.views.blocks import Block
from handlers.views.model_select import option_groups
from handlers.views.payloads import BlockAction, Reader
from storage.action_claims import ActionClaims
from storage.chats import Chats


@dataclass(frozen=True, kw_only=True)
class ListenerContext:
    access_control: AccessControl
    """The operator's rules. They have already been applied to everything that reaches a listener."""
    service: ChatService
    requests: ChatRequestService
    api_tokens: ApiTokens
    usage: UsageService
    approvals: ApprovalService
    models: ModelChoice
    channels: ChannelService
    chats: Chats
    """For reading only; every write is a use case."""
    claims: ActionClaims
    """What any replica has handled or is handling."""
    workspaces: WorkspaceResolver
    people: SlackPeople
    publisher: EventPublisher
    names: UserNames
    menus: ModelMenus
    headers: ChatHeaders
    dialog_chats: DialogChats
    continue_service: ContinueService
    branch_service: BranchService
    successors: SuccessorThreads
    exports: ChatExports
    queued_reactions: QueuedReactions
    file_notices: FileNotices
    home_tabs: HomeTabs
    chat_lists: ChatLists
    membership: Membership
    tasks: Tasks
    timing: Timing
    thread_locks: KeyedLocks[Thread] = field(default_factory=KeyedLocks)
    """Slack's events are handled concurrently, but the messages of one thread are stored in the order of their
    arrival.
    """

    async def slack_of(self, body: dict[str, Any], context: dict[str, Any]) -> SlackClient:
        """The workspace that an event or interaction comes from. Raises NotInstalled."""
        return await self.workspaces.client_for(team_of(body, context))

    def model_choices(self, body: dict[str, Any], context: dict[str, Any]) -> list[Block]:
        """The groups of options that a menu of models shows for the typed text."""
        found = self.models.search(team_of(body, context), body.get("value") or "")
        return option_groups(found)

    def notify(
        self,
        slack: SlackClient,
        action: BlockAction,
        text: str,
        content: list[Block] | None = None,
    ) -> None:
        """Privately tells a user who pressed a button or used a menu something. Returns immediately.

        `content`: blocks that replace the text.
        """
        reader = Reader(action.user, action.channel, action.thread, action.response_url or "")
        self.tasks.start(notify(slack, reader, text, content), name="notice")

    def notify_failure(self, body: dict[str, Any], context: dict[str, Any]) -> None:
        """Tells a user that their press, command or shortcut had no effect. Returns immediately."""
        reader = payloads.reader_of(body)
        if reader is not None:
            self.tasks.start(self._notify_failure(reader, body, context), name="notice")

    async def _notify_failure(
        self, reader: Reader, body: dict[str, Any], context: dict[str, Any]
    ) -> None:
        with suppress(NotInstalled, StorageError):
            await notify(await self.slack_of(body, context), reader, strings.SAVE_FAILED)


def team_of(body: dict[str, Any], context: dict[str, Any]) -> str:
    """The id of the workspace of an event or interaction.

    Some views contain the organisation (E…) instead, which is used only if no workspace is named at all.
    """
    team, user = body.get("team"), body.get("user")
    named = [
        context.get("team_id"),
        body.get("team_id"),
        team.get("id") if isinstance(team, dict) else team,
        user.get("team_id") if isinstance(user, dict) else None,
        context.get("enterprise_id"),
    ]
    ids = [str(id) for id in named if id]
    return next((id for id in ids if not id.startswith("E")), ids[0] if ids else "")

"""What every listener is given: the use cases, and the ways back to the person."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from bot import strings
from bot.answers.events import EventPublisher
from bot.chats.messages import HandleResult, IncomingMessage, Outcome
from bot.chats.service import ChatService
from bot.domain import User
from bot.tasks import Tasks
from handlers.client.user_names import UserNames
from handlers.client.web_api import SlackClient
from handlers.client.workspaces import WorkspaceResolver
from handlers.live_views.channel_membership import ChannelMembership
from handlers.live_views.chat_lists import ChatLists
from handlers.live_views.home_tabs import HomeTabs
from handlers.threads.dialog_chats import DialogChats
from handlers.threads.file_notices import FileNotices
from handlers.threads.model_menu import ModelMenus
from handlers.threads.queued_reaction import QueuedReactions
from handlers.threads.thread_locks import ThreadLocks
from handlers.views import blocks, payloads
from handlers.views.payloads import BlockAction
from storage.chat_requests import ChatRequest
from storage.tokens import Tokens


@dataclass(frozen=True)
class ListenerContext:
    service: ChatService
    model_menus: ModelMenus
    names: UserNames
    workspaces: WorkspaceResolver
    queued_reactions: QueuedReactions
    tasks: Tasks
    tokens: Tokens
    dialog_chats: DialogChats
    home_tabs: HomeTabs
    chat_lists: ChatLists
    membership: ChannelMembership
    file_notices: FileNotices
    publisher: EventPublisher
    thread_locks: ThreadLocks = field(default_factory=ThreadLocks)

    async def hear(self, event: dict[str, Any], team: str) -> None:
        """One message event: stored before this returns, shown afterwards."""
        slack = await self.workspaces.client_for(team)
        said = payloads.incoming_message(event, team=slack.team, bot_user=slack.bot_user)
        if said is None:
            return
        async with self.thread_locks.hold(said.thread):
            said = replace(
                said, text=await self.names.replace_ids(slack.team, said.text, ask=False)
            )
            hearing = await self.service.hear(said)
        if hearing.outcome in (Outcome.ASKED, Outcome.SAID):
            self.tasks.start(self._learn_names(said), name="names")
        about_files = self._about_files(slack, said, hearing)
        if hearing.outcome is Outcome.ASKED and hearing.request is not None:
            self.tasks.start(self._offer(hearing.request, about_files), name="menu")
            return
        if about_files is not None:
            self.tasks.start(about_files, name="about files")
        if hearing.outcome is Outcome.SAID and hearing.said is not None:
            if hearing.request is not None:
                self.tasks.start(
                    self.model_menus.after_fill(hearing.request, hearing.said), name="header"
                )
            elif hearing.said.queued:
                self.queued_reactions.put(
                    slack, said.thread.channel, said.ts, hearing.said.answer.id
                )
        elif hearing.outcome is Outcome.FULL and self.thread_locks.first_time(said.thread, said.ts):
            chat = await self.service.at(said.thread)
            content = blocks.limit_reached(chat.id if chat else "")
            thread = said.thread
            self.whisper(
                slack, thread.channel, thread.ts, said.user, strings.LIMIT_REACHED, content
            )

    async def _learn_names(self, said: IncomingMessage) -> None:
        """Asks Slack what people are called who spoke or were spoken of, now that it has its acknowledgement."""
        await self.names.refresh(User(said.thread.team, said.user))
        text = await self.names.replace_ids(said.thread.team, said.text)
        if text != said.text:
            await self.service.respell(said, text)

    async def _offer(
        self, request: ChatRequest, about_files: Coroutine[Any, Any, None] | None
    ) -> None:
        """The menu, and then what is to be said in its thread, which it makes."""
        await self.model_menus.offer(request)
        if about_files is not None:
            await about_files

    def _about_files(
        self, slack: SlackClient, said: IncomingMessage, hearing: HandleResult
    ) -> Coroutine[Any, Any, None] | None:
        """Tells the person which files of theirs cannot be used, as far as that is known at once."""
        if hearing.outcome in (Outcome.IGNORED, Outcome.STOPPED, Outcome.FULL):
            return None
        blind = hearing.model
        text = (
            self.file_notices.cannot_see(blind)
            if blind is not None
            else self.file_notices.unreadable(said.files)
        )
        if not text or not self.thread_locks.first_time(said.thread, said.ts):
            return None
        thread = said.thread.ts if said.in_thread or hearing.outcome is Outcome.ASKED else None
        return self.file_notices.whisper(slack, said.thread.channel, thread, said.user, text)

    def whisper(
        self,
        slack: SlackClient,
        channel: str,
        thread: str | None,
        user: str,
        text: str,
        content: list[dict[str, Any]] | None = None,
    ) -> None:
        """Tells one person something that nobody else sees."""
        more: dict[str, Any] = {"blocks": content} if content else {}
        if thread:
            more["thread_ts"] = thread
        said = slack.try_call("chat.postEphemeral", channel=channel, user=user, text=text, **more)
        self.tasks.start(said, name="whisper")

    def whisper_at(self, slack: SlackClient, press: BlockAction, text: str) -> None:
        """Tells the person who pressed something, where they pressed it."""
        self.whisper(slack, press.channel, press.thread, press.user, text)

    def model_options(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        """What a menu of models shows for what was typed into it."""
        return blocks.option_groups(self.service.models.search(body.get("value") or ""))

    def person(self, slack: SlackClient, user: str) -> User:
        return User(slack.team, user)


def team_of(body: dict[str, Any], context: dict[str, Any]) -> str:
    """The workspace that an event or interaction belongs to; some views name its organisation (E…) in its place."""
    own, user = body.get("team"), body.get("user")
    named = [
        context.get("team_id"),
        body.get("team_id"),
        own.get("id") if isinstance(own, dict) else own,
        user.get("team_id") if isinstance(user, dict) else None,
        context.get("enterprise_id"),
    ]
    teams = [str(team) for team in named if team]
    return next((team for team in teams if not team.startswith("E")), teams[0] if teams else "")

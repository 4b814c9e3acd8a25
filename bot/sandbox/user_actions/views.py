"""What people do with modals and the App Home."""

from __future__ import annotations

from typing import Any

from bot.sandbox.events.interactions import InteractionSender
from bot.sandbox.events.subscriptions import EventSubscriptions
from bot.sandbox.state.records import Message, View
from bot.sandbox.state.workspace import Workspace
from bot.sandbox.types import Json
from bot.sandbox.user_actions.find_elements import state_values
from bot.sandbox.web_api.messages import file_json
from bot.sandbox.web_api.views import Modals

ASSISTANT_THREAD = "assistant_app_thread"
"""The subtype of the message that begins a thread with an app that has Slack's older view of agents."""


class ViewActions:
    """Looking at, filling in and closing views."""

    def __init__(
        self,
        workspace: Workspace,
        sender: InteractionSender,
        modals: Modals,
        subscriptions: EventSubscriptions,
    ) -> None:
        self._workspace = workspace
        self._sender = sender
        self._modals = modals
        self._subscriptions = subscriptions

    def home(self, user: str) -> View | None:
        """The App Home as the app last published it for this person."""
        return self._workspace.homes.get(self._workspace.user(user).id)

    def modal(self, user: str) -> View | None:
        """The topmost open modal of this person."""
        stack = self._workspace.open_modals(self._workspace.user(user).id)
        return stack[-1] if stack else None

    async def submit(
        self, user: str, values: Json | None = None, view: View | None = None
    ) -> dict[str, str]:
        """Submits the topmost (or the given) modal. Returns the errors by block id; none if it was accepted.

        `values` by block id and action id: either Slack's own objects or, for text and menus, plain strings.
        """
        modal = view or self.modal(user)
        if modal is None or modal not in self._workspace.open_modals(self._workspace.user(user).id):
            raise LookupError("no such modal is open")
        entered = state_values(modal, values or {})
        for block in entered.values():
            for element in block.values():
                if element["type"] == "file_input":
                    element["files"] = self._files(element["files"])
        return await self._sender.submit(modal.user, modal, entered)

    def _files(self, chosen: list[Any]) -> list[Json]:
        """Uploaded files, given by id or as the page names them, as Slack describes them to the app."""
        ids = [each if isinstance(each, str) else str(each["id"]) for each in chosen]
        return [file_json(self._workspace, each) for each in ids]

    async def close(self, user: str, view: View | None = None) -> None:
        """Closes the topmost (or the given) modal."""
        modal = view or self.modal(user)
        if modal is None:
            raise LookupError("no modal is open")
        await self._sender.closed(modal.user, modal, self._modals.close(modal))

    async def open_home(self, user: str, tab: str = "home") -> str:
        """Opens the app's Home (or Messages) tab. Returns the id of the DM with the app."""
        channel = self._workspace.dm(user)
        if tab == "home" and not self._workspace.features.home_tab:
            return channel
        person = self._workspace.user(user).id
        self._subscriptions.send_app_home_opened(person, tab, channel)
        if tab == "messages" and self._workspace.features.assistant_view:
            self._begin_assistant_thread(person, channel)
        return channel

    def _begin_assistant_thread(self, person: str, channel: str) -> None:
        """Begins a thread for the next conversation, unless one waits for its first message."""
        waiting = [
            each
            for each in self._workspace.messages(channel)
            if each.subtype == ASSISTANT_THREAD and not self._has_message_of(person, each)
        ]
        if waiting:
            return
        bot = self._workspace.bot
        root = Message(
            channel=channel,
            ts=self._workspace.next_ts(),
            user=bot.id,
            thread_ts=None,
            revisions=[self._workspace.revision("mrkdwn", "New Assistant Thread", [])],
            subtype=ASSISTANT_THREAD,
            bot_id=bot.bot_id,
            app_id=bot.app_id,
        )
        self._workspace.post(root)
        self._subscriptions.send_assistant_thread_started(person, channel, root.ts)

    def _has_message_of(self, person: str, root: Message) -> bool:
        thread = self._workspace.thread(root.channel, root.ts)
        return any(each.user == person for each in thread)

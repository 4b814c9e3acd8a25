"""What people do with modals and the App Home."""

from __future__ import annotations

from bot.sandbox.events.interactions import InteractionSender
from bot.sandbox.events.subscriptions import EventSubscriptions
from bot.sandbox.state.records import View
from bot.sandbox.state.workspace import Workspace
from bot.sandbox.types import Json
from bot.sandbox.user_actions.find_elements import state_values
from bot.sandbox.web_api.views import Modals


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
        """Submit the topmost (or the given) modal. Returns the errors by block id; none if it was accepted.

        `values` by block id and action id: either Slack's own objects or, for text and menus, plain strings.
        """
        modal = view or self.modal(user)
        if modal is None or modal not in self._workspace.open_modals(self._workspace.user(user).id):
            raise LookupError("no such modal is open")
        return await self._sender.submit(modal.user, modal, state_values(modal, values or {}))

    async def close(self, user: str, view: View | None = None) -> None:
        """Close the topmost (or the given) modal."""
        modal = view or self.modal(user)
        if modal is None:
            raise LookupError("no modal is open")
        await self._sender.closed(modal.user, modal, self._modals.close(modal))

    async def open_home(self, user: str, tab: str = "home") -> str:
        """Open the app's Home (or Messages) tab. Returns the id of the DM with the app."""
        channel = self._workspace.dm(user)
        self._subscriptions.send_app_home_opened(self._workspace.user(user).id, tab, channel)
        return channel

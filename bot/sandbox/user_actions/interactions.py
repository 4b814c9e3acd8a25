"""What people do with the app's elements: press, choose, type a command, use a shortcut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.sandbox.events.interactions import InteractionSender
from bot.sandbox.state.records import Ephemeral, Message
from bot.sandbox.state.workspace import Workspace
from bot.sandbox.text import raw_text
from bot.sandbox.types import Json
from bot.sandbox.user_actions.access import require_access, require_visible
from bot.sandbox.user_actions.find_elements import (
    Target,
    find_button,
    find_container,
    find_element,
    find_option,
    find_shown_element,
)


class InteractionActions:
    """Buttons, menus, slash commands and shortcuts. Raises NotAcknowledged when the app does not acknowledge in
    time.
    """

    def __init__(
        self,
        workspace: Workspace,
        sender: InteractionSender,
        commands: Sequence[Mapping[str, Any]] | None,
    ) -> None:
        self._workspace = workspace
        self._sender = sender
        self._commands = commands

    async def press(
        self, user: str, target: Target, action_id: str, value: str | None = None
    ) -> None:
        """Presses a button. `value` distinguishes buttons with the same action id, and thumbs up from down.

        Raises NotAcknowledged if it is not acknowledged.
        """
        person, container = self._workspace.user(user), find_container(self._workspace, target)
        block, element = find_button(container, action_id, value)
        action = {
            "type": element["type"],
            "action_id": action_id,
            "block_id": block.get("block_id"),
        }
        chosen = element
        if element["type"] == "feedback_buttons":
            both = (element["positive_button"], element["negative_button"])
            chosen = next(button for button in both if value in (None, button.get("value")))
        action |= {name: chosen[name] for name in ("text", "value") if name in chosen}
        await self._sender.act(
            person.id, require_visible(self._workspace, person, container), action
        )

    async def menu(self, user: str, target: Target, action_id: str, query: str = "") -> Json:
        """What a menu shows after typing `query`; LookupError when it asks for a longer query."""
        container = find_container(self._workspace, target)
        require_visible(self._workspace, self._workspace.user(user), container)
        _, element = find_element(container, action_id)
        if _is_external(element) and len(query) < element.get("min_query_length", 3):
            raise LookupError("the menu asks for more characters before it searches")
        return await self.options(user, target, action_id, query)

    async def options(
        self, user: str, target: Target, action_id: str, query: str, *, block_id: str | None = None
    ) -> Json:
        """The app's `options` or `option_groups` for `query`, or the menu's own."""
        container = find_container(self._workspace, target)
        block, element = find_shown_element(container, action_id, block_id)
        if not _is_external(element):
            return {name: element[name] for name in ("options", "option_groups") if name in element}
        person = self._workspace.user(user)
        return await self._sender.options(person.id, container, block, element, query)

    async def choose(
        self, user: str, target: Target, action_id: str, value: str, query: str = ""
    ) -> None:
        """Chooses the option whose value or text is `value`, after typing `query`."""
        option = find_option(await self.menu(user, target, action_id, query), value)
        person, container = self._workspace.user(user), find_container(self._workspace, target)
        block, element = find_element(container, action_id)
        action = {
            "type": element["type"],
            "action_id": action_id,
            "block_id": block.get("block_id"),
        }
        action |= {"selected_option": option, "placeholder": element.get("placeholder")}
        values = {
            str(block.get("block_id")): {
                action_id: {"type": element["type"], "selected_option": option}
            }
        }
        await self._sender.act(
            person.id, require_visible(self._workspace, person, container), action, values
        )

    async def act(
        self, user: str, target: Target, action: Json, values: Json | None = None
    ) -> None:
        """Sends any `block_actions`: `action` without `type` and `action_ts`, which are added here."""
        person, container = self._workspace.user(user), find_container(self._workspace, target)
        block, element = find_shown_element(
            container, str(action.get("action_id")), action.get("block_id")
        )
        full = {"type": element["type"], "block_id": block.get("block_id"), **action}
        await self._sender.act(
            person.id, require_visible(self._workspace, person, container), full, values
        )

    async def command(
        self, user: str, channel: str, command: str, text: str = ""
    ) -> list[Ephemeral]:
        """Types a slash command. Returns the ephemeral messages shown until the acknowledgement."""
        person = self._workspace.user(user)
        conversation = require_access(person, self._workspace.channel_for(person.id, channel))
        known = next((each for each in self._commands or () if each["command"] == command), None)
        if known is None and self._commands is not None:
            raise LookupError(f"{command} is not a command here")
        raw = (
            raw_text(text, self._workspace.labelled_reference)
            if known and known.get("should_escape")
            else text
        )
        before = set(self._workspace.ephemeral_messages)
        await self._sender.command(person.id, conversation.id, command, raw)
        return [
            each
            for each in self._workspace.ephemerals(user, conversation.id)
            if each.id not in before
        ]

    async def shortcut(self, user: str, callback_id: str, message: Message | None = None) -> None:
        """Uses a global shortcut, or one on a message."""
        await self._sender.shortcut(self._workspace.user(user).id, callback_id, message)


def _is_external(element: Json) -> bool:
    """Whether the app supplies the options of a menu."""
    return element["type"] in ("external_select", "multi_external_select")

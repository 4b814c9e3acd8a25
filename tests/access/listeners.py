"""All registered listeners, and which of them Slack's payloads have reached."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

from slack_bolt.app.async_app import AsyncApp

from bot.sandbox.journal import Delivery
from bot.sandbox.types import Json
from handlers.listeners import register_all
from handlers.listeners.context import ListenerContext

NO_DOORS = {
    "event app_context_changed",
    "event app_uninstalled",
    "event channel_id_changed",
    "event member_joined_channel",
    "event member_left_channel",
    "event tokens_revoked",
    "event user_change",
}
"""Events that Slack sends by itself: nobody requests anything with them."""


class Listeners:
    """Replaces Bolt's application while listeners are registered, and records them."""

    def __init__(self) -> None:
        self.ids: dict[str, re.Pattern[str] | str] = {}
        """What each listens to, by kind and id."""

    @classmethod
    def registered(cls) -> Listeners:
        """The listeners of the whole product. An unknown kind of listener raises AttributeError."""
        listeners = cls()
        register_all(cast("AsyncApp", listeners), cast("ListenerContext", None))
        return listeners

    def _of_kind(self, kind: str, wanted: re.Pattern[str] | str) -> Callable[[Any], Any]:
        text = wanted.pattern if isinstance(wanted, re.Pattern) else wanted
        self.ids[f"{kind} {text}"] = wanted
        return lambda function: function

    def event(self, name: str, matchers: Any = None) -> Callable[[Any], Any]:
        tab = " (home)" if matchers else ""
        self.ids[f"event {name}{tab}"] = name
        return lambda function: function

    def action(self, wanted: re.Pattern[str] | str) -> Callable[[Any], Any]:
        return self._of_kind("action", wanted)

    def options(self, wanted: re.Pattern[str] | str) -> Callable[[Any], Any]:
        return self._of_kind("options", wanted)

    def view(self, wanted: re.Pattern[str] | str) -> Callable[[Any], Any]:
        return self._of_kind("view", wanted)

    def command(self, wanted: re.Pattern[str] | str) -> Callable[[Any], Any]:
        return self._of_kind("command", wanted)

    def global_shortcut(self, wanted: re.Pattern[str] | str) -> Callable[[Any], Any]:
        return self._of_kind("shortcut", wanted)

    def message_shortcut(self, wanted: re.Pattern[str] | str) -> Callable[[Any], Any]:
        return self._of_kind("message_action", wanted)

    def reached_by(self, deliveries: list[Delivery]) -> set[str]:
        """The listeners addressed by the payloads that Slack sent."""
        sent = [_addressee(each.payload) for each in deliveries]
        return {
            name
            for name, wanted in self.ids.items()
            if any(name.startswith(f"{kind} ") and re.match(wanted, id) for kind, id in sent)
        }


def _addressee(payload: Json) -> tuple[str, str]:
    """How Bolt finds the listener for a payload: by its kind and id."""
    if event := payload.get("event"):
        return "event", event["type"]
    if command := payload.get("command"):
        return "command", command
    match payload["type"]:
        case "block_actions":
            return "action", payload["actions"][0]["action_id"]
        case "block_suggestion":
            return "options", payload["action_id"]
        case "view_submission":
            return "view", payload["view"]["callback_id"]
        case kind:
            return kind, payload["callback_id"]

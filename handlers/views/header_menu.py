"""The `…` menu of a chat's header. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from bot import strings

HEADER_MENU_ACTION = "chat_menu"


class HeaderChoice(StrEnum):
    """The entries of the menu."""

    CONTINUE = "continue"
    EXPORT = "export"
    RENAME = "rename"


def header_menu(chat_id: str) -> dict[str, Any]:
    """The menu beside the title."""
    labels = {
        HeaderChoice.CONTINUE: strings.CONTINUE_BUTTON,
        HeaderChoice.EXPORT: strings.EXPORT_BUTTON,
        HeaderChoice.RENAME: strings.RENAME_BUTTON,
    }
    options = [
        {"text": {"type": "plain_text", "text": label}, "value": f"{choice}:{chat_id}"}
        for choice, label in labels.items()
    ]
    return {"type": "overflow", "action_id": HEADER_MENU_ACTION, "options": options}


def parse_header_choice(value: str) -> tuple[HeaderChoice, str]:
    """The choice, and the chat's id. Raises ValueError for any other value."""
    choice, _, chat_id = value.partition(":")
    return HeaderChoice(choice), chat_id

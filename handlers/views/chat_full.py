"""The notice that a chat is full, and the button on it that starts another one. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot import strings
from handlers.views.blocks import (
    BLOCK_ID_PREFIX,
    MAX_VALUE_LENGTH,
    NEW_CHAT_ACTION,
    Block,
    button,
    section,
)
from handlers.views.chat_header import continue_button


def limit_reached(chat_id: str, limit: int, refused: str, ts: str) -> list[Block]:
    """The notice to a user for whose message the chat has no room. `refused`: its text; `ts`: its timestamp."""
    value = f"{chat_id}@{ts}\n{refused}"
    if len(value) > MAX_VALUE_LENGTH:
        value = f"{value[: MAX_VALUE_LENGTH - 1]}…"
    ways_on = [
        button(strings.NEW_CHAT, NEW_CHAT_ACTION, value, "primary"),
        continue_button(chat_id),
    ]
    text = strings.CHAT_FULL.format(count=limit)
    return [
        {**section(text), "block_id": f"{BLOCK_ID_PREFIX}limit.{chat_id}"},
        {"type": "actions", "elements": ways_on},
    ]


@dataclass(frozen=True, slots=True)
class NewChat:
    """The value of a "New chat" button."""

    like: str
    """Id of the chat whose model is preselected."""
    text: str = field(default="", repr=False)
    """The initial text of the dialog, as much of it as a button can carry."""
    ts: str = ""
    """The message in that chat's thread with the complete text; empty in older buttons."""


def parse_new_chat(value: str) -> NewChat:
    source, _, text = value.partition("\n")
    chat_id, _, ts = source.partition("@")
    return NewChat(chat_id, text, ts)

"""Block Kit shared by all surfaces: renders the domain's values. Pure; observes Slack's limits."""

from __future__ import annotations

from typing import Any

from handlers.markdown.plain_text import plain

Block = dict[str, Any]
View = dict[str, Any]

MODEL_MENU_ACTION = "model_menu"
START_CHAT_ACTION = "start_chat"
STOP_ANSWER_ACTION = "stop_answer"
RETRY_ANSWER_ACTION = "retry_answer"
RETRY_WITH_MODEL_ACTION = "retry_with_model"
FEEDBACK_ACTION = "feedback"
CONTINUE_CHAT_ACTION = "continue_chat"
ASK_ANOTHER_ACTION = "ask_another"
NEW_CHAT_ACTION = "new_chat"
"""Also the callback id of the dialog and of the global shortcut."""
BLOCK_ID_PREFIX = "bobbin."
"""Starts the block ids of all messages that are not answers, which distinguishes a lost menu from a lost answer."""
MAX_SECTION_LENGTH = 3_000
MAX_CONTEXT_LENGTH = 2_000
MAX_VALUE_LENGTH = 2_000
"""Characters of a button's value."""


def is_direct(channel: str) -> bool:
    """Whether the channel is a direct message, between one person and the bot or between two others.

    Only their ids begin with D; those of group direct messages don't.
    """
    return channel.startswith("D")


def markdown(text: str) -> list[Block]:
    return [{"type": "markdown", "text": text}]


def plain_sections(text: str) -> list[Block]:
    """Plain text of any length, in as many sections as needed."""
    pieces = (text[at : at + MAX_SECTION_LENGTH] for at in range(0, len(text), MAX_SECTION_LENGTH))
    return [
        {"type": "section", "text": {"type": "plain_text", "text": piece}}
        for piece in pieces
        if piece.strip()
    ]


def section(text: str, **more: Any) -> Block:
    return {
        "type": "section",
        "text": {"type": "mrkdwn", "text": text[:MAX_SECTION_LENGTH]},
        **more,
    }


def context(*texts: str) -> Block:
    elements = [{"type": "mrkdwn", "text": text[:MAX_CONTEXT_LENGTH]} for text in texts]
    return {"type": "context", "elements": elements}


def button(text: str, action: str, value: str, style: str | None = None) -> Block:
    block: Block = {
        "type": "button",
        "action_id": action,
        "value": value,
        "text": plain_text(text, emoji=True),
    }
    return {**block, "style": style} if style else block


def plain_text(text: str, limit: int = 75, *, emoji: bool = False) -> Block:
    """A text object without formatting; with `emoji`, colon codes are shown as emoji. Slack rejects an empty one."""
    block: Block = {"type": "plain_text", "text": plain(text, limit) or "–"}
    return {**block, "emoji": True} if emoji else block


def is_service_message(message: dict[str, Any]) -> bool:
    """Whether one of the bot's messages is a menu, a header or a notice, not an answer."""
    return any(
        str(block.get("block_id", "")).startswith(BLOCK_ID_PREFIX)
        for block in message.get("blocks") or ()
    )


def shows_files(message: dict[str, Any]) -> bool:
    """Whether one of the bot's messages contains files, such as an answer's pictures."""
    return bool(message.get("files"))


def api_message(message_id: str, text: str) -> list[Block]:
    """A message sent through the API; `text` is escaped mrkdwn."""
    return [{**section(text), "block_id": api_message_block_id(message_id)}]


def pictures_block_id(answer_id: str) -> str:
    """The id of the line that says that an answer's pictures are not shown."""
    return f"{BLOCK_ID_PREFIX}pictures.{answer_id}"


def transcript_block_id(message_id: str) -> str:
    """The id of the block that identifies the transcript of a message's voice clips."""
    return f"{BLOCK_ID_PREFIX}spoken.{message_id}"


def api_message_block_id(message_id: str) -> str:
    """The id of the block that identifies the message which shows an API message."""
    return f"{BLOCK_ID_PREFIX}via.{message_id}"

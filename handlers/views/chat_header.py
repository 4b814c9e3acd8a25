"""The header, which shows a chat's title, model and owner, and the Stop button. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bot import sentences, strings
from bot.domain import Chat
from bot.domain.model_options import NO_OPTIONS, ModelOptions
from handlers.markdown.mention_guard import guarded
from handlers.markdown.plain_text import mrkdwn_escape, plain
from handlers.views.blocks import (
    BLOCK_ID_PREFIX,
    CONTINUE_CHAT_ACTION,
    STOP_ANSWER_ACTION,
    Block,
    button,
    context,
    markdown,
    section,
)
from handlers.views.header_menu import header_menu


def header(
    chat: Chat,
    model: str,
    hint: str = "",
    *,
    options: ModelOptions = NO_OPTIONS,
    links: Sequence[str] = (),
    summary: str = "",
    stop: bool = False,
) -> list[Block]:
    """The chat's header, which the menu becomes: title, model, owner, and the button that stops an answer.

    `options`: the model's options. `links`: to the chats that it continues and that continue it, as mrkdwn. `summary`:
    of the chat that it continues. `stop`: whether to include the Stop button.
    """
    title = section(
        f"*{mrkdwn_escape(plain(sentences.title(chat), 200))}*", accessory=header_menu(chat.id)
    )
    about = (
        f"{mrkdwn_escape(plain(model, 150))} · {strings.HEADER_STARTED_BY.format(user=chat.owner)}"
    )
    if chat.instructions:
        about = f"{about} · {strings.HEADER_INSTRUCTIONS}"
    about = " · ".join([about, *sentences.chosen(options)])
    hints = [context(hint)] if hint else []
    stop_button = button(strings.STOP_BUTTON, STOP_ANSWER_ACTION, chat.id)
    return [
        {**title, "block_id": header_block_id(chat.id)},
        context(about),
        *hints,
        *([context(*links)] if links else ()),
        *(markdown(guarded(summary)) if summary else ()),
        *([{"type": "actions", "elements": [stop_button]}] if stop else ()),
    ]


def has_stop(content: Sequence[Block]) -> bool:
    """Whether these blocks include a Stop button."""
    buttons = (each for block in content for each in block.get("elements") or ())
    return any(each.get("action_id") == STOP_ANSWER_ACTION for each in buttons)


def header_block_id(chat_id: str) -> str:
    """The id of the block that identifies a chat's header."""
    return f"{BLOCK_ID_PREFIX}header.{chat_id}"


def continue_button(chat_id: str) -> Block:
    return button(strings.CONTINUE_BUTTON, CONTINUE_CHAT_ACTION, chat_id)

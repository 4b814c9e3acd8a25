"""The menu in which the asker chooses a model. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bot import strings
from bot.chats.models import menu_key
from bot.domain import ModelInfo
from handlers.markdown.plain_text import mrkdwn_escape, plain
from handlers.views.blocks import (
    BLOCK_ID_PREFIX,
    MODEL_MENU_ACTION,
    START_CHAT_ACTION,
    Block,
    button,
    context,
    section,
)
from handlers.views.model_select import model_select
from storage.chat_requests import ChatRequest


def menu(
    request: ChatRequest, preselected: ModelInfo | None, options: Sequence[Block] = ()
) -> list[Block]:
    """The message that asks for a model, and for the question if there is none yet.

    `options`: the elements for the model's options.
    """
    prompt = strings.MENU_PROMPT if request.text or request.files else strings.MENU_ASKS
    elements = [model_select(MODEL_MENU_ACTION, preselected)]
    if preselected is not None:
        label = strings.START_BUTTON.format(model=preselected.label)
        elements.append(button(label, START_CHAT_ACTION, f"{request.id}", "primary"))
    elements += options
    hint = (
        strings.START_HINT.format(user=request.user)
        if preselected is not None
        else strings.MENU_NO_MODELS
    )
    return [
        {**section(prompt), "block_id": menu_block_id(request.id)},
        {
            "type": "actions",
            "block_id": model_select_block_id(request.id, preselected),
            "elements": elements,
        },
        context(hint),
    ]


def waiting_for_text(request: ChatRequest, model: str) -> list[Block]:
    """What the menu becomes when a model is chosen before the question is asked."""
    return [
        {**section(strings.WAITING_FOR_TEXT), "block_id": menu_block_id(request.id)},
        context(mrkdwn_escape(plain(model, 150))),
    ]


def menu_block_id(request_id: str) -> str:
    """The id of the block that identifies a request's menu."""
    return f"{BLOCK_ID_PREFIX}menu.{request_id}"


def model_select_block_id(request_id: str, preselected: ModelInfo | None) -> str:
    """Contains the request and the preselected model, so that a restart loses neither."""
    key = menu_key(preselected.ref) if preselected else ""
    return f"{BLOCK_ID_PREFIX}choose.{request_id}.{key}"


def parse_model_select_block_id(block_id: str) -> tuple[str, str]:
    """The request's id and the preselected model's key. Raises ValueError for any other block."""
    prefix, _, rest = block_id.partition(".")
    kind, _, rest = rest.partition(".")
    request_id, _, key = rest.partition(".")
    if f"{prefix}." != BLOCK_ID_PREFIX or kind != "choose" or not request_id:
        raise ValueError("not a menu")
    return request_id, key

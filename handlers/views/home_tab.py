"""The Home tab as a view: introduction, preferences, search and the list of chats. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2s

from bot import strings
from bot.chats.models import menu_key
from bot.domain import ModelInfo
from bot.languages.texts import number
from handlers.markdown.plain_text import mrkdwn_escape, plain
from handlers.views.blocks import (
    NEW_CHAT_ACTION,
    Block,
    View,
    button,
    context,
    plain_text,
    section,
)
from handlers.views.chat_list import ChatListView, ListQuery
from handlers.views.model_select import model_select

HOME_MODEL_ACTION = "home_model"
HOME_ALWAYS_ACTION = "home_always"
HOME_PREFIX = "home_"
"""The prefix of action ids that concern the user's own model."""
HOME_SEARCH_ACTION = "home_search"
HOME_PAGE_ACTION = "home_page"
SEARCH_BLOCK = "bobbin.search"
MAX_VIEW_BLOCKS = 100
"""Slack's limit for a Home tab."""


def home_with_notice(text: str) -> View:
    """A Home tab with nothing but this notice."""
    return {"type": "home", "blocks": [section(mrkdwn_escape(text))]}


def home_tab(
    listing: ChatListView,
    *,
    shown: ModelInfo | None,
    gone: str | None,
    always: bool,
    options: Sequence[Block],
    usage: str,
) -> View:
    """The Home tab.

    `shown`: the model that is preselected for the user; None while no model is offered. `gone`: the user's own model,
    if it is not offered any more. `always`: whether the user skips the menu. `options`: the elements for the model's
    options. `usage`: one line.
    """
    query, rows = listing.query, listing.blocks
    many = f"{number(listing.total)}{'+' if listing.at_least else ''}"
    count = strings.HOME_COUNT.format(count=listing.total, shown=many)
    show_all = [button(strings.HOME_ALL, f"{HOME_PAGE_ACTION}.all", ListQuery().dump())]
    new_chat = [button(strings.NEW_CHAT, NEW_CHAT_ACTION, "home", "primary")]
    blocks: list[Block] = [
        section(strings.HOME_INTRO),
        {"type": "actions", "elements": new_chat},
        *_preferences(shown, gone, always, options),
        context(usage),
        {"type": "divider"},
        _search_field(query.search),
        *([{"type": "actions", "elements": show_all}] if query.search else []),
        *rows[:1],
        *([context(count)] if listing.total else []),
        *rows[1:],
    ]
    return {
        "type": "home",
        "blocks": blocks[:MAX_VIEW_BLOCKS],
        "private_metadata": query.dump(),
    }


def _preferences(
    shown: ModelInfo | None, gone: str | None, always: bool, options: Sequence[Block]
) -> list[Block]:
    sentence = strings.HOME_MODEL if shown is not None else strings.HOME_NO_MODELS
    if gone is not None:
        sentence = strings.HOME_MODEL_GONE.format(model=mrkdwn_escape(plain(gone, 100)))
    always_option = {
        "text": plain_text(strings.HOME_ALWAYS),
        "description": plain_text(strings.HOME_ALWAYS_HINT),
        "value": "always",
    }
    checkboxes: Block = {
        "type": "checkboxes",
        "action_id": HOME_ALWAYS_ACTION,
        "options": [always_option],
    }
    if always:
        checkboxes["initial_options"] = [always_option]
    # Slack keeps the selection of a block whose id it knows, so each state has its own id.
    block_id = (
        f"bobbin.prefer.{_digest(f'{shown and menu_key(shown.ref)} {gone} {always} {options}')}"
    )
    elements = [model_select(HOME_MODEL_ACTION, shown), *options, checkboxes]
    return [section(sentence), {"type": "actions", "block_id": block_id, "elements": elements}]


def _search_field(search: str) -> Block:
    field: Block = {
        "type": "plain_text_input",
        "action_id": HOME_SEARCH_ACTION,
        "placeholder": plain_text(strings.HOME_SEARCH_HINT, 150),
        "max_length": 200,
        "dispatch_action_config": {"trigger_actions_on": ["on_enter_pressed"]},
    }
    if search:
        field["initial_value"] = search[:200]
    return {
        "type": "input",
        "block_id": f"{SEARCH_BLOCK}.{_digest(search)}",
        "dispatch_action": True,
        "optional": True,
        "label": plain_text(strings.HOME_SEARCH, 150),
        "element": field,
    }


def _digest(text: str) -> str:
    return blake2s(text.encode(), digest_size=8).hexdigest()

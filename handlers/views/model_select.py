"""The select menu of models that every surface shows, and its options. Pure; observes Slack's limits."""

from __future__ import annotations

from collections.abc import Iterable

from bot import strings
from bot.chats.models import menu_key
from bot.domain import ModelInfo
from bot.providers.catalogue import ModelGroup
from handlers.markdown.plain_text import plain
from handlers.views.blocks import Block, plain_text

MAX_LABEL_LENGTH = 75
"""Characters of the heading of a group of options."""


def model_select(
    action: str, preselected: ModelInfo | None = None, placeholder: str | None = None
) -> Block:
    """A searchable menu of models, whose options Slack requests from the bot."""
    select: Block = {
        "type": "external_select",
        "action_id": action,
        "min_query_length": 0,
        "placeholder": plain_text(placeholder or strings.MENU_PLACEHOLDER, 150),
    }
    return select if preselected is None else {**select, "initial_option": option(preselected)}


def option(info: ModelInfo) -> Block:
    return {"text": plain_text(info.label), "value": menu_key(info.ref)}


def option_groups(groups: Iterable[ModelGroup]) -> list[Block]:
    """The options of a menu of models, grouped by provider."""
    return [
        {"label": _group_label(group), "options": [option(info) for info in group.models]}
        for group in groups
    ]


def _group_label(group: ModelGroup) -> Block:
    """The provider's name, and how many of its models are listed if not all are."""
    if not group.hidden:
        return plain_text(group.label)
    shown = len(group.models)
    more = strings.MENU_MORE.format(shown=shown, total=shown + group.hidden)
    return plain_text(f"{plain(group.label, MAX_LABEL_LENGTH - len(more))}{more}")

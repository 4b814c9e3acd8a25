"""The options chosen along with a model, as Block Kit elements, and their chosen values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot import strings
from bot.chats.models import OfferedOptions
from bot.domain.model_options import Effort, ModelOptions
from handlers.views.blocks import Block, plain_text

WEB_SEARCH_ACTION = "web_search"
REASONING_ACTION = "reasoning"
SEARCH_BLOCK = "bobbin.search"
REASONING_BLOCK = "bobbin.reasoning"
DEFAULT_EFFORT = "default"
"""The value of the option for the provider's default."""


def elements(offered: OfferedOptions, chosen: ModelOptions, prefix: str = "") -> list[Block]:
    """The elements for an actions block. `prefix`: of their action ids."""
    found = {
        f"{prefix}{WEB_SEARCH_ACTION}": _search_checkbox(chosen) if offered.web_search else None,
        f"{prefix}{REASONING_ACTION}": _effort_select(chosen) if offered.effort else None,
    }
    return [{**element, "action_id": action} for action, element in found.items() if element]


def inputs(offered: OfferedOptions, chosen: ModelOptions) -> list[Block]:
    """The elements for a dialog."""
    places = {
        WEB_SEARCH_ACTION: (SEARCH_BLOCK, strings.WEB_SEARCH_LABEL),
        REASONING_ACTION: (REASONING_BLOCK, strings.REASONING_LABEL),
    }
    found = []
    for element in elements(offered, chosen):
        block_id, label = places[element["action_id"]]
        found.append(
            {
                "type": "input",
                "block_id": block_id,
                "optional": True,
                "label": plain_text(label, 150),
                "element": element,
            }
        )
    return found


def chosen_in(state: Mapping[str, Any], *block_ids: str) -> ModelOptions:
    """The values chosen in these blocks, from the `values` of a payload's state."""
    chosen: dict[str, Any] = {}
    for block_id in block_ids:
        chosen |= state.get(block_id) or {}
    return ModelOptions(
        web_search=bool((chosen.get(WEB_SEARCH_ACTION) or {}).get("selected_options")),
        effort=effort_of((chosen.get(REASONING_ACTION) or {}).get("selected_option") or {}),
    )


def effort_of(option: Mapping[str, Any]) -> Effort | None:
    """The effort that an option of the menu stands for."""
    value = option.get("value")
    return Effort(value) if value in set(Effort) else None


def _search_checkbox(chosen: ModelOptions) -> Block:
    option = _option(strings.WEB_SEARCH, "yes")
    ticked = {"initial_options": [option]} if chosen.web_search else {}
    return {"type": "checkboxes", "options": [option], **ticked}


def _effort_select(chosen: ModelOptions) -> Block:
    texts = strings.EFFORT_OPTIONS
    options = {value: _option(texts[value], value) for value in (DEFAULT_EFFORT, *Effort)}
    return {
        "type": "static_select",
        "placeholder": plain_text(strings.REASONING_LABEL, 150),
        "options": list(options.values()),
        "initial_option": options[chosen.effort or DEFAULT_EFFORT],
    }


def _option(text: str, value: str) -> Block:
    return {"text": plain_text(text), "value": str(value)}

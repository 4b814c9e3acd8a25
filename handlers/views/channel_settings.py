"""The dialog with a channel's settings, and its submission. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from bot import strings
from bot.chats.channels import MAX_INSTRUCTIONS
from bot.domain import ModelInfo
from bot.domain.tool_calls import MAX_PATTERN, NO_TOOLS, ChannelTools, Tool, pattern_of
from handlers.views.blocks import Block, View, context, plain_text
from handlers.views.modals import DialogTarget
from handlers.views.model_select import model_select
from storage.channel_settings import ChannelSettings

CHANNEL_SETTINGS_ACTION = "channel_settings"
CHANNEL_MODEL_ACTION = "channel_model"
INSTRUCTIONS_ACTION = "channel_instructions"
SKIP_MENU_ACTION = "channel_skip_menu"
INSTRUCTIONS_BLOCK = "bobbin.instructions"
CHANNEL_MODEL_BLOCK = "bobbin.channel_model"
SKIP_MENU_BLOCK = "bobbin.skip_menu"
USED_TOOLS_ACTION = "channel_tools"
USED_TOOLS_BLOCK = "bobbin.channel_tools"
ASKED_TOOLS_ACTION = "channel_asked_tools"
ASKED_TOOLS_BLOCK = "bobbin.channel_asked_tools"
MAX_OPTIONS = 100
"""Options of one group, and groups, that Slack shows in a menu."""
NO_DEFAULT = "-"
"""The value of the option that removes the default model, because Slack has no way to empty a menu."""


def no_default_option() -> Block:
    return {"text": plain_text(strings.CHANNEL_NO_DEFAULT, 75), "value": NO_DEFAULT}


def tool_groups(tools: Sequence[Tool], *, none: bool) -> list[Block]:
    """The options of a menu of tools: each server as a whole, then its tools. `none`: includes an option for no tools
    at all.
    """
    groups = [
        {
            "label": plain_text(server, 75),
            "options": [
                _tool_option(pattern)
                for pattern in dict.fromkeys([f"{server}/*", *(pattern_of(t.path) for t in found)])
            ][:MAX_OPTIONS],
        }
        for server, found in groupby(tools, lambda tool: tool.server)
    ]
    nothing = {
        "label": plain_text(strings.CHANNEL_NO_TOOLS, 75),
        "options": [_tool_option(NO_TOOLS)],
    }
    return ([nothing] if none else []) + groups[: MAX_OPTIONS - 1]


def _tool_option(pattern: str) -> Block:
    text = pattern
    if pattern == NO_TOOLS:
        text = strings.CHANNEL_NO_TOOLS
    elif pattern.endswith("/*"):
        text = strings.CHANNEL_ALL_TOOLS.format(server=pattern.removesuffix("/*"))
    return {"text": plain_text(text, 75), "value": pattern}


def settings_dialog(
    target: DialogTarget,
    settings: ChannelSettings,
    default: ModelInfo | None,
    *,
    has_tools: bool = False,
) -> View:
    """`default`: the settings' default model, if it is offered. `has_tools`: whether there are tools to choose from."""
    return {
        "type": "modal",
        "callback_id": CHANNEL_SETTINGS_ACTION,
        "title": plain_text(strings.CHANNEL_TITLE, 24),
        "submit": plain_text(strings.CHANNEL_SAVE, 24),
        "close": plain_text(strings.DIALOG_CANCEL, 24),
        "private_metadata": target.dump(),
        "blocks": [
            _input(
                INSTRUCTIONS_BLOCK,
                strings.CHANNEL_INSTRUCTIONS,
                _instructions(settings.instructions),
                hint=strings.CHANNEL_INSTRUCTIONS_HINT,
            ),
            _input(
                CHANNEL_MODEL_BLOCK,
                strings.CHANNEL_MODEL,
                model_select(CHANNEL_MODEL_ACTION, default),
                hint=strings.CHANNEL_MODEL_HINT,
            ),
            _input(SKIP_MENU_BLOCK, strings.CHANNEL_MENU, _skip_menu(settings.skip_menu)),
            *(_tool_inputs(settings.tools) if has_tools else ()),
            context(strings.CHANNEL_HINT.format(channel=target.channel)),
        ],
    }


def _tool_inputs(tools: ChannelTools) -> list[Block]:
    return [
        _input(
            USED_TOOLS_BLOCK,
            strings.CHANNEL_TOOLS,
            _tool_select(USED_TOOLS_ACTION, tools.use),
            hint=strings.CHANNEL_TOOLS_HINT,
        ),
        _input(
            ASKED_TOOLS_BLOCK,
            strings.CHANNEL_ASKED_TOOLS,
            _tool_select(ASKED_TOOLS_ACTION, tools.ask),
            hint=strings.CHANNEL_ASKED_TOOLS_HINT,
        ),
    ]


def _tool_select(action: str, chosen: Sequence[str]) -> Block:
    select: Block = {
        "type": "multi_external_select",
        "action_id": action,
        "min_query_length": 0,
        "placeholder": plain_text(strings.CHANNEL_TOOLS_PLACEHOLDER, 150),
        "max_selected_items": MAX_OPTIONS,
    }
    initial = [_tool_option(pattern) for pattern in chosen]
    return select | ({"initial_options": initial} if initial else {})


def _input(block_id: str, label: str, element: Block, hint: str = "") -> Block:
    block = {
        "type": "input",
        "block_id": block_id,
        "optional": True,
        "label": plain_text(label, 150),
        "element": element,
    }
    return block | ({"hint": plain_text(hint, 150)} if hint else {})


def _instructions(text: str) -> Block:
    element: Block = {
        "type": "plain_text_input",
        "action_id": INSTRUCTIONS_ACTION,
        "multiline": True,
        "max_length": MAX_INSTRUCTIONS,
    }
    return element | ({"initial_value": text} if text else {})


def _skip_menu(checked: bool) -> Block:
    option = {"text": plain_text(strings.CHANNEL_SKIP_MENU, 75), "value": "skip"}
    element: Block = {"type": "checkboxes", "action_id": SKIP_MENU_ACTION, "options": [option]}
    return element | ({"initial_options": [option]} if checked else {})


@dataclass(frozen=True, slots=True)
class SettingsSubmission:
    """What an admin submitted."""

    user: str
    target: DialogTarget
    instructions: str = field(repr=False)
    model: str | None
    """Key of the default model; None for none."""
    skip_menu: bool
    tools: ChannelTools | None
    """None: the dialog did not ask for them."""


def settings_submission(body: dict[str, Any]) -> SettingsSubmission:
    """Parses a view_submission of the dialog. Raises ValueError if its metadata is not the bot's."""
    view = body["view"]
    values = (view.get("state") or {}).get("values") or {}

    def state(block: str, action: str) -> dict[str, Any]:
        return (values.get(block) or {}).get(action) or {}

    chosen = state(CHANNEL_MODEL_BLOCK, CHANNEL_MODEL_ACTION).get("selected_option") or {}
    model = chosen.get("value")
    return SettingsSubmission(
        user=body["user"]["id"],
        target=DialogTarget.load(view.get("private_metadata") or ""),
        instructions=(state(INSTRUCTIONS_BLOCK, INSTRUCTIONS_ACTION).get("value") or "").strip(),
        model=None if model == NO_DEFAULT else model,
        skip_menu=bool(state(SKIP_MENU_BLOCK, SKIP_MENU_ACTION).get("selected_options")),
        tools=_submitted_tools(values),
    )


def _submitted_tools(values: dict[str, Any]) -> ChannelTools | None:
    if USED_TOOLS_BLOCK not in values:
        return None

    def chosen(block: str, action: str) -> tuple[str, ...]:
        options = ((values.get(block) or {}).get(action) or {}).get("selected_options") or ()
        return tuple(str(option["value"])[:MAX_PATTERN] for option in options)[:MAX_OPTIONS]

    used = chosen(USED_TOOLS_BLOCK, USED_TOOLS_ACTION)
    return ChannelTools(
        use=(NO_TOOLS,) if NO_TOOLS in used else used,
        ask=chosen(ASKED_TOOLS_BLOCK, ASKED_TOOLS_ACTION),
    )

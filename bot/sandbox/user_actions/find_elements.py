"""Finds the element that a person presses or chooses from, and what they entered. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bot.sandbox.state.records import Container, Ephemeral, Message, View
from bot.sandbox.state.workspace import Workspace
from bot.sandbox.types import Json

Target = str | Message | Ephemeral | View
"""What a person acts on: an object, the ts of a message, or the id of an ephemeral message or a view."""


def find_container(workspace: Workspace, target: Target) -> Container:
    """The container of the elements of `target`; LookupError when there is no such message or view."""
    found = _find_target(workspace, target) if isinstance(target, str) else target
    if isinstance(found, Message):
        return Container(_all_blocks(found), message=found)
    if isinstance(found, Ephemeral):
        return Container(_all_blocks(found), ephemeral=found)
    return Container(found.blocks, view=found)


def _all_blocks(holder: Message | Ephemeral) -> list[Json]:
    """The blocks of a message and of its attachments."""
    inner = (block for each in holder.attachments for block in each.get("blocks") or ())
    return [*holder.blocks, *inner]


def _find_target(workspace: Workspace, ref: str) -> Message | Ephemeral | View:
    if ref in workspace.views:
        return workspace.views[ref]
    for channel in workspace.channels.values():
        if ref in channel.messages:
            return channel.messages[ref]
    for ephemeral in workspace.ephemeral_messages.values():
        if ref in (ephemeral.ts, ephemeral.id):
            return ephemeral
    raise LookupError(f"there is no message {ref}")


def elements(blocks: list[Json]) -> Iterator[tuple[Json, Json]]:
    """Each interactive element with its block."""
    for block in blocks:
        inner = [*block.get("elements", ()), block.get("accessory"), block.get("element")]
        for element in inner:
            if isinstance(element, dict) and "action_id" in element:
                yield block, element
        yield from elements(block.get("child_blocks", []))


def find_element(
    container: Container, action_id: str, block_id: str | None = None
) -> tuple[Json, Json]:
    """The element with this id, and its block; LookupError if there is none."""
    for block, element in elements(container.blocks):
        if element["action_id"] == action_id and block_id in (None, block.get("block_id")):
            return block, element
    available = sorted(element["action_id"] for _, element in elements(container.blocks))
    raise LookupError(f"no element {action_id!r} here; there are {available}")


def find_shown_element(
    container: Container, action_id: str, block_id: str | None
) -> tuple[Json, Json]:
    """Like `find_element`, but also searches earlier contents: as in Slack, a click applies to what the person saw."""
    try:
        return find_element(container, action_id, block_id)
    except LookupError:
        for blocks in container.earlier if block_id else ():
            for block, element in elements(blocks):
                if (element["action_id"], block.get("block_id")) == (action_id, block_id):
                    return block, element
        raise


def find_button(container: Container, action_id: str, value: str | None) -> tuple[Json, Json]:
    """A button by action id and, when several share that, by value."""
    if value is None:
        return find_element(container, action_id)
    for block, element in elements(container.blocks):
        both = (element, element.get("positive_button", {}), element.get("negative_button", {}))
        if element["action_id"] == action_id and any(
            button.get("value") == value for button in both
        ):
            return block, element
    raise LookupError(f"no button {action_id!r} with the value {value!r} here")


def flat_options(answer: Json) -> list[Json]:
    """All options of a menu, with groups flattened."""
    return [
        *answer.get("options", ()),
        *(each for group in answer.get("option_groups", ()) for each in group["options"]),
    ]


def find_option(answer: Json, value: str) -> Json:
    """The option with this value or text; LookupError if the menu does not offer it."""
    available = flat_options(answer)
    for option in available:
        if value in (option["value"], option["text"]["text"]):
            return option
    raise LookupError(
        f"the menu does not offer {value!r}, only {[option['text']['text'] for option in available]}"
    )


def state_values(view: View, values: Json) -> Json:
    """Slack's `state.values` for what a person entered; plain strings become their element's object."""
    state: Json = {}
    for block, element in elements(view.blocks):
        if element["type"] in _STATELESS:
            continue
        block_id = str(block.get("block_id"))
        given = values.get(block_id, {})
        entered = given.get(element["action_id"]) if isinstance(given, dict) else given
        state.setdefault(block_id, {})[element["action_id"]] = _entered(element, entered)
    return state


_STATELESS = frozenset({"button", "overflow", "workflow_button", "feedback_buttons", "icon_button"})
"""Elements that a person presses, and that keep nothing."""


def _entered(element: Json, entered: Any) -> Json:
    kind = element["type"]
    if isinstance(entered, dict):
        return entered if "type" in entered else {"type": kind, **entered}
    name, initial, nothing = _VALUES.get(kind, ("selected_option", "initial_option", None))
    if entered is None:
        return {"type": kind, name: element.get(initial, nothing)}
    if name == "selected_option":
        entered = {"text": {"type": "plain_text", "text": entered}, "value": entered}
    return {"type": kind, name: entered}


_TEXT: tuple[str, str, Any] = ("value", "initial_value", None)
_VALUES: Mapping[str, tuple[str, str, Any]] = {
    "plain_text_input": _TEXT,
    "email_text_input": _TEXT,
    "url_text_input": _TEXT,
    "number_input": _TEXT,
    "rich_text_input": ("rich_text_value", "initial_value", None),
    "file_input": ("files", "", []),
    "checkboxes": ("selected_options", "initial_options", []),
    "datepicker": ("selected_date", "initial_date", None),
    "timepicker": ("selected_time", "initial_time", None),
    "datetimepicker": ("selected_date_time", "initial_date_time", None),
    "users_select": ("selected_user", "initial_user", None),
    "conversations_select": ("selected_conversation", "initial_conversation", None),
    "channels_select": ("selected_channel", "initial_channel", None),
    "multi_static_select": ("selected_options", "initial_options", []),
    "multi_external_select": ("selected_options", "initial_options", []),
    "multi_users_select": ("selected_users", "initial_users", []),
    "multi_conversations_select": ("selected_conversations", "initial_conversations", []),
    "multi_channels_select": ("selected_channels", "initial_channels", []),
}
"""By type of element: the field of its value, the field of its initial value, and its value when there is none."""

"""The ids that Slack gives to blocks and to their elements if the app gave none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bot.sandbox.types import Json

_WITHOUT_ACTION = frozenset({"image", "mrkdwn", "plain_text"})
_HOLDERS = frozenset({"actions", "section", "input", "context_actions"})


def with_ids(block: Json, new_id: Callable[[str], str]) -> Json:
    """The block with a `block_id`, and with an `action_id` on every element that people press or fill in."""
    named = block if "block_id" in block else {**block, "block_id": new_id("b")}
    if block.get("type") not in _HOLDERS:
        return named
    inner: Json = {
        name: _with_action_id(block[name], new_id)
        for name in ("accessory", "element")
        if name in block
    }
    if "elements" in block:
        inner["elements"] = [_with_action_id(each, new_id) for each in block["elements"]]
    return {**named, **inner}


def _with_action_id(element: Any, new_id: Callable[[str], str]) -> Any:
    if "action_id" in element or element.get("type") in _WITHOUT_ACTION:
        return element
    return {**element, "action_id": new_id("a")}

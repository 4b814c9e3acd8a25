"""Collects what the block and element checks find wrong with a payload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Surface = Literal["message", "modal", "home"]


class Findings:
    """Problems with JSON pointers, and the totals that Slack limits."""

    def __init__(self, surface: Surface) -> None:
        self.surface: Surface = surface
        self.problems: list[str] = []
        self.block_ids: set[str] = set()
        self.action_ids: set[str] = set()
        self.focused = 0
        self.markdown_length = 0
        self.text_length = 0

    def report(self, path: str, what: str) -> None:
        self.problems.append(f"[ERROR] {what} [json-pointer:{path}]")

    def check_text(
        self, value: Any, path: str, limit: int, *, plain: bool = False, counted: bool = False
    ) -> None:
        """A text object: `{type: plain_text|mrkdwn, text}` of 1 to `limit` characters."""
        if not isinstance(value, Mapping):
            self.report(path, "must be a text object")
            return
        kind, text = value.get("type"), value.get("text")
        if kind not in (("plain_text",) if plain else ("plain_text", "mrkdwn")):
            self.report(f"{path}/type", f"unsupported type: {kind}")
        for name in value.keys() - {
            "type",
            "text",
            "emoji" if kind == "plain_text" else "verbatim",
        }:
            self.report(f"{path}/{name}", "additional property not allowed")
        self.check_string(text, f"{path}/text", limit)
        if counted and isinstance(text, str):
            self.text_length += len(text)

    def check_string(self, value: Any, path: str, limit: int, *, least: int = 1) -> None:
        """A required string of `least` to `limit` characters."""
        if not isinstance(value, str):
            self.report(path, "must be a string")
        elif len(value) > limit:
            self.report(path, f"must be less than {limit + 1} characters")
        elif len(value) < least:
            self.report(path, f"must be more than {least - 1} characters")

    def check_optional_string(
        self, holder: Mapping[str, Any], name: str, path: str, limit: int, *, least: int = 0
    ) -> None:
        """A string that may be missing."""
        if holder.get(name) is not None:
            self.check_string(holder[name], f"{path}/{name}", limit, least=least)

    def check_items(self, value: Any, path: str, most: int, least: int = 1) -> list[Any]:
        """A list of `least` to `most` items. Returns an empty list if it is not a list."""
        if not isinstance(value, list):
            self.report(path, "must be a list")
            return []
        if len(value) > most:
            self.report(path, f"no more than {most} items allowed")
        if len(value) < least:
            self.report(path, f"no fewer than {least} items allowed")
        return value

    def check_keys(self, holder: Mapping[str, Any], path: str, allowed: frozenset[str]) -> None:
        for name in sorted(holder.keys() - allowed):
            self.report(f"{path}/{name}", "additional property not allowed")

    def check_block_id(self, block: Mapping[str, Any], path: str) -> None:
        """`block_id` is at most 255 characters and unique in the payload; action ids are unique in a block."""
        self.action_ids = set()
        block_id = block.get("block_id")
        if block_id is None:
            return
        self.check_string(block_id, f"{path}/block_id", 255)
        if block_id in self.block_ids:
            self.report(f"{path}/block_id", f"duplicate block_id: {block_id}")
        self.block_ids.add(str(block_id))

    def check_action_id(self, element: Mapping[str, Any], path: str) -> None:
        action_id = element.get("action_id")
        if action_id is None:
            return
        self.check_string(action_id, f"{path}/action_id", 255)
        if action_id in self.action_ids:
            self.report(f"{path}/action_id", f"duplicate action_id: {action_id}")
        self.action_ids.add(str(action_id))

"""Validates blocks, messages, modals and App Homes as Slack does, with Slack's error names."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from bot.sandbox.errors import InvalidAnswer, SlackRefusal
from bot.sandbox.validation.elements import (
    IN_ACTIONS,
    IN_CONTEXT_ACTIONS,
    IN_INPUT,
    IN_SECTION,
    check_element,
    check_image,
    check_options,
)
from bot.sandbox.validation.findings import Findings, Surface

MAX_MESSAGE_BLOCKS = 50
MAX_VIEW_BLOCKS = 100
MAX_MARKDOWN_LENGTH = 12_000
MAX_TOTAL_TEXT_LENGTH = 13_200
MAX_TABLE_TEXT_LENGTH = 10_000
MAX_VIEW_BYTES = 250_000

_Check = Callable[[Findings, Mapping[str, Any], str], None]


def check_message_blocks(blocks: Any) -> None:
    """Raises SlackRefusal for blocks that Slack refuses in a message."""
    findings = _check_blocks(blocks, "message", MAX_MESSAGE_BLOCKS)
    if findings.problems:
        raise SlackRefusal("invalid_blocks", *findings.problems)
    if (
        findings.markdown_length > MAX_MARKDOWN_LENGTH
        or findings.text_length > MAX_TOTAL_TEXT_LENGTH
    ):
        raise SlackRefusal("msg_blocks_too_long")


def check_view(view: Any, expected: str) -> None:
    """Raises SlackRefusal for a view that is not a valid modal or home."""
    if not isinstance(view, dict) or view.get("type") != expected:
        raise SlackRefusal(
            "invalid_arguments",
            f"[ERROR] view must be of type {expected} [json-pointer:/view/type]",
        )
    if len(json.dumps(view).encode()) > MAX_VIEW_BYTES:
        raise SlackRefusal("view_too_large")
    findings = _check_blocks(
        view.get("blocks"),
        "home" if expected == "home" else "modal",
        MAX_VIEW_BLOCKS,
        "/view/blocks",
    )
    findings.check_keys(
        view,
        "/view",
        _VIEW_KEYS if expected == "modal" else _VIEW_KEYS - {"title", "submit", "close"},
    )
    for name, limit in (("private_metadata", 3000), ("callback_id", 255), ("external_id", 255)):
        findings.check_optional_string(view, name, "/view", limit)
    if expected == "modal":
        _modal(findings, view)
    if findings.problems:
        raise SlackRefusal("invalid_arguments", *findings.problems)


def check_menu_answer(answer: Any) -> None:
    """Raises InvalidAnswer for a menu's `options` or `option_groups` that Slack would not show."""
    findings = Findings("message")
    if not isinstance(answer, Mapping):
        findings.report("", "must be an object with options or option_groups")
    else:
        check_options(findings, answer, "", least=0)
    if findings.problems:
        raise InvalidAnswer("invalid_options", findings.problems)


_VIEW_KEYS = frozenset(
    {"type", "blocks", "title", "submit", "close", "private_metadata", "callback_id", "external_id"}
)
_VIEW_KEYS |= {"clear_on_close", "notify_on_close", "submit_disabled"}


def _modal(findings: Findings, view: Mapping[str, Any]) -> None:
    findings.check_text(view.get("title"), "/view/title", 24, plain=True)
    for name in ("submit", "close"):
        if view.get(name) is not None:
            findings.check_text(view[name], f"/view/{name}", 24, plain=True)
    if view.get("submit") is None and any(
        block.get("type") == "input" for block in view.get("blocks") or ()
    ):
        findings.report("/view/submit", "a modal with input blocks must have submit")


def _check_blocks(blocks: Any, surface: Surface, most: int, path: str = "/blocks") -> Findings:
    findings = Findings(surface)
    tables = 0
    for index, block in enumerate(findings.check_items(blocks, path, most, 0)):
        where = f"{path}/{index}"
        if not isinstance(block, Mapping):
            findings.report(where, "must be an object")
            continue
        check_block(findings, block, where)
        tables += block.get("type") == "table"
    if tables > 1:
        raise SlackRefusal("invalid_attachments", "[ERROR] only_one_table_allowed")
    return findings


def check_block(findings: Findings, block: Mapping[str, Any], path: str) -> None:
    """Checks one block of any type."""
    kind = str(block.get("type"))
    known = _BLOCKS.get(kind)
    if known is None or findings.surface not in known[1]:
        findings.report(f"{path}/type", f"unsupported type: {kind}")
        return
    check, _, keys = known
    findings.check_keys(block, path, keys | {"type", "block_id"})
    if kind != "markdown":
        findings.check_block_id(block, path)
    check(findings, block, path)


def _section(findings: Findings, block: Mapping[str, Any], path: str) -> None:
    if "text" not in block and "fields" not in block:
        findings.report(path, "must have text or fields")
    if "text" in block:
        findings.check_text(block["text"], f"{path}/text", 3000, counted=True)
    if "fields" in block:
        for index, field in enumerate(findings.check_items(block["fields"], f"{path}/fields", 10)):
            findings.check_text(field, f"{path}/fields/{index}", 2000, counted=True)
    if "accessory" in block:
        check_element(findings, block["accessory"], f"{path}/accessory", IN_SECTION)


def _header(findings: Findings, block: Mapping[str, Any], path: str) -> None:
    findings.check_text(block.get("text"), f"{path}/text", 150, plain=True, counted=True)


def _context(findings: Findings, block: Mapping[str, Any], path: str) -> None:
    for index, element in enumerate(
        findings.check_items(block.get("elements"), f"{path}/elements", 10)
    ):
        where = f"{path}/elements/{index}"
        if isinstance(element, Mapping) and element.get("type") == "image":
            check_image(findings, element, where)
        else:
            findings.check_text(element, where, 3000, counted=True)


def _actions(findings: Findings, block: Mapping[str, Any], path: str) -> None:
    for index, element in enumerate(
        findings.check_items(block.get("elements"), f"{path}/elements", 25)
    ):
        check_element(findings, element, f"{path}/elements/{index}", IN_ACTIONS)


def _context_actions(findings: Findings, block: Mapping[str, Any], path: str) -> None:
    for index, element in enumerate(
        findings.check_items(block.get("elements"), f"{path}/elements", 5)
    ):
        check_element(findings, element, f"{path}/elements/{index}", IN_CONTEXT_ACTIONS)


def _image(findings: Findings, block: Mapping[str, Any], path: str) -> None:
    check_image(findings, block, path)
    if block.get("title") is not None:
        findings.check_text(block["title"], f"{path}/title", 2000, plain=True)


def _input(findings: Findings, block: Mapping[str, Any], path: str) -> None:
    findings.check_text(block.get("label"), f"{path}/label", 2000, plain=True)
    if block.get("hint") is not None:
        findings.check_text(block["hint"], f"{path}/hint", 2000, plain=True)
    check_element(findings, block.get("element"), f"{path}/element", IN_INPUT)


def _markdown(findings: Findings, block: Mapping[str, Any], path: str) -> None:
    text = block.get("text")
    if not isinstance(text, str) or not text:
        findings.report(f"{path}/text", "must be a string of at least one character")
        return
    findings.markdown_length += len(text)
    findings.text_length += len(text)


def _table(findings: Findings, block: Mapping[str, Any], path: str) -> None:
    length = 0
    for index, row in enumerate(findings.check_items(block.get("rows"), f"{path}/rows", 100)):
        for number, cell in enumerate(findings.check_items(row, f"{path}/rows/{index}", 20)):
            length += _cell(findings, cell, f"{path}/rows/{index}/{number}")
    if length > MAX_TABLE_TEXT_LENGTH:
        findings.report(
            f"{path}/rows", f"must be less than {MAX_TABLE_TEXT_LENGTH + 1} characters in all cells"
        )
    if "column_settings" in block:
        findings.check_items(block["column_settings"], f"{path}/column_settings", 20, 0)


def _cell(findings: Findings, cell: Any, path: str) -> int:
    kind = cell.get("type") if isinstance(cell, Mapping) else None
    if kind == "raw_text":
        findings.check_string(cell.get("text"), f"{path}/text", MAX_TABLE_TEXT_LENGTH)
        return len(str(cell.get("text") or ""))
    if kind not in ("rich_text", "raw_number"):
        findings.report(path, f"unsupported type: {kind}")
    return 0


_RICH = frozenset(
    {"rich_text_section", "rich_text_list", "rich_text_quote", "rich_text_preformatted"}
)


def _rich_text(findings: Findings, block: Mapping[str, Any], path: str) -> None:
    for index, element in enumerate(
        findings.check_items(block.get("elements"), f"{path}/elements", 1000, 0)
    ):
        where = f"{path}/elements/{index}"
        if not isinstance(element, Mapping) or element.get("type") not in _RICH:
            findings.report(f"{where}/type", "unsupported type")
            continue
        if not isinstance(element.get("elements"), list):
            findings.report(f"{where}/elements", "must be a list")
        findings.text_length += _rich_length(element)


def _rich_length(node: Any) -> int:
    if isinstance(node, list):
        return sum(map(_rich_length, node))
    if not isinstance(node, Mapping):
        return 0
    return len(str(node.get("text") or "")) + _rich_length(node.get("elements"))


def _card(findings: Findings, block: Mapping[str, Any], path: str) -> None:
    for name, limit in (("title", 150), ("subtitle", 150), ("body", 200)):
        if block.get(name) is not None:
            findings.check_text(block[name], f"{path}/{name}", limit, counted=True)


def _container(findings: Findings, block: Mapping[str, Any], path: str) -> None:
    for index, child in enumerate(
        findings.check_items(block.get("child_blocks"), f"{path}/child_blocks", 10)
    ):
        if isinstance(child, Mapping):
            check_block(findings, child, f"{path}/child_blocks/{index}")


def _accept_any(findings: Findings, block: Mapping[str, Any], path: str) -> None:
    """For block types whose content is not validated."""


_ALL = frozenset({"message", "modal", "home"})
_MESSAGE = frozenset({"message"})
_BLOCKS: Mapping[str, tuple[_Check, frozenset[str], frozenset[str]]] = {
    "section": (_section, _ALL, frozenset({"text", "fields", "accessory", "expand"})),
    "header": (_header, _ALL, frozenset({"text", "level"})),
    "context": (_context, _ALL, frozenset({"elements"})),
    "actions": (_actions, _ALL, frozenset({"elements"})),
    "context_actions": (_context_actions, _MESSAGE, frozenset({"elements"})),
    "divider": (_accept_any, _ALL, frozenset()),
    "image": (_image, _ALL, frozenset({"image_url", "alt_text", "title", "slack_file"})),
    "input": (_input, _ALL, frozenset({"label", "element", "hint", "optional", "dispatch_action"})),
    "markdown": (_markdown, _MESSAGE, frozenset({"text"})),
    "table": (_table, _MESSAGE, frozenset({"rows", "column_settings"})),
    "rich_text": (_rich_text, _ALL, frozenset({"elements"})),
    "task_card": (
        _accept_any,
        _MESSAGE,
        frozenset({"task_id", "title", "status", "details", "output", "sources"}),
    ),
    "plan": (_accept_any, _MESSAGE, frozenset({"plan_id", "title", "tasks"})),
    "card": (
        _card,
        _MESSAGE,
        frozenset(
            {"title", "subtitle", "body", "actions", "icon", "hero_image", "subtext", "slack_icon"}
        ),
    ),
    "carousel": (_accept_any, _MESSAGE, frozenset({"elements"})),
    "container": (
        _container,
        _MESSAGE,
        frozenset(
            {
                "child_blocks",
                "title",
                "subtitle",
                "icon",
                "width",
                "is_collapsible",
                "default_collapsed",
            }
        ),
    ),
    "alert": (_accept_any, frozenset({"modal"}), frozenset({"text", "level"})),
    "file": (_accept_any, _MESSAGE, frozenset({"external_id", "source"})),
    "video": (
        _accept_any,
        _ALL,
        frozenset({"alt_text", "author_name", "description", "provider_icon_url", "provider_name"})
        | {"title", "title_url", "thumbnail_url", "video_url"},
    ),
}

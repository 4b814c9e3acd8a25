"""Validates block elements (buttons, menus, inputs) as Slack does. Reports to Findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bot.sandbox.validation.findings import Findings

MAX_OPTION_TEXT_LENGTH = 75
MAX_OPTION_VALUE_LENGTH = 75
"""Documented as 150 in some places and 75 in others; the stricter one is safe in both."""

_COMMON = frozenset({"type", "action_id", "focus_on_load", "confirm"})
_SELECT = _COMMON | {"placeholder"}
_TEXT = frozenset(
    {"type", "action_id", "initial_value", "dispatch_action_config", "focus_on_load", "placeholder"}
)
_KEYS: Mapping[str, frozenset[str]] = {
    "button": _COMMON
    | {
        "text",
        "url",
        "value",
        "style",
        "accessibility_label",
        "agent_prompt",
        "agent_prompt_display",
    }
    | {"visible_to_user_ids"},
    "static_select": _SELECT | {"options", "option_groups", "initial_option"},
    "external_select": _SELECT | {"min_query_length", "initial_option"},
    "multi_static_select": _SELECT
    | {"options", "option_groups", "initial_options", "max_selected_items"},
    "multi_external_select": _SELECT
    | {"min_query_length", "initial_options", "max_selected_items"},
    "users_select": _SELECT | {"initial_user"},
    "multi_users_select": _SELECT | {"initial_users", "max_selected_items"},
    "multi_conversations_select": _SELECT
    | {"initial_conversations", "default_to_current_conversation", "filter", "max_selected_items"},
    "multi_channels_select": _SELECT | {"initial_channels", "max_selected_items"},
    "conversations_select": _SELECT
    | {"initial_conversation", "default_to_current_conversation", "response_url_enabled", "filter"},
    "channels_select": _SELECT | {"initial_channel", "response_url_enabled"},
    "overflow": frozenset({"type", "action_id", "options", "confirm"}),
    "checkboxes": _COMMON | {"options", "initial_options"},
    "radio_buttons": _COMMON | {"options", "initial_option"},
    "datepicker": _SELECT | {"initial_date"},
    "timepicker": _SELECT | {"initial_time", "timezone"},
    "datetimepicker": _COMMON | {"initial_date_time"},
    "plain_text_input": _TEXT | {"multiline", "min_length", "max_length"},
    "email_text_input": _TEXT,
    "url_text_input": _TEXT,
    "number_input": _TEXT | {"is_decimal_allowed", "min_value", "max_value"},
    "rich_text_input": _TEXT,
    "file_input": frozenset({"type", "action_id", "filetypes", "max_files"}),
    "workflow_button": frozenset({"type", "text", "workflow", "action_id", "style"})
    | {"accessibility_label"},
    "feedback_buttons": frozenset({"type", "action_id", "positive_button", "negative_button"}),
    "icon_button": frozenset(
        {"type", "icon", "text", "action_id", "value", "confirm", "accessibility_label"}
    )
    | {"visible_to_user_ids"},
    "image": frozenset({"type", "image_url", "alt_text", "slack_file"}),
}


def check_element(findings: Findings, element: Any, path: str, allowed: frozenset[str]) -> None:
    """Checks one element in a place where only the types `allowed` may be."""
    if not isinstance(element, Mapping):
        findings.report(path, "must be an object")
        return
    kind = str(element.get("type"))
    if kind not in allowed:
        findings.report(f"{path}/type", f"unsupported type: {kind}")
        return
    findings.check_keys(element, path, _KEYS[kind])
    findings.check_action_id(element, path)
    findings.focused += bool(element.get("focus_on_load"))
    if findings.focused > 1:
        findings.report(path, "only one element may have focus_on_load")
    if "placeholder" in element:
        findings.check_text(element["placeholder"], f"{path}/placeholder", 150, plain=True)
    if "confirm" in element:
        _confirm(findings, element["confirm"], f"{path}/confirm")
    check = _CHECKS.get(kind)
    if check is not None:
        check(findings, element, path)


def check_option(findings: Findings, option: Any, path: str, *, rich: bool = False) -> None:
    """An option: text ≤ 75, value ≤ 75, description ≤ 75; only radio buttons and check boxes may have mrkdwn."""
    if not isinstance(option, Mapping):
        findings.report(path, "must be an object")
        return
    findings.check_keys(option, path, frozenset({"text", "value", "description", "url"}))
    findings.check_text(option.get("text"), f"{path}/text", MAX_OPTION_TEXT_LENGTH, plain=not rich)
    findings.check_string(option.get("value"), f"{path}/value", MAX_OPTION_VALUE_LENGTH)
    if option.get("description") is not None:
        findings.check_text(option["description"], f"{path}/description", 75, plain=not rich)


def check_options(
    findings: Findings, holder: Mapping[str, Any], path: str, most: int = 100, least: int = 1
) -> None:
    """`options` or `option_groups`, not both; each list at most `most` long."""
    if ("options" in holder) == ("option_groups" in holder):
        findings.report(path, "must provide either options or option_groups")
        return
    if "options" in holder:
        for index, option in enumerate(
            findings.check_items(holder["options"], f"{path}/options", most, least)
        ):
            check_option(findings, option, f"{path}/options/{index}")
        return
    for index, group in enumerate(
        findings.check_items(holder["option_groups"], f"{path}/option_groups", 100, least)
    ):
        _option_group(findings, group, f"{path}/option_groups/{index}", most)


def _option_group(findings: Findings, group: Any, path: str, most: int) -> None:
    if not isinstance(group, Mapping):
        findings.report(path, "must be an object")
        return
    findings.check_text(group.get("label"), f"{path}/label", 75, plain=True)
    for number, option in enumerate(
        findings.check_items(group.get("options"), f"{path}/options", most)
    ):
        check_option(findings, option, f"{path}/options/{number}")


def _confirm(findings: Findings, confirm: Any, path: str) -> None:
    if not isinstance(confirm, Mapping):
        findings.report(path, "must be an object")
        return
    findings.check_text(confirm.get("title"), f"{path}/title", 100, plain=True)
    findings.check_text(confirm.get("text"), f"{path}/text", 300)
    findings.check_text(confirm.get("confirm"), f"{path}/confirm", 30, plain=True)
    findings.check_text(confirm.get("deny"), f"{path}/deny", 30, plain=True)


def _button(findings: Findings, element: Mapping[str, Any], path: str) -> None:
    findings.check_text(element.get("text"), f"{path}/text", 75, plain=True)
    findings.check_optional_string(element, "value", path, 2000)
    findings.check_optional_string(element, "url", path, 3000)
    findings.check_optional_string(element, "accessibility_label", path, 75)
    findings.check_optional_string(element, "agent_prompt", path, 4000)
    if element.get("style") not in (None, "primary", "danger"):
        findings.report(f"{path}/style", "must be primary or danger")


def _static_select(findings: Findings, element: Mapping[str, Any], path: str) -> None:
    check_options(findings, element, path)
    initial = element.get("initial_option")
    if initial is None:
        return
    check_option(findings, initial, f"{path}/initial_option")
    offered = list(element.get("options") or ())
    for group in element.get("option_groups") or ():
        offered += group.get("options") or () if isinstance(group, Mapping) else ()
    if initial not in offered:
        findings.report(f"{path}/initial_option", "must be one of the options")


def _external_select(findings: Findings, element: Mapping[str, Any], path: str) -> None:
    if element.get("initial_option") is not None:
        check_option(findings, element["initial_option"], f"{path}/initial_option")
    least = element.get("min_query_length")
    if least is not None and (not isinstance(least, int) or isinstance(least, bool) or least < 0):
        findings.report(f"{path}/min_query_length", "must be a non-negative integer")


def _choices(
    most: int, least: int = 1, *, rich: bool = False
) -> Callable[[Findings, Mapping[str, Any], str], None]:
    def check(findings: Findings, element: Mapping[str, Any], path: str) -> None:
        for index, option in enumerate(
            findings.check_items(element.get("options"), f"{path}/options", most, least)
        ):
            check_option(findings, option, f"{path}/options/{index}", rich=rich)

    return check


def _plain_text_input(findings: Findings, element: Mapping[str, Any], path: str) -> None:
    longest = element.get("max_length", 3000)
    if not isinstance(longest, int) or not 1 <= longest <= 3000:
        findings.report(f"{path}/max_length", "must be between 1 and 3000")
    shortest = element.get("min_length", 0)
    if not isinstance(shortest, int) or not 0 <= shortest <= 3000:
        findings.report(f"{path}/min_length", "must be between 0 and 3000")
    findings.check_optional_string(
        element, "initial_value", path, longest if isinstance(longest, int) else 3000
    )


def _number_input(findings: Findings, element: Mapping[str, Any], path: str) -> None:
    if not isinstance(element.get("is_decimal_allowed"), bool):
        findings.report(f"{path}/is_decimal_allowed", "must be a boolean")


def _datetimepicker(findings: Findings, element: Mapping[str, Any], path: str) -> None:
    initial = element.get("initial_date_time")
    if initial is not None and (not isinstance(initial, int) or len(str(initial)) != 10):
        findings.report(f"{path}/initial_date_time", "must be a time in seconds of ten digits")


def _file_input(findings: Findings, element: Mapping[str, Any], path: str) -> None:
    most = element.get("max_files", 10)
    if not isinstance(most, int) or not 1 <= most <= 10:
        findings.report(f"{path}/max_files", "must be between 1 and 10")


def _workflow_button(findings: Findings, element: Mapping[str, Any], path: str) -> None:
    findings.check_text(element.get("text"), f"{path}/text", 75, plain=True)
    if not isinstance(element.get("workflow"), Mapping):
        findings.report(f"{path}/workflow", "must be an object")


def _feedback_buttons(findings: Findings, element: Mapping[str, Any], path: str) -> None:
    for name in ("positive_button", "negative_button"):
        button, where = element.get(name), f"{path}/{name}"
        if not isinstance(button, Mapping):
            findings.report(where, "must be an object")
            continue
        findings.check_keys(button, where, frozenset({"text", "value", "accessibility_label"}))
        findings.check_text(button.get("text"), f"{where}/text", 75, plain=True)
        findings.check_string(button.get("value"), f"{where}/value", 2000)
        findings.check_optional_string(button, "accessibility_label", where, 75)


def _icon_button(findings: Findings, element: Mapping[str, Any], path: str) -> None:
    if element.get("icon") != "trash":
        findings.report(f"{path}/icon", "unsupported icon")
    findings.check_text(element.get("text"), f"{path}/text", 75, plain=True)
    findings.check_optional_string(element, "value", path, 2000)
    if "visible_to_user_ids" in element:
        findings.check_items(element["visible_to_user_ids"], f"{path}/visible_to_user_ids", 10, 0)


def check_image(findings: Findings, element: Mapping[str, Any], path: str) -> None:
    """Checks an image element or block: one source, and an alternative text."""
    if ("image_url" in element) == ("slack_file" in element):
        findings.report(path, "must provide either image_url or slack_file")
    findings.check_optional_string(element, "image_url", path, 3000, least=1)
    findings.check_string(element.get("alt_text"), f"{path}/alt_text", 2000, least=0)


_CHECKS: Mapping[str, Callable[[Findings, Mapping[str, Any], str], None]] = {
    "button": _button,
    "static_select": _static_select,
    "multi_static_select": check_options,
    "external_select": _external_select,
    "multi_external_select": _external_select,
    "overflow": _choices(5),
    "checkboxes": _choices(10, rich=True),
    "radio_buttons": _choices(10, rich=True),
    "plain_text_input": _plain_text_input,
    "number_input": _number_input,
    "datetimepicker": _datetimepicker,
    "file_input": _file_input,
    "workflow_button": _workflow_button,
    "feedback_buttons": _feedback_buttons,
    "icon_button": _icon_button,
    "image": check_image,
}

SELECTS = frozenset(
    {"static_select", "external_select", "users_select", "conversations_select", "channels_select"}
)
MULTI_SELECTS = frozenset({f"multi_{kind}" for kind in SELECTS})
PICKERS = frozenset({"datepicker", "timepicker", "datetimepicker", "checkboxes", "radio_buttons"})
TEXT_INPUTS = frozenset({"plain_text_input", "email_text_input", "url_text_input", "number_input"})
IN_ACTIONS = SELECTS | MULTI_SELECTS | PICKERS | {"button", "overflow", "workflow_button"}
IN_SECTION = (IN_ACTIONS - {"datetimepicker"}) | {"image"}
IN_INPUT = SELECTS | MULTI_SELECTS | PICKERS | TEXT_INPUTS | {"rich_text_input", "file_input"}
IN_CONTEXT_ACTIONS = frozenset({"feedback_buttons", "icon_button"})

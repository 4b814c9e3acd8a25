"""The message that asks for a decision about a tool call, or shows the outcome. Pure."""

from __future__ import annotations

import json

from bot import strings
from bot.domain.tool_calls import CallState, Decision, StoredCall, parsed_arguments
from handlers.markdown.plain_text import mrkdwn_escape, plain
from handlers.views.blocks import BLOCK_ID_PREFIX, Block, button, context, plain_sections, section

ACTIONS = {
    Decision.ONCE: "tool_allow_once",
    Decision.ALWAYS: "tool_allow_always",
    Decision.DENY: "tool_deny",
}
MAX_ARGUMENTS = 2_900
"""Characters of arguments that are shown: they fill one section."""
MAX_NAME = 150


def approval(call: StoredCall) -> list[Block]:
    """The tool, its arguments as plain text, which cannot ping, and the buttons or the outcome."""
    template = strings.APPROVAL_ASKS if call.state is CallState.ASKED else strings.APPROVAL_CALL
    head = template.format(tool=_code(call.path), user=call.asker or "")
    return [
        {**section(head), "block_id": block_id(call)},
        *plain_sections(_arguments(call)),
        *(_buttons(call) if call.state is CallState.ASKED else [context(outcome(call))]),
    ]


def gone(approval_id: str) -> list[Block]:
    """What remains of the message about an erased call. `approval_id`: `StoredCall.approval`."""
    block = f"{BLOCK_ID_PREFIX}approval.{approval_id.partition('-')[0]}"
    return [{**section(strings.APPROVAL_UNKNOWN_CALL), "block_id": block}]


def fallback(call: StoredCall) -> str:
    """The text shown where blocks are not."""
    return strings.APPROVAL_FALLBACK.format(tool=plain(call.path, MAX_NAME))


def block_id(call: StoredCall) -> str:
    """The id of the block that identifies the message."""
    return f"{BLOCK_ID_PREFIX}approval.{call.id}"


def outcome(call: StoredCall) -> str:
    """The outcome of a call, as mrkdwn."""
    user = call.decided_by or ""
    if call.state is CallState.UNKNOWN:
        return strings.APPROVAL_UNKNOWN
    if call.state is CallState.DENIED and call.stopped:
        return strings.APPROVAL_STOPPED
    if call.state is CallState.DENIED:
        return strings.APPROVAL_DENIED.format(user=user) if user else strings.APPROVAL_LAPSED
    if call.state is CallState.FAILED:
        return strings.APPROVAL_FAILED.format(user=user)
    if call.state is CallState.DONE:
        return strings.APPROVAL_DONE.format(user=user)
    return strings.APPROVAL_ALLOWED.format(user=user)


def _buttons(call: StoredCall) -> list[Block]:
    labels = {
        Decision.ONCE: strings.APPROVAL_ONCE_BUTTON,
        Decision.ALWAYS: strings.APPROVAL_ALWAYS_BUTTON,
        Decision.DENY: strings.APPROVAL_DENY_BUTTON,
    }
    styles = {Decision.ONCE: "primary", Decision.DENY: "danger"}
    elements = [
        button(label, ACTIONS[decision], call.approval, styles.get(decision))
        for decision, label in labels.items()
    ]
    return [{"type": "actions", "elements": elements}]


def _arguments(call: StoredCall) -> str:
    try:
        text = json.dumps(parsed_arguments(call.call), ensure_ascii=False, indent=1)
    except ValueError:
        text = call.call.arguments
    if len(text) <= MAX_ARGUMENTS:
        return text
    cut = strings.APPROVAL_CUT.format(count=len(text) - MAX_ARGUMENTS)
    return f"{text[:MAX_ARGUMENTS]}\n{cut}"


def _code(path: str) -> str:
    return f"`{mrkdwn_escape(plain(path, MAX_NAME)).replace('`', '’')}`"

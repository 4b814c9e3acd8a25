"""Tool calls as people and operators see them: as steps of an answer, and in the audit log."""

from __future__ import annotations

from bot import english_strings
from bot.answers.running_answer import RunningAnswer
from bot.audit import Action, record
from bot.domain.steps import StepKind, StepStatus
from bot.domain.stream_events import StepChanged
from bot.domain.tool_calls import CallResult, CallState, StoredCall, ToolOutcome, arguments_hash

MAX_SHOWN_ARGUMENTS, MAX_SHOWN_RESULT = 150, 250
"""Characters of each that an expanded step shows."""

_STATUSES = {
    CallState.ASKED: StepStatus.WAITING,
    CallState.READY: StepStatus.RUNNING,
    CallState.CALLING: StepStatus.RUNNING,
    CallState.DONE: StepStatus.DONE,
    CallState.FAILED: StepStatus.FAILED,
    CallState.DENIED: StepStatus.DENIED,
    CallState.UNKNOWN: StepStatus.UNKNOWN,
}


def report_step(run: RunningAnswer, call: StoredCall) -> None:
    """Reports the state of a call as a step."""
    detail = _detail(call) if call.state.ended else ""
    run.steps.change(
        StepChanged(call.id, StepKind.TOOL, _STATUSES[call.state], name=call.path, detail=detail)
    )


def record_call(team: str, chat_id: str, call: StoredCall) -> None:
    """Records the end of a call in the audit log, without its arguments, its result, or a name that the model made
    up.
    """
    record(
        Action.TOOL_CALLED,
        team=team,
        actor=call.asker or "",
        target=chat_id,
        tool=call.path if call.pin else "",
        arguments=arguments_hash(call.call.arguments),
        outcome=str(call.state),
        seconds=round(call.seconds or 0.0, 3),
    )


def _detail(call: StoredCall) -> str:
    """What an expanded step shows: the beginnings of the arguments and of the result."""
    texts = (
        (call.call.arguments, MAX_SHOWN_ARGUMENTS),
        (call.result, MAX_SHOWN_RESULT),
    )
    lines = (" ".join(text[: 2 * limit].split()) for text, limit in texts)
    short = (
        line if len(line) <= limit else f"{line[: limit - 1]}…"
        for line, (_, limit) in zip(lines, texts, strict=True)
    )
    return "\n→ ".join(short)


def ended(result: CallResult, *, repeatable: bool) -> tuple[CallState, str]:
    """How a call ended, and what the model is told about it."""
    if result.outcome is not ToolOutcome.UNKNOWN:
        return CallState(result.outcome.value), result.text
    if repeatable:
        return CallState.FAILED, english_strings.CALL_REPEATABLE.format(cause=result.text)
    return CallState.UNKNOWN, english_strings.CALL_UNKNOWN.format(cause=result.text)

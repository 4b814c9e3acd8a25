"""What people read about the steps of an answer. Pure."""

from __future__ import annotations

from math import ceil

from bot import strings
from bot.steps import Step, StepKind, StepStatus


def step_title(step: Step) -> str:
    """One line for a step that has ended, with how long it took."""
    title = _TITLES[step.kind].format(name=step.name)
    if step.kind is StepKind.THINKING and step.seconds is not None:
        title = strings.THOUGHT_FOR.format(seconds=whole_seconds(step.seconds))
    elif step.seconds is not None:
        title = strings.STEP_TOOK.format(step=title, seconds=step.seconds)
    if step.status in _ENDINGS:
        title = strings.STEP_ENDED.format(step=title, ending=_ENDINGS[step.status])
    return title


def activity(step: Step, seconds: float) -> str:
    """What the status line says while a step goes on, after the bot's name. `seconds`: for how long it has so far."""
    if step.kind is StepKind.SEARCH:
        return strings.SEARCHING
    if step.kind is StepKind.TOOL:
        asks = step.status is StepStatus.WAITING
        return (strings.ASKING_FOR_TOOL if asks else strings.USING_TOOL).format(name=step.name)
    if seconds < 1:
        return strings.THINKING
    return strings.THINKING_SECONDS.format(seconds=int(seconds))


def whole_seconds(seconds: float) -> int:
    """At least one: nobody thinks in no time."""
    return max(1, ceil(seconds - 0.5))


_TITLES = {
    StepKind.THINKING: strings.THOUGHT,
    StepKind.SEARCH: strings.SEARCHED,
    StepKind.TOOL: "{name}",
}
_ENDINGS = {
    StepStatus.FAILED: strings.STEP_FAILED,
    StepStatus.DENIED: strings.STEP_DENIED,
    StepStatus.UNKNOWN: strings.STEP_UNKNOWN,
}

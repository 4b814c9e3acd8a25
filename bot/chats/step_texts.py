"""What people read about the steps of an answer. Pure."""

from __future__ import annotations

from math import ceil

from bot import strings
from bot.domain.steps import Step, StepKind, StepStatus


def step_title(step: Step) -> str:
    """One line for an ended step, with its duration."""
    if step.kind is StepKind.SEARCH and step.status is StepStatus.DENIED:
        return strings.SEARCH_REFUSED
    if step.kind is StepKind.DOCUMENT:
        return strings.SCAN_REFUSED
    if step.kind is StepKind.TOOLS:
        return strings.TOOLS_LEFT_OUT
    if step.kind is StepKind.THINKING and step.status is StepStatus.DENIED:
        return strings.EFFORT_REFUSED
    title = _what_was_done(step)
    ending = _how_it_ended(step.status)
    return strings.STEP_ENDED.format(step=title, ending=ending) if ending else title


def _what_was_done(step: Step) -> str:
    if step.kind is StepKind.THINKING:
        if step.seconds is None:
            return strings.THOUGHT
        return strings.THOUGHT_FOR.format(seconds=whole_seconds(step.seconds))
    what = strings.SEARCHED if step.kind is StepKind.SEARCH else step.name
    if step.seconds is None:
        return what
    return strings.STEP_TOOK.format(step=what, seconds=step.seconds)


def _how_it_ended(status: StepStatus) -> str:
    """Empty if it went well."""
    if status is StepStatus.FAILED:
        return strings.STEP_FAILED
    if status is StepStatus.DENIED:
        return strings.STEP_DENIED
    return strings.STEP_UNKNOWN if status is StepStatus.UNKNOWN else ""


def activity(step: Step, seconds: float) -> str:
    """What the status line says during a step, after the bot's name. `seconds`: how long it has taken so far."""
    if step.kind is StepKind.SEARCH:
        return strings.SEARCHING
    if step.kind is StepKind.TOOL:
        asks = step.status is StepStatus.WAITING
        return (strings.ASKING_FOR_TOOL if asks else strings.USING_TOOL).format(name=step.name)
    if seconds < 1:
        return strings.THINKING
    return strings.THINKING_SECONDS.format(seconds=int(seconds))


def whole_seconds(seconds: float) -> int:
    """At least one, because nobody thinks in no time."""
    return max(1, ceil(seconds - 0.5))

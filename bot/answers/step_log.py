"""Keeps the steps of one answer: numbers, times and limits them. Pure, apart from the clock.

A provider, or the code that calls tools, reports changes by `StepChanged` with its own key; the log turns them into
`Step` values. Thinking has no key: it begins with the first reasoning, and ends when anything else begins.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from bot.domain.steps import (
    MAX_DETAIL_LENGTH,
    MAX_NAME_LENGTH,
    MAX_STEPS,
    Step,
    StepKind,
    StepStatus,
)
from bot.domain.stream_events import StepChanged

OnChange = Callable[[Step], None]
"""Called with the new state of a step. Returns immediately."""


@dataclass(frozen=True, slots=True)
class ReasoningDisplay:
    """What people see of a model's reasoning."""

    as_steps: bool = True
    """How long it takes."""
    with_text: bool = False
    """The reasoning text that the model reveals."""


TIMED_REASONING = ReasoningDisplay()


@dataclass(slots=True)
class _ReasoningStep:
    """The step in progress while the model thinks."""

    step: Step
    parts: list[str] = field(default_factory=list)
    length: int = 0


class StepLog:
    """The steps of one answer, across all its model calls."""

    def __init__(
        self,
        on_change: OnChange = lambda step: None,
        reasoning_display: ReasoningDisplay = TIMED_REASONING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_change = on_change
        self._display = reasoning_display
        self._clock = clock
        self._steps: dict[int, Step] = {}
        self._keys: dict[str, int] = {}
        self._began: dict[int, float | None] = {}
        self._reasoning_step: _ReasoningStep | None = None
        self._silent_since: float | None = None
        """When the model was asked, as long as it has said nothing."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, in the order of their numbers."""
        return tuple(self._steps.values())

    def call_begun(self) -> None:
        """A model is asked, perhaps again: the silence that follows belongs to the first step it reports.

        A search of the previous call has failed if that call did not report its end.
        """
        self._silent_since = self._clock()
        for key, number in list(self._keys.items()):
            step = self._steps[number]
            if step.kind is not StepKind.TOOL:
                del self._keys[key]
                self._end(step, StepStatus.FAILED)

    def reasoning(self, text: str) -> None:
        """The model is reasoning."""
        if not self._display.as_steps:
            return
        if self._reasoning_step is None:
            step = self._new(StepKind.THINKING, "", StepStatus.RUNNING)
            if step is None:
                return
            self._reasoning_step = _ReasoningStep(step)
            self._put(step)
        reasoning = self._reasoning_step
        if self._display.with_text and reasoning.length < MAX_DETAIL_LENGTH:
            reasoning.parts.append(text)
            reasoning.length += len(text)

    def text(self) -> None:
        """The model is writing."""
        self._silent_since = None
        if self._reasoning_step is not None:
            self._end_reasoning(StepStatus.DONE)

    def change(self, event: StepChanged) -> None:
        """A reported change of a step."""
        if self._reasoning_step is not None:
            self._end_reasoning(StepStatus.DONE)
        step = None if self._is_known_denial(event) else self._of(event)
        if step is None:
            return
        self._keys[event.key] = step.number
        changed = replace(
            step,
            name=event.name[:MAX_NAME_LENGTH] or step.name,
            status=event.status,
            detail=_bounded(event.detail) or step.detail,
        )
        self._put(self._timed(changed))

    def _is_known_denial(self, event: StepChanged) -> bool:
        """Whether this denial was reported before: a provider that denies something does so in every call of the
        answer.
        """
        if event.kind is StepKind.TOOL or event.status is not StepStatus.DENIED:
            return False
        denial = (event.kind, event.status)
        return any((step.kind, step.status) == denial for step in self.steps)

    def _of(self, event: StepChanged) -> Step | None:
        """The step with this key, new or existing; None beyond the limit."""
        number = self._keys.get(event.key)
        if number is None:
            return self._new(event.kind, event.name, event.status)
        return self._steps[number]

    def end(self, *, failed: bool) -> None:
        """The answer ends. Steps in progress fail with it, or are stopped; the outcome of a tool is unknown."""
        ending = StepStatus.FAILED if failed else StepStatus.DONE
        if self._reasoning_step is not None:
            self._end_reasoning(ending)
        for step in self.steps:
            is_tool = step.kind is StepKind.TOOL
            if is_tool and step.status is StepStatus.WAITING:
                self._end(step, StepStatus.DENIED)
            else:
                self._end(step, StepStatus.UNKNOWN if is_tool else ending)

    def _end(self, step: Step, status: StepStatus) -> None:
        if not step.status.ended:
            self._put(self._timed(replace(step, status=status)))

    def _new(self, kind: StepKind, name: str, status: StepStatus) -> Step | None:
        """A step that begins now, or with the call if the model has been silent since; None beyond the limit.

        If a step is reported only at its end, in the middle of the text, its beginning is unknown.
        """
        if len(self._began) >= MAX_STEPS:
            return None
        number = len(self._began) + 1
        silent_since, self._silent_since = self._silent_since, None
        now = None if status.ended else self._clock()
        self._began[number] = now if silent_since is None else silent_since
        return Step(number, kind, name[:MAX_NAME_LENGTH], status)

    def _end_reasoning(self, status: StepStatus) -> None:
        reasoning, self._reasoning_step = self._reasoning_step, None
        if reasoning is not None:
            detail = _bounded("".join(reasoning.parts).strip())
            self._put(self._timed(replace(reasoning.step, status=status, detail=detail)))

    def _timed(self, step: Step) -> Step:
        if not step.status.ended or step.seconds is not None:
            return step
        began = self._began[step.number]
        return step if began is None else replace(step, seconds=round(self._clock() - began, 3))

    def _put(self, step: Step) -> None:
        if self._steps.get(step.number) != step:
            self._steps[step.number] = step
            self._on_change(step)


def _bounded(text: str) -> str:
    return text if len(text) <= MAX_DETAIL_LENGTH else text[: MAX_DETAIL_LENGTH - 1] + "…"

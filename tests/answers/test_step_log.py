"""The steps of one answer: what is reported, and what results from it."""

from __future__ import annotations

from collections.abc import Callable

from bot.answers.step_log import ReasoningDisplay, StepLog
from bot.domain.steps import (
    MAX_DETAIL_LENGTH,
    MAX_NAME_LENGTH,
    MAX_STEPS,
    Step,
    StepKind,
    StepStatus,
)
from bot.domain.stream_events import StepChanged

SEARCH, TOOL = StepKind.SEARCH, StepKind.TOOL
RUNNING, WAITING, DONE = StepStatus.RUNNING, StepStatus.WAITING, StepStatus.DONE
FAILED, DENIED, UNKNOWN = StepStatus.FAILED, StepStatus.DENIED, StepStatus.UNKNOWN
Act = Callable[[StepLog], None]


def at(log_of: list[float], seconds: float) -> Act:
    def move(log: StepLog) -> None:
        log_of[0] = seconds

    return move


def change(key: str, kind: StepKind, status: StepStatus, name: str = "", detail: str = "") -> Act:
    return lambda log: log.change(StepChanged(key, kind, status, name, detail))


def think(text: str = "") -> Act:
    return lambda log: log.reasoning(text)


def text(log: StepLog) -> None:
    log.text()


def call(log: StepLog) -> None:
    log.call_begun()


def end(*, failed: bool) -> Act:
    return lambda log: log.end(failed=failed)


CLOCK = [0.0]
T: Callable[[float], Act] = lambda seconds: at(CLOCK, seconds)  # noqa: E731
CASES: dict[str, tuple[list[Act], list[tuple[StepKind, str, StepStatus, float | None]]]] = {
    "thinking lasts from the request to the first word": (
        [call, T(2), think("a"), T(5), think("b"), T(12), text],
        [(StepKind.THINKING, "", DONE, 12.0)],
    ),
    "several at once end in another order": (
        [call, change("a", TOOL, RUNNING, "A"), T(1), change("b", TOOL, RUNNING, "B"), T(2),
         change("b", TOOL, DONE), T(5), change("a", TOOL, FAILED)],
        [(TOOL, "A", FAILED, 5.0), (TOOL, "B", DONE, 1.0)],
    ),
    "thinking between tools is a step of its own": (
        [call, think(), T(1), change("a", TOOL, WAITING, "A"), T(3), change("a", TOOL, DENIED), call,
         T(4), think(), T(6), text],
        [(StepKind.THINKING, "", DONE, 1.0), (TOOL, "A", DENIED, 2.0),
         (StepKind.THINKING, "", DONE, 3.0)],
    ),
    "a search told of at its end began with the silence": (
        [call, T(3), change("s", SEARCH, DONE), text],
        [(SEARCH, "", DONE, 3.0)],
    ),
    "a search told of amid the text has no known beginning": (
        [call, text, T(3), change("s", SEARCH, DONE)],
        [(SEARCH, "", DONE, None)],
    ),
    "a call that is made again": (
        [call, think(), T(1), change("s", SEARCH, RUNNING), T(2), call, T(3),
         change("s", SEARCH, RUNNING), T(5), change("s", SEARCH, DONE)],
        [(StepKind.THINKING, "", DONE, 1.0), (SEARCH, "", FAILED, 1.0), (SEARCH, "", DONE, 3.0)],
    ),
    "stopped": (
        [call, change("a", TOOL, RUNNING, "A"), change("b", TOOL, WAITING, "B"), think(), T(1),
         end(failed=False)],
        [(TOOL, "A", UNKNOWN, 1.0), (TOOL, "B", DENIED, 1.0), (StepKind.THINKING, "", DONE, 1.0)],
    ),
    "broken off": (
        [call, change("s", SEARCH, RUNNING), think(), T(1), end(failed=True)],
        [(SEARCH, "", FAILED, 1.0), (StepKind.THINKING, "", FAILED, 1.0)],
    ),
}  # fmt: skip


def test_steps_are_numbered_measured_and_ended() -> None:
    for name, (acts, expected) in CASES.items():
        CLOCK[0] = 0.0
        told: dict[int, Step] = {}
        log = StepLog(lambda step: told.update({step.number: step}), clock=lambda: CLOCK[0])  # noqa: B023
        for act in acts:
            act(log)
        steps = [(step.kind, step.name, step.status, step.seconds) for step in log.steps]
        assert steps == expected, name
        assert tuple(told.values()) == log.steps, name


def test_what_people_see_of_thoughts_is_the_operators_choice_and_everything_is_bounded() -> None:
    for display, kept in (
        (ReasoningDisplay(), ""),
        (ReasoningDisplay(with_text=True), "ab"),
        (ReasoningDisplay(False), None),
    ):
        log = StepLog(reasoning_display=display)
        log.reasoning("a")
        log.reasoning("b")
        log.text()
        assert [step.detail for step in log.steps] == ([] if kept is None else [kept])
    log = StepLog(reasoning_display=ReasoningDisplay(with_text=True))
    log.reasoning("x" * 10_000)
    for number in range(2 * MAX_STEPS):
        log.change(StepChanged(f"t{number}", TOOL, DONE, "n" * 1_000, "d" * 10_000))
    assert len(log.steps) == MAX_STEPS
    assert max(len(step.detail) for step in log.steps) == MAX_DETAIL_LENGTH
    assert len(log.steps[-1].name) == MAX_NAME_LENGTH

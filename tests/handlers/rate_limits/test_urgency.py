"""Three classes of calls: which goes first, how often one is overtaken, and that nothing starves."""

from __future__ import annotations

import gc
import sys
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.rate_limits.pending_write import PendingWrite, QueuedCall, Visibility, Waiting
from handlers.rate_limits.scheduler import WriteScheduler
from handlers.rate_limits.slack_rates import POST, UPDATE, Rate
from handlers.rate_limits.urgency import LONGEST_WAIT, MAX_PASSED_OVER, Urgency
from tests.simulation import Simulation, Writer

SLOW = {POST: Rate(1.0, 1), UPDATE: Rate(1.0, 1)}


def queued(
    scheduler: WriteScheduler,
    urgency: Urgency,
    since: float = 0.0,
    method: str = POST,
    target: object = None,
) -> QueuedCall:
    call = QueuedCall(method, "C1", since, urgency, target)
    scheduler.enqueue(call)
    return call


def ending(scheduler: WriteScheduler, since: float = 0.0) -> PendingWrite:
    """An answer that is posted whole: its model has ended."""
    pending = PendingWrite("C1", may_stream=False, waiting_since=since, busy=False, final=True)
    scheduler.join(pending)
    return pending


def serve_all(scheduler: WriteScheduler, now: float = 0.0) -> list[Waiting]:
    """Everything that waits, in the order in which the calls are granted."""
    served: list[Waiting] = []
    while True:
        for who, method in scheduler.grants(now):
            served.append(who)
            scheduler.bucket(method, who.channel, now).settle(now)
            if isinstance(who, PendingWrite):
                scheduler.leave(who, now)
        if (wake_at := scheduler.wake_at(now)) is None:
            return served
        now = wake_at


def test_replies_come_before_answers_and_answers_before_decoration_each_by_age() -> None:
    scheduler = WriteScheduler(SLOW)
    decorations = [queued(scheduler, Urgency.DECORATION, since) for since in (-1.0, -3.0)]
    answers = [ending(scheduler, -2.0), ending(scheduler, -4.0)]
    replies = [queued(scheduler, Urgency.REPLY, since) for since in (0.0, -0.5)]
    assert serve_all(scheduler) == [*replies[::-1], *answers[::-1], *decorations[::-1]]


def test_an_overdue_answer_is_passed_over_by_a_few_replies_only() -> None:
    """However many people ask for menus in the channel."""
    scheduler = WriteScheduler(SLOW)
    waiting = ending(scheduler, since=-LONGEST_WAIT[Urgency.ANSWER] - 1.0)
    for number in range(20):
        queued(scheduler, Urgency.REPLY, since=number / 100)
    assert serve_all(scheduler, 1.0).index(waiting) == MAX_PASSED_OVER


@pytest.mark.parametrize("urgency", [Urgency.ANSWER, Urgency.DECORATION])
def test_no_class_starves_while_more_urgent_calls_keep_coming(urgency: Urgency) -> None:
    scheduler = WriteScheduler(SLOW)
    waiting = queued(scheduler, urgency)
    now = 0.0
    while now < LONGEST_WAIT[urgency] + MAX_PASSED_OVER + 2.0:
        queued(scheduler, Urgency(urgency - 1), since=now)
        for who, method in scheduler.grants(now):
            scheduler.bucket(method, "C1", now).settle(now)
            if who is waiting:
                return
        now += 0.5
    raise AssertionError("it was never granted its call")


@given(
    st.lists(
        st.tuples(st.sampled_from(Urgency), st.floats(0.0, 60.0), st.sampled_from([POST, UPDATE])),
        min_size=1,
        max_size=60,
    )
)
def test_every_call_is_made_once_and_within_a_bound(
    calls: list[tuple[Urgency, float, str]],
) -> None:
    """One call a second for each method: a call waits for those before it, and is passed over by a bounded number."""
    simulation = Simulation()
    made = [simulation.queue(at, method, "C1", urgency) for urgency, at, method in calls]
    simulation.run()
    waits = [wait for waits in simulation.waits_by_urgency.values() for wait in waits]
    assert len(waits) == len(made)
    assert max(waits) <= len(calls) * 1.5


def test_a_menu_comes_at_once_while_forty_answers_run_in_the_channel() -> None:
    simulation = Simulation()
    for number in range(40):
        simulation.add(Writer("C1", number / 20, 200, 40.0))
    for number in range(15):
        simulation.queue(1.0 + 2.5 * number, POST, "C1", Urgency.REPLY)
    simulation.run()
    waits = sorted(simulation.waits_by_urgency[Urgency.REPLY])
    assert simulation.completed() == 40
    assert not simulation.rate_limited
    assert waits[len(waits) // 2] <= 1.0
    assert waits[-1] <= 2.0


# -- of several calls that set the same, the newest counts ---------------------------------------------------------


def test_a_newer_title_replaces_the_older_in_the_queue_and_takes_its_place() -> None:
    scheduler = WriteScheduler(SLOW)
    older = queued(scheduler, Urgency.DECORATION, 0.0, target="title of C1")
    other = queued(scheduler, Urgency.DECORATION, 1.0, target="title of C2")
    newer = QueuedCall(POST, "C1", 2.0, Urgency.DECORATION, "title of C1")
    assert scheduler.enqueue(newer) is older
    assert serve_all(scheduler, 3.0) == [newer, other]


def test_what_replaces_a_reply_is_a_reply() -> None:
    scheduler = WriteScheduler(SLOW)
    queued(scheduler, Urgency.REPLY, 1.0, target="header")
    other = queued(scheduler, Urgency.REPLY, 2.0)
    newer = queued(scheduler, Urgency.DECORATION, 3.0, target="header")
    assert serve_all(scheduler, 4.0) == [newer, other]


def test_a_granted_call_is_not_replaced_but_does_not_come_back_beside_a_newer_one() -> None:
    """With a shared limit a call that was granted here may have to wait again."""
    scheduler = WriteScheduler(SLOW)
    older = queued(scheduler, Urgency.DECORATION, target="header")
    assert [who for who, _ in scheduler.grants(0.0)] == [older]
    newer = QueuedCall(POST, "C1", 1.0, Urgency.DECORATION, "header")
    assert scheduler.enqueue(newer) is None
    assert not scheduler.put_back(older)
    scheduler.withdraw(newer)
    assert scheduler.put_back(older)


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(Urgency), st.booleans()), max_size=60))
def test_at_most_one_call_waits_for_each_target(
    steps: list[tuple[int, Urgency, bool]],
) -> None:
    """Calls are added and withdrawn in any order."""
    scheduler = WriteScheduler(SLOW)
    waiting: dict[int, QueuedCall] = {}
    for number, (target, urgency, withdraws) in enumerate(steps):
        if withdraws and target in waiting:
            scheduler.withdraw(waiting.pop(target))
        else:
            call = QueuedCall(POST, "C1", float(number), urgency, target)
            assert scheduler.enqueue(call) is waiting.get(target)
            waiting[target] = call
    assert set(map(id, serve_all(scheduler, 100.0))) == set(map(id, waiting.values()))


# -- what a look costs ---------------------------------------------------------------------------------------------


def _crowd(titles: int, answers: int) -> WriteScheduler:
    scheduler = WriteScheduler({UPDATE: Rate(0.001, 1), POST: Rate(0.001, 1)})
    for method in (UPDATE, POST):
        scheduler.bucket(method, "C1", 0.0).take(0.0)
    for number in range(titles):
        queued(scheduler, Urgency.DECORATION, number / titles, UPDATE, target=number)
    for _ in range(answers):
        scheduler.join(
            PendingWrite("C1", Visibility.EDITED, waiting_since=0.0, written_at=0.0, busy=False)
        )
    return scheduler


def _work(scheduler: WriteScheduler) -> int:
    """How many functions one look calls, once Python's own caches are filled.

    A collection of garbage of earlier tests would call functions too.
    """
    calls = 0
    scheduler.wake_at(5.0)
    gc.disable()

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        scheduler.grants(5.0)
        scheduler.wake_at(5.0)
    finally:
        sys.setprofile(None)
        gc.enable()
    return calls


def test_a_look_costs_the_same_however_many_titles_wait() -> None:
    assert _work(_crowd(titles=1_000, answers=30)) == _work(_crowd(titles=10, answers=30))


def test_the_cost_of_a_look_grows_with_the_answers_and_not_faster() -> None:
    few, many = (_work(_crowd(titles=100, answers=count)) for count in (30, 300))
    assert many < 11 * few

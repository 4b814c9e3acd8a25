"""Small decisions of the scheduler, one by one: changes to the code that no other test noticed."""

from __future__ import annotations

from typing import Any

import pytest

from handlers.rate_limits.pending_write import PendingWrite, QueuedCall, Visibility
from handlers.rate_limits.scheduler import (
    MAX_HOLD,
    RECHECK_INTERVAL,
    SCARCE_POST_DELAY,
    WriteScheduler,
)
from handlers.rate_limits.slack_rates import APPEND, POST, RATES, START, STOP, UPDATE, Rate
from handlers.rate_limits.token_bucket import TokenBuckets
from handlers.rate_limits.urgency import LONGEST_WAIT, MAX_PASSED_OVER, Urgency
from handlers.rate_limits.workload import (
    MIN_WRITE_INTERVAL,
    Workload,
    first_write_ratio,
    write_interval,
)

TITLE_WAIT = LONGEST_WAIT[Urgency.DECORATION]


def answer(scheduler: WriteScheduler, channel: str = "C1", **more: Any) -> PendingWrite:
    made = PendingWrite(channel, **{"waiting_since": 0.0, "busy": False, "written_at": 0.0, **more})
    scheduler.join(made)
    return made


def drain(scheduler: WriteScheduler, method: str, now: float) -> None:
    """Uses up what the bucket allows at this moment."""
    bucket = scheduler.bucket(method, "C1", now)
    while bucket.tokens(now) >= 1.0:
        bucket.take(now)
        bucket.settle(now)


def test_a_fraction_applies_to_buckets_that_are_in_use_too() -> None:
    scheduler = WriteScheduler({UPDATE: Rate(1.0, 10)})
    assert scheduler.bucket(UPDATE, "", 0.0).tokens(0.0) == 10.0
    scheduler.set_fraction(0.0, 0.5)
    assert scheduler.bucket(UPDATE, "", 0.0).tokens(0.0) == 5.0
    assert scheduler.bucket(UPDATE, "", 0.0).burst == 5.0


def test_a_title_waits_for_an_answers_progress_until_it_is_overdue() -> None:
    scheduler = WriteScheduler({UPDATE: Rate(0.1, 3)})
    drain(scheduler, UPDATE, 0.0)
    shown = answer(scheduler, visibility=Visibility.EDITED, written_at=float("-inf"))
    waiting = QueuedCall(UPDATE, "C9", 0.0, Urgency.DECORATION)
    scheduler.enqueue(waiting)
    served = []
    for second in range(80):
        for who, method in scheduler.grants(float(second)):
            served.append(who)
            scheduler.bucket(method, "C1", second).settle(second)
    assert served[: served.index(waiting)] == [shown] * MAX_PASSED_OVER


def test_a_busy_writer_is_granted_no_other_call() -> None:
    scheduler = WriteScheduler()
    writer = PendingWrite("C1", waiting_since=0.0)
    scheduler.join(writer)
    assert (scheduler.grants(1.0), scheduler.wake_at(1.0)) == ([], None)
    writer.busy = False
    assert scheduler.grants(1.0) == [(writer, START)]


def test_a_scarce_native_stream_is_opened_for_the_answer_with_the_most_to_come() -> None:
    scheduler = WriteScheduler({START: Rate(0.001, 1), UPDATE: Rate(0.001, 2), POST: Rate(1.0, 3)})
    drain(scheduler, UPDATE, 0.0)
    older = answer(scheduler, waiting_since=0.0)
    newer = answer(scheduler, waiting_since=1.0)
    answer(scheduler, waiting_since=1.2, may_stream=False)
    assert scheduler.grants(1.5) == [(newer, START)]
    assert (older, POST) in scheduler.grants(MAX_HOLD + 1_000.0)


def test_where_posts_are_scarce_answers_are_opened_while_the_bucket_is_full() -> None:
    """So that held answers find a full bucket when the model ends; one word is too little for a post."""
    scheduler = WriteScheduler({UPDATE: Rate(0.1, 10), POST: Rate(1.0, 3), START: Rate(0.0001, 1)})
    held = [answer(scheduler, may_stream=False) for _ in range(20)]
    opened: list[float] = []
    for tick in range(45):
        now = tick / 10
        for who, method in scheduler.grants(now):
            assert isinstance(who, PendingWrite)
            assert method == POST
            who.visibility, who.waiting_since = Visibility.EDITED, None
            scheduler.bucket(POST, "C1", now).settle(now)
            opened.append(now)
    first, *others = opened
    assert first == SCARCE_POST_DELAY
    assert others == pytest.approx(
        [1.8, 2.9, 4.0], abs=0.21
    )  # one in 1.03 s, checked every tenth of a second
    assert all(d.visibility is Visibility.EDITED for d in held[: len(opened)])


def test_posts_are_not_spared_where_the_edits_can_carry_all_answers() -> None:
    scheduler = WriteScheduler({UPDATE: Rate(1.0, 30), POST: Rate(1.0, 3), START: Rate(0.0001, 1)})
    for _ in range(20):
        answer(scheduler, may_stream=False)
    assert [method for _, method in scheduler.grants(0.1)] == [POST] * 3


def test_answers_held_too_long_are_opened_one_by_one_as_edits_come_back() -> None:
    scheduler = WriteScheduler(
        {UPDATE: Rate(0.1, 1), POST: Rate(100.0, 100), START: Rate(0.0001, 1)}
    )
    scheduler.bucket(UPDATE, "", 0.0).take(0.0)
    scheduler.peers = 2  # otherwise the first would be opened earlier
    held = [answer(scheduler, f"C{number}", may_stream=False) for number in range(3)]
    every = 1.0 / scheduler.bucket(UPDATE, "", 0.0).per_second
    opened: list[float] = []
    now = 0.0
    while now < MAX_HOLD + 2.5 * every:
        for who, method in scheduler.grants(now):
            assert isinstance(who, PendingWrite)
            assert method == POST
            held.remove(who)
            who.visibility, who.waiting_since = Visibility.EDITED, None
            opened.append(now)
        now += 0.05
    assert opened == pytest.approx([MAX_HOLD, MAX_HOLD + every, MAX_HOLD + 2 * every], abs=0.4)


@pytest.mark.parametrize(
    ("state", "calls"),
    [
        ({"visibility": Visibility.NATIVE, "must_close": True}, (STOP,)),
        ({"visibility": Visibility.NATIVE, "final": True}, (STOP, APPEND)),
        ({"visibility": Visibility.NATIVE, "final": True, "waiting_since": None}, (STOP,)),
        ({"visibility": Visibility.EDITED, "final": True}, (UPDATE,)),
        ({"final": True, "reuses_message": True}, (UPDATE,)),
        ({"final": True}, (POST, START)),
        ({"final": True, "may_stream": False}, (POST,)),
    ],
)
def test_an_ending_uses_the_first_method_that_is_due(
    state: dict[str, Any], calls: tuple[str, ...]
) -> None:
    """It waits for the earliest of them if none is due."""
    for free in range(len(calls) + 1):
        scheduler = WriteScheduler()
        for method in calls[:free]:
            bucket = scheduler.bucket(method, "C1", 0.0)
            while bucket.tokens(0.0) >= 1.0:
                bucket.take(0.0)
        pending = answer(scheduler, **state)
        given = scheduler.grants(0.0)
        assert given == ([(pending, calls[free])] if free < len(calls) else [])
    assert scheduler.wake_at(0.0) == pytest.approx(
        min(scheduler.bucket(m, "C1", 0.0).ready_at(0.0) for m in calls)
    )


def test_an_answer_that_waits_for_a_spared_post_is_opened_after_the_maximum_hold() -> None:
    """From then on it need not be a post that a full bucket can spare."""
    scheduler = WriteScheduler(
        {UPDATE: Rate(0.001, 10), POST: Rate(0.1, 3), START: Rate(0.0001, 1)}
    )
    scheduler.bucket(START, "", 0.0).take(0.0)
    scheduler.bucket(POST, "C1", 0.0).take(0.0)
    for _ in range(20):
        answer(scheduler, may_stream=False)
    assert scheduler.grants(1.0) == []
    assert scheduler.wake_at(1.0) == MAX_HOLD
    assert [method for _, method in scheduler.grants(MAX_HOLD)] == [POST] * 2


def test_first_words_of_many_edited_answers_wait_a_share_of_their_write_interval() -> None:
    """One comes soon, most at half the interval, the rest later; whoever looks when told finds them ready."""
    scheduler = WriteScheduler(
        {UPDATE: Rate(50 / 60, 10), POST: Rate(1.0, 3), START: Rate(0.0001, 1)}
    )
    scheduler.bucket(START, "", 0.0).take(0.0)
    crowd = [answer(scheduler, f"C{number}", may_stream=False) for number in range(9)]
    interval = write_interval(scheduler.bucket(UPDATE, "", 0.0), 0.0, len(crowd))
    delay = (
        Workload(crowd, TokenBuckets({**RATES, START: Rate(0.0001, 0)}), 1, 0.0)
        .opening_limits()
        .delay
    )
    assert [delay(number) for number in range(9)] == pytest.approx(
        [first_write_ratio(number / 9) * interval for number in range(9)]
    )
    assert scheduler.grants(delay(0) - 0.01) == []
    assert scheduler.grants(delay(0) + 0.01) == [(crowd[0], POST)]


def test_answers_without_text_count_as_sharers() -> None:
    for others in (0, 11):
        scheduler = WriteScheduler(
            {UPDATE: Rate(50 / 60, 10), POST: Rate(1.0, 3), START: Rate(0.0001, 1)}
        )
        for number in range(others):
            scheduler.join(PendingWrite(f"C{number}"))
        first = answer(scheduler, "C99", may_stream=False)
        assert scheduler.grants(0.1) == ([] if others else [(first, POST)])


def test_an_answer_that_reuses_a_message_waits_for_an_edit_even_if_a_stream_is_available() -> None:
    scheduler = WriteScheduler({UPDATE: Rate(1.0, 1), START: Rate(1.0, 4)})
    scheduler.bucket(UPDATE, "", 0.0).take(0.0)
    answer(scheduler, reuses_message=True)
    assert scheduler.grants(0.0) == []
    assert scheduler.wake_at(0.0) == scheduler.bucket(UPDATE, "", 0.0).ready_at(0.0)


def test_a_single_stream_may_use_every_token_left() -> None:
    scheduler = WriteScheduler({APPEND: Rate(1.0, 20)})
    for _ in range(20):
        scheduler.bucket(APPEND, "", 0.0).take(0.0)
    answer(scheduler, visibility=Visibility.NATIVE)
    assert scheduler.wake_at(0.0) == pytest.approx(
        write_interval(scheduler.bucket(APPEND, "", 0.0), 0.0, 1)
    )


def test_queued_posts_need_not_leave_calls_for_endings() -> None:
    """Only edits are needed to end many answers."""
    scheduler = WriteScheduler({POST: Rate(0.0001, 3), UPDATE: Rate(0.0001, 10)})
    for method in (POST, POST, UPDATE):
        scheduler.bucket(method, "C1", 0.0).take(0.0)
    for _ in range(12):
        answer(scheduler, visibility=Visibility.EDITED, busy=True)
    menu = QueuedCall(POST, "C1", 0.0, Urgency.REPLY)
    title = QueuedCall(UPDATE, "C1", 0.0, Urgency.DECORATION)
    scheduler.enqueue(menu)
    scheduler.enqueue(title)
    assert scheduler.grants(1.0) == [(menu, POST)]
    assert scheduler.grants(TITLE_WAIT + 0.1) == [(title, UPDATE)]


def test_of_very_many_channels_only_full_buckets_are_dropped() -> None:
    scheduler = WriteScheduler()
    everywhere, quiet, busy = (
        scheduler.bucket(UPDATE, "", 0.0),
        scheduler.bucket(POST, "quiet", 0.0),
        scheduler.bucket(POST, "B", 0.0),
    )
    for number in range(1_996):
        scheduler.bucket(POST, f"C{number}", 0.0)
    busy.take(0.0)
    assert scheduler.bucket(POST, "quiet", 0.0) is quiet
    scheduler.bucket(POST, "one more", 0.0)  # there are no more than two thousand
    assert scheduler.bucket(POST, "quiet", 0.0) is quiet
    scheduler.bucket(POST, "another", 0.0)
    assert scheduler.bucket(POST, "quiet", 0.0) is not quiet
    assert scheduler.bucket(POST, "B", 0.0) is busy
    assert scheduler.bucket(UPDATE, "", 0.0) is everywhere


def test_while_the_bucket_is_full_streams_are_written_at_the_minimum_interval() -> None:
    """And not before: between two writes of one answer there is nothing to look for."""
    scheduler = WriteScheduler({APPEND: Rate(1.0, 20)})
    crowd = [answer(scheduler, visibility=Visibility.NATIVE) for _ in range(30)]
    assert scheduler.wake_at(0.0) == pytest.approx(MIN_WRITE_INTERVAL)
    assert scheduler.grants(MIN_WRITE_INTERVAL - 0.01) == []
    assert scheduler.grants(MIN_WRITE_INTERVAL + 0.01) == [(crowd[0], APPEND)]


@pytest.mark.parametrize(
    ("now", "visibilities"),
    [
        ({"visibility": Visibility.NATIVE, "busy": True}, [Visibility.NATIVE]),
        ({"visibility": Visibility.EDITED, "busy": False}, [Visibility.EDITED]),
        ({"opening": Visibility.EDITED, "busy": True}, [Visibility.EDITED]),
        (
            {"opening": Visibility.EDITED, "busy": False},
            [],
        ),  # it was given a turn and could not use it
        ({"busy": True}, []),
        ({"visibility": Visibility.EDITED, "final": True}, []),
    ],
)
def test_an_answer_uses_the_limit_of_its_present_or_coming_visibility(
    now: dict[str, Any], visibilities: list[Visibility]
) -> None:
    assert [
        shown
        for shown in (Visibility.NATIVE, Visibility.EDITED)
        if PendingWrite("C1", **now).uses(shown)
    ] == visibilities


@pytest.mark.parametrize(
    ("now", "is_so"),
    [
        ({"busy": True}, True),
        ({"busy": False, "opening": Visibility.EDITED}, True),
        ({"busy": True, "opening": Visibility.EDITED}, False),
        ({"busy": True, "opening": Visibility.NATIVE}, False),
        ({"visibility": Visibility.EDITED}, False),
    ],
)
def test_an_answer_is_unopened_until_it_is_visible_or_about_to_be(
    now: dict[str, Any], is_so: bool
) -> None:
    assert PendingWrite("C1", **now).unopened() is is_so


def test_sharers_are_multiplied_by_the_replicas_except_for_a_single_answer() -> None:
    for here, everywhere in ((1, 1), (4, 12)):
        scheduler = WriteScheduler({APPEND: Rate(1.0, 20)})
        scheduler.peers = 3
        for _ in range(5):
            scheduler.bucket(APPEND, "", 0.0).take(0.0)
        for _ in range(here):
            answer(scheduler, visibility=Visibility.NATIVE)
        assert scheduler.wake_at(0.0) == pytest.approx(
            write_interval(scheduler.bucket(APPEND, "", 0.0), 0.0, everywhere)
        )


def test_wake_at_is_when_a_stream_may_start() -> None:
    scheduler = WriteScheduler({START: Rate(2.0, 1), POST: Rate(0.0001, 1)})
    for method in (START, POST):
        scheduler.bucket(method, "C1", 0.0).take(0.0)
    answer(scheduler)
    assert scheduler.wake_at(0.0) == pytest.approx(scheduler.bucket(START, "", 0.0).ready_at(0.0))


def test_a_held_answer_is_rechecked_at_an_interval() -> None:
    """Room appears when an answer ends, which cannot be predicted."""
    scheduler = WriteScheduler({UPDATE: Rate(1.0, 10), START: Rate(0.0001, 1)})
    scheduler.bucket(START, "", 0.0).take(0.0)
    for _ in range(12):
        answer(scheduler, visibility=Visibility.EDITED, waiting_since=None)
    answer(scheduler, waiting_since=-5.0)
    assert scheduler.grants(0.0) == []
    assert scheduler.wake_at(0.0) == pytest.approx(RECHECK_INTERVAL)


def test_of_two_equal_queued_calls_only_the_withdrawn_one_goes() -> None:
    scheduler = WriteScheduler()
    stays, goes = QueuedCall(UPDATE, "C1", 0.0), QueuedCall(UPDATE, "C1", 0.0)
    scheduler.enqueue(stays)
    scheduler.enqueue(goes)
    scheduler.withdraw(goes)
    ((who, _),) = scheduler.grants(0.0)
    assert who is stays

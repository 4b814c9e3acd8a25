"""Small decisions of the scheduler, one by one: what changing the code showed no other test to notice."""

from __future__ import annotations

from typing import Any

import pytest

from handlers.rate_limits.scheduler import (
    FIRST_POST,
    FIRST_SHARE,
    LOOK_AGAIN,
    MAX_HOLD,
    MAX_WAIT,
    MIN_GAP,
    PendingWrite,
    QueuedCall,
    Shown,
    WriteScheduler,
)
from handlers.rate_limits.token_bucket import APPEND, POST, START, STOP, UPDATE, Rate


def answer(scheduler: WriteScheduler, channel: str = "C1", **more: Any) -> PendingWrite:
    made = PendingWrite(channel, **{"since": 0.0, "busy": False, "written_at": 0.0, **more})
    scheduler.join(made)
    return made


def test_a_part_of_the_allowances_is_a_part_of_those_in_use_too() -> None:
    scheduler = WriteScheduler({UPDATE: Rate(1.0, 10)})
    assert scheduler.bucket(UPDATE, "", 0.0).level(0.0) == 10.0
    scheduler.share(0.0, 0.5)
    assert scheduler.bucket(UPDATE, "", 0.0).level(0.0) == 5.0
    assert scheduler.bucket(UPDATE, "", 0.0).burst == 5.0


def test_progress_leaves_a_call_for_a_title_that_waits() -> None:
    """The title leaves the one edit that is there for the answer's end; the answer's progress must not take it."""
    for titles in (0, 1):
        scheduler = WriteScheduler({UPDATE: Rate(0.0001, 3)})
        for _ in range(2):
            scheduler.bucket(UPDATE, "", 0.0).take(0.0)
        shown = answer(scheduler, shown=Shown.EDIT, written_at=float("-inf"))
        for _ in range(titles):
            scheduler.send(QueuedCall(UPDATE, "C9", 0.0))
        assert scheduler.grants(1.0) == ([] if titles else [(shown, UPDATE)])


def test_who_is_in_the_middle_of_a_call_gets_no_other_turn() -> None:
    scheduler = WriteScheduler()
    writer = PendingWrite("C1", since=0.0)
    scheduler.join(writer)
    assert (scheduler.grants(1.0), scheduler.wake_at(1.0)) == ([], None)
    writer.busy = False
    assert scheduler.grants(1.0) == [(writer, START)]


def test_where_posts_are_scarce_each_is_made_that_a_full_bucket_can_spare() -> None:
    """So that those held find a full one when the model ends; one word is too little for it."""
    scheduler = WriteScheduler({UPDATE: Rate(0.1, 10), POST: Rate(1.0, 3), START: Rate(0.0001, 1)})
    held = [answer(scheduler, may_native=False) for _ in range(20)]
    opened: list[float] = []
    for tick in range(45):
        now = tick / 10
        for who, method in scheduler.grants(now):
            assert isinstance(who, PendingWrite)
            assert method == POST
            who.shown, who.since = Shown.EDIT, None
            scheduler.bucket(POST, "C1", now).settled(now)
            opened.append(now)
    first, *others = opened
    assert first == FIRST_POST
    assert others == pytest.approx(
        [1.8, 2.9, 4.0], abs=0.21
    )  # one in 1.03 s, looked for every tenth
    assert all(d.shown is Shown.EDIT for d in held[: len(opened)])


def test_posts_are_not_spared_where_the_edits_carry_all() -> None:
    scheduler = WriteScheduler({UPDATE: Rate(1.0, 30), POST: Rate(1.0, 3), START: Rate(0.0001, 1)})
    for _ in range(20):
        answer(scheduler, may_native=False)
    assert [method for _, method in scheduler.grants(0.1)] == [POST] * 3


def test_answers_held_too_long_are_opened_one_by_one_as_edits_come_back() -> None:
    scheduler = WriteScheduler(
        {UPDATE: Rate(0.1, 1), POST: Rate(100.0, 100), START: Rate(0.0001, 1)}
    )
    scheduler.bucket(UPDATE, "", 0.0).take(0.0)
    held = [answer(scheduler, f"C{number}", may_native=False) for number in range(3)]
    every = 1.0 / scheduler.bucket(UPDATE, "", 0.0).per_second
    opened: list[float] = []
    now = 0.0
    while now < MAX_HOLD + 2.5 * every:
        for who, method in scheduler.grants(now):
            assert isinstance(who, PendingWrite)
            assert method == POST
            held.remove(who)
            who.shown, who.since = Shown.EDIT, None
            opened.append(now)
        now += 0.05
    assert opened == pytest.approx([MAX_HOLD, MAX_HOLD + every, MAX_HOLD + 2 * every], abs=0.4)


@pytest.mark.parametrize(
    ("state", "calls"),
    [
        ({"shown": Shown.NATIVE, "must_close": True}, (STOP,)),
        ({"shown": Shown.NATIVE, "whole": True}, (STOP, APPEND)),
        ({"shown": Shown.NATIVE, "whole": True, "since": None}, (STOP,)),
        ({"shown": Shown.EDIT, "whole": True}, (UPDATE,)),
        ({"whole": True, "reuse": True}, (UPDATE,)),
        ({"whole": True}, (POST, START)),
        ({"whole": True, "may_native": False}, (POST,)),
    ],
)
def test_an_end_takes_the_first_call_that_is_free(
    state: dict[str, Any], calls: tuple[str, ...]
) -> None:
    """And waits for the soonest of them when none is."""
    for free in range(len(calls) + 1):
        scheduler = WriteScheduler()
        for method in calls[:free]:
            bucket = scheduler.bucket(method, "C1", 0.0)
            while bucket.level(0.0) >= 1.0:
                bucket.take(0.0)
        pending = answer(scheduler, **state)
        given = scheduler.grants(0.0)
        assert given == ([(pending, calls[free])] if free < len(calls) else [])
    assert scheduler.wake_at(0.0) == pytest.approx(
        min(scheduler.bucket(m, "C1", 0.0).ready_at(0.0) for m in calls)
    )


def test_who_waits_for_a_spared_post_is_looked_at_when_it_has_been_held_long_enough() -> None:
    """From then on it need not be a post that a full bucket can spare."""
    scheduler = WriteScheduler(
        {UPDATE: Rate(0.001, 10), POST: Rate(0.1, 3), START: Rate(0.0001, 1)}
    )
    scheduler.bucket(START, "", 0.0).take(0.0)
    scheduler.bucket(POST, "C1", 0.0).take(0.0)
    for _ in range(20):
        answer(scheduler, may_native=False)
    assert scheduler.grants(1.0) == []
    assert scheduler.wake_at(1.0) == MAX_HOLD
    assert [method for _, method in scheduler.grants(MAX_HOLD)] == [POST] * 2


def test_first_words_of_a_crowd_of_edits_wait_a_share_of_the_gap_they_will_have() -> None:
    """Whoever looks then finds them ready, and need not look before."""
    scheduler = WriteScheduler(
        {UPDATE: Rate(50 / 60, 10), POST: Rate(1.0, 3), START: Rate(0.0001, 1)}
    )
    crowd = [answer(scheduler, f"C{number}", may_native=False) for number in range(9)]
    due = FIRST_SHARE * scheduler.gap(
        Shown.EDIT, 0.0, 8
    )  # the one start that is there is counted on for one of them
    assert scheduler.wake_at(0.0) == pytest.approx(due)
    assert scheduler.grants(due - 0.01) == []
    assert {who for who, _ in scheduler.grants(due + 0.01)} == set(crowd)


def test_those_who_have_no_words_yet_belong_to_the_crowd() -> None:
    for others in (0, 11):
        scheduler = WriteScheduler(
            {UPDATE: Rate(50 / 60, 10), POST: Rate(1.0, 3), START: Rate(0.0001, 1)}
        )
        for number in range(others):
            scheduler.join(PendingWrite(f"C{number}"))
        first = answer(scheduler, "C99", may_native=False)
        assert scheduler.grants(0.1) == ([] if others else [(first, POST)])


def test_a_message_that_is_there_already_waits_for_an_edit_whatever_may_be_started() -> None:
    scheduler = WriteScheduler({UPDATE: Rate(1.0, 1), START: Rate(1.0, 4)})
    scheduler.bucket(UPDATE, "", 0.0).take(0.0)
    answer(scheduler, reuse=True)
    assert scheduler.grants(0.0) == []
    assert scheduler.wake_at(0.0) == scheduler.bucket(UPDATE, "", 0.0).ready_at(0.0)


def test_a_lone_stream_has_all_that_is_left() -> None:
    scheduler = WriteScheduler({APPEND: Rate(1.0, 20)})
    for _ in range(20):
        scheduler.bucket(APPEND, "", 0.0).take(0.0)
    answer(scheduler, shown=Shown.NATIVE)
    assert scheduler.wake_at(0.0) == pytest.approx(scheduler.gap(Shown.NATIVE, 0.0, 1))


def test_posts_of_errands_are_not_kept_from_them_for_endings() -> None:
    """Only edits are what a crowd ends by."""
    scheduler = WriteScheduler({POST: Rate(0.0001, 3), UPDATE: Rate(0.0001, 10)})
    for method in (POST, POST, UPDATE):
        scheduler.bucket(method, "C1", 0.0).take(0.0)
    for _ in range(12):
        answer(scheduler, shown=Shown.EDIT, busy=True)
    menu, title = QueuedCall(POST, "C1", 0.0), QueuedCall(UPDATE, "C1", 0.0)
    scheduler.send(menu)
    scheduler.send(title)
    assert scheduler.grants(1.0) == [(menu, POST)]
    assert scheduler.grants(MAX_WAIT + 0.1) == [(title, UPDATE)]


def test_of_very_many_channels_those_are_forgotten_that_owe_nothing() -> None:
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


def test_where_allowance_would_be_lost_streams_are_looked_at_as_soon_as_they_may_be_written() -> (
    None
):
    """And not before: between two writes of one answer there is nothing to look for."""
    scheduler = WriteScheduler({APPEND: Rate(1.0, 20)})
    crowd = [answer(scheduler, shown=Shown.NATIVE) for _ in range(30)]
    assert scheduler.wake_at(0.0) == pytest.approx(MIN_GAP)
    assert scheduler.grants(MIN_GAP - 0.01) == []
    assert scheduler.grants(MIN_GAP + 0.01) == [(crowd[0], APPEND)]


@pytest.mark.parametrize(
    ("now", "budgets"),
    [
        ({"shown": Shown.NATIVE, "busy": True}, [Shown.NATIVE]),
        ({"shown": Shown.EDIT, "busy": False}, [Shown.EDIT]),
        ({"opening": Shown.EDIT, "busy": True}, [Shown.EDIT]),
        ({"opening": Shown.EDIT, "busy": False}, []),  # it was given a turn and could not use it
        ({"busy": True}, []),
        ({"shown": Shown.EDIT, "whole": True}, []),
    ],
)
def test_an_answer_lives_on_the_budget_it_spends_or_is_about_to_spend(
    now: dict[str, Any], budgets: list[Shown]
) -> None:
    assert [
        shown for shown in (Shown.NATIVE, Shown.EDIT) if PendingWrite("C1", **now).lives_on(shown)
    ] == budgets


@pytest.mark.parametrize(
    ("now", "is_so"),
    [
        ({"busy": True}, True),
        ({"busy": False, "opening": Shown.EDIT}, True),
        ({"busy": True, "opening": Shown.EDIT}, False),
        ({"busy": True, "opening": Shown.NATIVE}, False),
        ({"shown": Shown.EDIT}, False),
    ],
)
def test_an_answer_is_unopened_until_it_is_visible_or_about_to_be(
    now: dict[str, Any], is_so: bool
) -> None:
    assert PendingWrite("C1", **now).unopened() is is_so


def test_a_crowd_shares_with_the_crowds_of_other_processes_and_one_alone_is_alone() -> None:
    for here, everywhere in ((1, 1), (4, 12)):
        scheduler = WriteScheduler({APPEND: Rate(1.0, 20)})
        scheduler.peers = 3
        for _ in range(5):
            scheduler.bucket(APPEND, "", 0.0).take(0.0)
        for _ in range(here):
            answer(scheduler, shown=Shown.NATIVE)
        assert scheduler.wake_at(0.0) == pytest.approx(scheduler.gap(Shown.NATIVE, 0.0, everywhere))


def test_who_waits_for_a_start_is_looked_at_as_soon_as_there_is_one() -> None:
    scheduler = WriteScheduler({START: Rate(2.0, 1), POST: Rate(0.0001, 1)})
    for method in (START, POST):
        scheduler.bucket(method, "C1", 0.0).take(0.0)
    answer(scheduler)
    assert scheduler.wake_at(0.0) == pytest.approx(scheduler.bucket(START, "", 0.0).ready_at(0.0))


def test_who_is_held_is_looked_at_now_and_then() -> None:
    """What makes room is an end, of which nobody can say when it comes."""
    scheduler = WriteScheduler({UPDATE: Rate(1.0, 10), START: Rate(0.0001, 1)})
    scheduler.bucket(START, "", 0.0).take(0.0)
    for _ in range(12):
        answer(scheduler, shown=Shown.EDIT, since=None)
    answer(scheduler, since=-5.0)
    assert scheduler.grants(0.0) == []
    assert scheduler.wake_at(0.0) == pytest.approx(LOOK_AGAIN)


def test_of_two_errands_alike_the_one_that_is_withdrawn_goes() -> None:
    scheduler = WriteScheduler()
    stays, goes = QueuedCall(UPDATE, "C1", 0.0), QueuedCall(UPDATE, "C1", 0.0)
    scheduler.send(stays)
    scheduler.send(goes)
    scheduler.withdraw(goes)
    ((who, _),) = scheduler.grants(0.0)
    assert who is stays

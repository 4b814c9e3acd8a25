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


def answer(pace: WriteScheduler, channel: str = "C1", **more: Any) -> PendingWrite:
    made = PendingWrite(channel, **{"since": 0.0, "busy": False, "written_at": 0.0, **more})
    pace.join(made)
    return made


def test_a_part_of_the_allowances_is_a_part_of_those_in_use_too() -> None:
    pace = WriteScheduler({UPDATE: Rate(1.0, 10)})
    assert pace.bucket(UPDATE, "", 0.0).level(0.0) == 10.0
    pace.share(0.0, 0.5)
    assert pace.bucket(UPDATE, "", 0.0).level(0.0) == 5.0
    assert pace.bucket(UPDATE, "", 0.0).burst == 5.0


def test_progress_leaves_a_call_for_a_title_that_waits() -> None:
    """The title leaves the one edit that is there for the answer's end; the answer's progress must not take it."""
    for titles in (0, 1):
        pace = WriteScheduler({UPDATE: Rate(0.0001, 3)})
        for _ in range(2):
            pace.bucket(UPDATE, "", 0.0).take(0.0)
        shown = answer(pace, shown=Shown.EDIT, written_at=float("-inf"))
        for _ in range(titles):
            pace.send(QueuedCall(UPDATE, "C9", 0.0))
        assert pace.grants(1.0) == ([] if titles else [(shown, UPDATE)])


def test_who_is_in_the_middle_of_a_call_gets_no_other_turn() -> None:
    pace = WriteScheduler()
    writer = PendingWrite("C1", since=0.0)
    pace.join(writer)
    assert (pace.grants(1.0), pace.wake_at(1.0)) == ([], None)
    writer.busy = False
    assert pace.grants(1.0) == [(writer, START)]


def test_where_posts_are_scarce_each_is_made_that_a_full_bucket_can_spare() -> None:
    """So that those held find a full one when the model ends; one word is too little for it."""
    pace = WriteScheduler({UPDATE: Rate(0.1, 10), POST: Rate(1.0, 3), START: Rate(0.0001, 1)})
    held = [answer(pace, may_native=False) for _ in range(20)]
    opened: list[float] = []
    for tick in range(45):
        now = tick / 10
        for who, method in pace.grants(now):
            assert isinstance(who, PendingWrite)
            assert method == POST
            who.shown, who.since = Shown.EDIT, None
            pace.bucket(POST, "C1", now).settled(now)
            opened.append(now)
    first, *others = opened
    assert first == FIRST_POST
    assert others == pytest.approx([1.8, 2.9, 4.0], abs=0.21)  # one in 1.03 s, looked for every tenth
    assert all(d.shown is Shown.EDIT for d in held[: len(opened)])


def test_posts_are_not_spared_where_the_edits_carry_all() -> None:
    pace = WriteScheduler({UPDATE: Rate(1.0, 30), POST: Rate(1.0, 3), START: Rate(0.0001, 1)})
    for _ in range(20):
        answer(pace, may_native=False)
    assert [method for _, method in pace.grants(0.1)] == [POST] * 3


def test_answers_held_too_long_are_opened_one_by_one_as_edits_come_back() -> None:
    pace = WriteScheduler({UPDATE: Rate(0.1, 1), POST: Rate(100.0, 100), START: Rate(0.0001, 1)})
    pace.bucket(UPDATE, "", 0.0).take(0.0)
    held = [answer(pace, f"C{number}", may_native=False) for number in range(3)]
    every = 1.0 / pace.bucket(UPDATE, "", 0.0).per_second
    opened: list[float] = []
    now = 0.0
    while now < MAX_HOLD + 2.5 * every:
        for who, method in pace.grants(now):
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
def test_an_end_takes_the_first_call_that_is_free(state: dict[str, Any], calls: tuple[str, ...]) -> None:
    """And waits for the soonest of them when none is."""
    for free in range(len(calls) + 1):
        pace = WriteScheduler()
        for method in calls[:free]:
            bucket = pace.bucket(method, "C1", 0.0)
            while bucket.level(0.0) >= 1.0:
                bucket.take(0.0)
        desire = answer(pace, **state)
        given = pace.grants(0.0)
        assert given == ([(desire, calls[free])] if free < len(calls) else [])
    assert pace.wake_at(0.0) == pytest.approx(min(pace.bucket(m, "C1", 0.0).ready_at(0.0) for m in calls))


def test_who_waits_for_a_spared_post_is_looked_at_when_it_has_been_held_long_enough() -> None:
    """From then on it need not be a post that a full bucket can spare."""
    pace = WriteScheduler({UPDATE: Rate(0.001, 10), POST: Rate(0.1, 3), START: Rate(0.0001, 1)})
    pace.bucket(START, "", 0.0).take(0.0)
    pace.bucket(POST, "C1", 0.0).take(0.0)
    for _ in range(20):
        answer(pace, may_native=False)
    assert pace.grants(1.0) == []
    assert pace.wake_at(1.0) == MAX_HOLD
    assert [method for _, method in pace.grants(MAX_HOLD)] == [POST] * 2


def test_first_words_of_a_crowd_of_edits_wait_a_share_of_the_gap_they_will_have() -> None:
    """Whoever looks then finds them ready, and need not look before."""
    pace = WriteScheduler({UPDATE: Rate(50 / 60, 10), POST: Rate(1.0, 3), START: Rate(0.0001, 1)})
    crowd = [answer(pace, f"C{number}", may_native=False) for number in range(9)]
    due = FIRST_SHARE * pace.gap(Shown.EDIT, 0.0, 8)  # the one start that is there is counted on for one of them
    assert pace.wake_at(0.0) == pytest.approx(due)
    assert pace.grants(due - 0.01) == []
    assert {who for who, _ in pace.grants(due + 0.01)} == set(crowd)


def test_those_who_have_no_words_yet_belong_to_the_crowd() -> None:
    for others in (0, 11):
        pace = WriteScheduler({UPDATE: Rate(50 / 60, 10), POST: Rate(1.0, 3), START: Rate(0.0001, 1)})
        for number in range(others):
            pace.join(PendingWrite(f"C{number}"))
        first = answer(pace, "C99", may_native=False)
        assert pace.grants(0.1) == ([] if others else [(first, POST)])


def test_a_message_that_is_there_already_waits_for_an_edit_whatever_may_be_started() -> None:
    pace = WriteScheduler({UPDATE: Rate(1.0, 1), START: Rate(1.0, 4)})
    pace.bucket(UPDATE, "", 0.0).take(0.0)
    answer(pace, reuse=True)
    assert pace.grants(0.0) == []
    assert pace.wake_at(0.0) == pace.bucket(UPDATE, "", 0.0).ready_at(0.0)


def test_a_lone_stream_has_all_that_is_left() -> None:
    pace = WriteScheduler({APPEND: Rate(1.0, 20)})
    for _ in range(20):
        pace.bucket(APPEND, "", 0.0).take(0.0)
    answer(pace, shown=Shown.NATIVE)
    assert pace.wake_at(0.0) == pytest.approx(pace.gap(Shown.NATIVE, 0.0, 1))


def test_posts_of_errands_are_not_kept_from_them_for_endings() -> None:
    """Only edits are what a crowd ends by."""
    pace = WriteScheduler({POST: Rate(0.0001, 3), UPDATE: Rate(0.0001, 10)})
    for method in (POST, POST, UPDATE):
        pace.bucket(method, "C1", 0.0).take(0.0)
    for _ in range(12):
        answer(pace, shown=Shown.EDIT, busy=True)
    menu, title = QueuedCall(POST, "C1", 0.0), QueuedCall(UPDATE, "C1", 0.0)
    pace.send(menu)
    pace.send(title)
    assert pace.grants(1.0) == [(menu, POST)]
    assert pace.grants(MAX_WAIT + 0.1) == [(title, UPDATE)]


def test_of_very_many_channels_those_are_forgotten_that_owe_nothing() -> None:
    pace = WriteScheduler()
    everywhere, quiet, busy = pace.bucket(UPDATE, "", 0.0), pace.bucket(POST, "quiet", 0.0), pace.bucket(POST, "B", 0.0)
    for number in range(1_996):
        pace.bucket(POST, f"C{number}", 0.0)
    busy.take(0.0)
    assert pace.bucket(POST, "quiet", 0.0) is quiet
    pace.bucket(POST, "one more", 0.0)  # there are no more than two thousand
    assert pace.bucket(POST, "quiet", 0.0) is quiet
    pace.bucket(POST, "another", 0.0)
    assert pace.bucket(POST, "quiet", 0.0) is not quiet
    assert pace.bucket(POST, "B", 0.0) is busy
    assert pace.bucket(UPDATE, "", 0.0) is everywhere


def test_where_allowance_would_be_lost_streams_are_looked_at_as_soon_as_they_may_be_written() -> None:
    """And not before: between two writes of one answer there is nothing to look for."""
    pace = WriteScheduler({APPEND: Rate(1.0, 20)})
    crowd = [answer(pace, shown=Shown.NATIVE) for _ in range(30)]
    assert pace.wake_at(0.0) == pytest.approx(MIN_GAP)
    assert pace.grants(MIN_GAP - 0.01) == []
    assert pace.grants(MIN_GAP + 0.01) == [(crowd[0], APPEND)]


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
    assert [shown for shown in (Shown.NATIVE, Shown.EDIT) if PendingWrite("C1", **now).lives_on(shown)] == budgets


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
def test_an_answer_is_unopened_until_it_is_visible_or_about_to_be(now: dict[str, Any], is_so: bool) -> None:
    assert PendingWrite("C1", **now).unopened() is is_so


def test_a_crowd_shares_with_the_crowds_of_other_processes_and_one_alone_is_alone() -> None:
    for here, everywhere in ((1, 1), (4, 12)):
        pace = WriteScheduler({APPEND: Rate(1.0, 20)})
        pace.peers = 3
        for _ in range(5):
            pace.bucket(APPEND, "", 0.0).take(0.0)
        for _ in range(here):
            answer(pace, shown=Shown.NATIVE)
        assert pace.wake_at(0.0) == pytest.approx(pace.gap(Shown.NATIVE, 0.0, everywhere))


def test_who_waits_for_a_start_is_looked_at_as_soon_as_there_is_one() -> None:
    pace = WriteScheduler({START: Rate(2.0, 1), POST: Rate(0.0001, 1)})
    for method in (START, POST):
        pace.bucket(method, "C1", 0.0).take(0.0)
    answer(pace)
    assert pace.wake_at(0.0) == pytest.approx(pace.bucket(START, "", 0.0).ready_at(0.0))


def test_who_is_held_is_looked_at_now_and_then() -> None:
    """What makes room is an end, of which nobody can say when it comes."""
    pace = WriteScheduler({UPDATE: Rate(1.0, 10), START: Rate(0.0001, 1)})
    pace.bucket(START, "", 0.0).take(0.0)
    for _ in range(12):
        answer(pace, shown=Shown.EDIT, since=None)
    answer(pace, since=-5.0)
    assert pace.grants(0.0) == []
    assert pace.wake_at(0.0) == pytest.approx(LOOK_AGAIN)


def test_of_two_errands_alike_the_one_that_is_withdrawn_goes() -> None:
    pace = WriteScheduler()
    stays, goes = QueuedCall(UPDATE, "C1", 0.0), QueuedCall(UPDATE, "C1", 0.0)
    pace.send(stays)
    pace.send(goes)
    pace.withdraw(goes)
    ((who, _),) = pace.grants(0.0)
    assert who is stays

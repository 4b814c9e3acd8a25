"""Queued text events are merged without losing, repeating or reordering anything."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bot.answers.events import merge_deltas

Events = list[tuple[str, dict[str, Any]]]


def pieces(message: str, attempt: int, *texts: str, at: int = 0) -> Events:
    events: Events = []
    for text in texts:
        events.append(("team:T", {"message": message, "attempt": attempt, "at": at, "token": text}))
        at += len(text)
    return events


def test_interleaved_texts_of_two_answers_become_one_event_each() -> None:
    a, b = pieces("a", 1, "one ", "two"), pieces("b", 1, "eins ", "zwei")
    assert [event["token"] for _, event in merge_deltas([a[0], b[0], a[1], b[1]])] == [
        "one two",
        "eins zwei",
    ]


def test_texts_with_an_end_another_attempt_or_a_gap_between_them_stay_separate() -> None:
    ended = ("team:T", {"message": "a", "ended": "done"})
    apart = [
        *pieces("a", 1, "x"),
        ended,
        *pieces("a", 2, "y"),
        *pieces("a", 3, "z"),
        *pieces("a", 3, "w", at=7),
    ]
    assert merge_deltas(apart) == apart


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(1, 2), st.text(min_size=1, max_size=3)),
        max_size=20,
    )
)
def test_merging_changes_no_text(said: list[tuple[str, int, str]]) -> None:
    written: dict[tuple[str, int], str] = {}
    events: Events = []
    for message, attempt, text in said:
        so_far = written.get((message, attempt), "")
        events += pieces(message, attempt, text, at=len(so_far))
        written[message, attempt] = so_far + text
    read: dict[tuple[str, int], str] = {}
    for _, event in merge_deltas(events):
        key = event["message"], event["attempt"]
        assert event["at"] == len(read.get(key, ""))
        read[key] = read.get(key, "") + event["token"]
    assert read == written

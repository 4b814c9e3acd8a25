"""`post_once` against a thread in memory, whose posts take effect or not, and whose responses may be lost."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from handlers.client.errors import OutcomeUnknown, SlackRejected
from handlers.client.post_once import Posted, post_once


@dataclass
class Thread:
    """Holds what was posted. `outcomes` says what becomes of each post; afterwards every post succeeds."""

    outcomes: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    posts: int = 0
    searches: int = 0

    async def post(self) -> str:
        self.posts += 1
        outcome = self.outcomes.pop(0) if self.outcomes else "ok"
        if outcome == "rejected":
            raise SlackRejected("chat.postMessage", "is_archived")
        if outcome != "never arrived":
            self.messages.append(f"{self.posts}.0")
        if outcome != "ok":
            raise OutcomeUnknown("chat.postMessage: TimeoutError")
        return self.messages[-1]

    async def find(self) -> str | None:
        self.searches += 1
        return self.messages[0] if self.messages else None


async def test_a_confirmed_post_is_not_searched_for() -> None:
    thread = Thread()
    assert await post_once(thread.post, thread.find) == Posted("1.0", found=False)
    assert (thread.posts, thread.searches) == (1, 0)


async def test_a_post_whose_response_is_lost_is_found_and_not_repeated() -> None:
    thread = Thread(["response lost"])
    assert await post_once(thread.post, thread.find) == Posted("1.0", found=True)
    assert thread.posts == 1


async def test_a_post_that_never_arrived_is_repeated() -> None:
    thread = Thread(["never arrived"])
    assert await post_once(thread.post, thread.find) == Posted("2.0", found=False)
    assert (thread.messages, thread.searches) == (["2.0"], 1)


async def test_look_first_finds_an_earlier_attempt_without_posting() -> None:
    thread = Thread(messages=["0.5"])
    assert await post_once(thread.post, thread.find, look_first=True) == Posted("0.5", found=True)
    assert thread.posts == 0


async def test_look_first_posts_when_there_is_no_earlier_attempt() -> None:
    thread = Thread()
    assert await post_once(thread.post, thread.find, look_first=True) == Posted("1.0", found=False)


async def test_with_a_retry_limit_of_zero_the_unknown_outcome_is_raised_after_one_search() -> None:
    thread = Thread(["never arrived"])
    with pytest.raises(OutcomeUnknown):
        await post_once(thread.post, thread.find, retry_limit=0.0)
    assert (thread.posts, thread.searches) == (1, 1)


async def test_a_rejection_is_raised_at_once() -> None:
    thread = Thread(["rejected"])
    with pytest.raises(SlackRejected):
        await post_once(thread.post, thread.find)
    assert (thread.posts, thread.searches) == (1, 0)

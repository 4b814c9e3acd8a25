"""The interface between an answer that is being written and the place where people see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from bot.chores import Chore
from bot.domain import Answer, AnswerResult, Chat, MessageRef
from bot.steps import Step


class AnswerControl(Protocol):
    """What a sink may do to the answer that it shows."""

    async def record_messages(self, parts: tuple[MessageRef, ...]) -> None:
        """Stores which Slack messages show the answer, so that a worker that takes over finds them."""
        ...

    def note_final_messages(self, parts: tuple[MessageRef, ...]) -> None:
        """These messages show the whole answer, or are leftovers. Stored together with its end."""
        ...

    def note_refusal(self, code: str) -> None:
        """The surface does not let the answer be written, and says why. Stored together with its end."""
        ...

    async def wait_for_turn(self) -> None:
        """Returns when what comes before the answer is visible: its question, and the answer before.

        To be awaited before the first message is written.
        """
        ...

    async def confirm(self) -> None:
        """Returns when this worker holds the answer for certain, which is nearly always at once.

        To be awaited before anything visible is done. Cancels a caller whose worker has lost the answer.
        """
        ...

    def invalidate(self) -> None:
        """A message has changed in a way that only another writer explains: `confirm` must ask the database again."""
        ...

    def stop(self) -> None:
        """A user ended the answer by the surface's own means: cancels the model call."""
        ...


class AnswerSink(Protocol):
    """Where one answer becomes visible. Used once: open, write any number of times, then close or abandon."""

    async def open(self) -> None:
        """Shows that work has begun ("is thinking…") and takes up what an earlier worker left. Never raises."""
        ...

    def write(self, text: str) -> None:
        """Adds text to the answer. Returns at once; the sink shows it when its rate limit allows."""
        ...

    def step(self, step: Step) -> None:
        """A step has begun or changed; another with the same number is an earlier state of it. Returns at once."""
        ...

    def restart(self) -> None:
        """Takes back all text so far, which does not belong to the answer; steps stay. Returns at once."""
        ...

    async def close(self, result: AnswerResult) -> Mapping[Chore, float]:
        """Shows the result. Returns when all of it is shown, or certainly never can be; never raises.

        What else is left to do is returned: chores, with the seconds until each is due.
        """
        ...

    async def settle(self) -> None:
        """Returns when all text so far is visible as what it is, no stream, or after a moment. Never raises.

        Nothing more comes for now.
        """
        ...

    async def abandon(self) -> Mapping[Chore, float]:
        """Stops writing and leaves what is shown as it is: another worker goes on. Never raises.

        If none goes on at once, these chores remove what says that the answer is being written.
        """
        ...


class SinkFactory(Protocol):
    """Makes the sink for an answer that is about to be written."""

    async def __call__(self, chat: Chat, answer: Answer, control: AnswerControl) -> AnswerSink: ...


class NullSink:
    """Shows nothing: for chats without a Slack thread, whose answers programs read from the feed or the database."""

    async def open(self) -> None:
        pass

    def write(self, text: str) -> None:
        pass

    def step(self, step: Step) -> None:
        pass

    def restart(self) -> None:
        pass

    async def close(self, result: AnswerResult) -> Mapping[Chore, float]:
        return {}

    async def settle(self) -> None:
        pass

    async def abandon(self) -> Mapping[Chore, float]:
        return {}

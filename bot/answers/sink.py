"""The interface between an answer that is being written and the place where people see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from bot.domain import Answer, AnswerResult, Chat, MessageRef
from bot.domain.chores import Chore
from bot.domain.steps import Step


class AnswerControl(Protocol):
    """What a sink may do to the answer that it shows."""

    async def record_messages(self, parts: tuple[MessageRef, ...]) -> None:
        """Stores which Slack messages show the answer, so that a worker that takes over finds them."""
        ...

    def note_final_messages(self, parts: tuple[MessageRef, ...]) -> None:
        """Records the messages that show the whole answer, or are leftovers. Stored together with its end."""
        ...

    def note_refusal(self, code: str) -> None:
        """Records why the surface does not let the answer be written. Stored together with its end."""
        ...

    async def wait_for_turn(self) -> None:
        """Returns when everything before the answer is visible: its question, and the previous answer.

        Awaited before the first message is written.
        """
        ...

    async def confirm(self) -> None:
        """Returns when this worker certainly holds the answer, which is nearly always immediately.

        Awaited before any visible change. Cancels a caller whose worker has lost the answer.
        """
        ...

    def invalidate(self) -> None:
        """A message has changed in a way that only another writer explains: `confirm` must ask the database again."""
        ...

    def stop(self) -> None:
        """A user stopped the answer by the surface's own means: cancels the model call."""
        ...


class AnswerSink(Protocol):
    """Where one answer becomes visible. Used once: open, write any number of times, then close or abandon."""

    async def open(self) -> None:
        """Shows that work has begun ("is thinking…") and takes over the messages of an earlier worker. Never raises."""
        ...

    def write(self, text: str) -> None:
        """Adds text to the answer. Returns immediately; the sink shows it when its rate limit allows."""
        ...

    def step(self, step: Step) -> None:
        """A step has begun or changed; it replaces an earlier state with the same number. Returns immediately."""
        ...

    def restart(self) -> None:
        """Retracts all text so far, which does not belong to the answer; steps stay. Returns immediately."""
        ...

    async def close(self, result: AnswerResult) -> Mapping[Chore, float]:
        """Shows the result. Returns when all of it is shown, or can certainly never be shown; never raises.

        Returns the remaining chores, with the seconds until each is due.
        """
        ...

    async def settle(self) -> None:
        """Returns when all text so far is visible in its final form, not as a stream, or after a moment. Never raises.

        Called when nothing more comes for now.
        """
        ...

    async def abandon(self) -> Mapping[Chore, float]:
        """Stops writing and leaves what is shown as it is, because another worker continues. Never raises.

        If none continues immediately, the returned chores remove the signs that the answer is being written.
        """
        ...


class SinkFactory(Protocol):
    """Makes the sink for an answer that is about to be written."""

    async def __call__(self, chat: Chat, answer: Answer, control: AnswerControl) -> AnswerSink: ...


class NullSink:
    """Shows nothing: for chats without a Slack thread, whose answers API clients read from the feed or the database."""

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

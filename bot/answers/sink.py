"""The seam between an answer being written and the place where people see it."""

from __future__ import annotations

from typing import Protocol

from bot.domain import Answer, AnswerResult, Chat, MessageRef


class AnswerControl(Protocol):
    """What a sink may do to the answer that it shows."""

    async def record_messages(self, parts: tuple[MessageRef, ...]) -> None:
        """Keep which Slack messages show the answer, so that another owner finds them."""
        ...

    def note_final_messages(self, parts: tuple[MessageRef, ...]) -> None:
        """The whole answer is shown by these; kept together with its end, and before any other answer begins."""
        ...

    async def confirm(self) -> None:
        """Returns when this process has the answer for certain, which is nearly always at once.

        To be waited for before anything is done that is seen. Cancels whoever has lost the answer to another process.
        """
        ...

    def invalidate(self) -> None:
        """Something has happened to a message that only another writer could have done: `sure` shall ask anew."""
        ...

    def stop(self) -> None:
        """A person ended the answer by the surface's own means: cancel the model call."""
        ...


class AnswerSink(Protocol):
    """Where one answer becomes visible. One writer, one answer, one life: open, write…, close or abandon."""

    async def open(self) -> None:
        """Show that something happens ("is thinking…") and take up what an earlier owner left. Never raises."""
        ...

    def write(self, text: str) -> None:
        """More text of the answer. Returns at once; the sink shows it when its budget allows."""
        ...

    async def close(self, result: AnswerResult) -> None:
        """Show the end. Returns when all of it stands, or when it is certain that it never can; never raises."""
        ...

    async def abandon(self) -> None:
        """Stop writing and leave what is shown as it is: another process goes on. Never raises."""
        ...


class SinkFactory(Protocol):
    """Makes the sink for an answer that is about to be written."""

    async def __call__(self, chat: Chat, answer: Answer, control: AnswerControl) -> AnswerSink: ...


class NullSink:
    """For a chat that has no place in Slack: programs read its answers from the live events and the database."""

    async def open(self) -> None:
        pass

    def write(self, text: str) -> None:
        pass

    async def close(self, result: AnswerResult) -> None:
        pass

    async def abandon(self) -> None:
        pass

"""A summary written while somebody is being erased is not stored, because it may contain what they said."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bot.chats.auxiliary_calls import AuxiliaryCalls
from bot.chats.retention import Eraser
from bot.chats.summarizer import Summarizer
from bot.domain import Role, User
from bot.domain.stream_events import StreamEvent, TextDelta
from bot.observability import Metrics
from bot.providers.base import ChatMessage, ModelRequest
from bot.runtime.tasks import Tasks
from bot.usage.calls import payer_of
from storage.action_claims import ActionClaims
from storage.answers import Answers
from storage.chats import Chats
from storage.engine.database import Database
from storage.erasure import Erasure, Selection
from storage.ledger import Ledger
from storage.summaries import Summaries, Summary
from tests.deadlines import patient_timing
from tests.storage.chat_builder import MODEL, ChatBuilder

GONE = User("T1", "U0GONE")


class Erasing:
    """A model during whose first summary a person is erased."""

    def __init__(self, eraser: Eraser) -> None:
        self._eraser = eraser
        self.asked = 0

    async def stream(self, request: ModelRequest) -> AsyncIterator[StreamEvent]:
        self.asked += 1
        if self.asked == 1:
            await self._eraser.erase(Selection(user=GONE))
        yield TextDelta(f"summary {self.asked}")


async def test_a_summary_whose_source_is_erased_meanwhile_is_written_again(
    database: Database,
) -> None:
    builder = ChatBuilder(Chats(database), Answers(database))
    chat = (await builder.start(author="U0OTHER")).chat
    await builder.answer(chat)
    await builder.say(chat, "a secret", GONE.id)
    await builder.answer(chat)
    model = Erasing(Eraser(Erasure(database)))
    calls = AuxiliaryCalls(model, Ledger(database), Metrics())

    async with Tasks() as tasks:
        timing = patient_timing()
        claims = ActionClaims(database)
        summaries = Summaries(database)
        summarizer = Summarizer(summaries, claims, calls, tasks, timing)

        async def write() -> Summary | None:
            return await summarizer.write(
                payer_of(chat, chat.owner),
                MODEL,
                [ChatMessage(Role.USER, "a secret")],
                since=1,
                through=4,
                people=await summaries.people(chat.id, 1, 4),
                room=None,
                wait=timing.longest_summary,
            )

        assert await write() is None
        assert await write() == Summary(1, 4, "summary 2")

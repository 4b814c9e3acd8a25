"""How the databases find the rows of the statements that run for every message, answer, press and sweep: by an index.

Each operation is carried out; every statement that it sends is explained with its parameters. On PostgreSQL the tables
hold thousands of rows, nearly all in one workspace, and their statistics are known to the planner, so that what an
index would not serve is read as a whole. SQLite plans without statistics, as it does in production.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import psycopg
import pytest
from sqlalchemy import event

from bot.domain import AnswerResult, ModelRef, Status, Thread, User
from bot.domain.chores import Chore
from bot.domain.tool_calls import Decision
from bot.usage.calls import Call, CallKind, Estimate, Payer
from bot.usage.figures import GroupBy
from bot.usage.limits import Budget, Limits, MessageRate, Period, Scope, Unit
from storage.action_claims import ActionClaims, Turn
from storage.answers import Answers
from storage.api_tokens import Tokens
from storage.channel_settings import ChannelSettingsStore
from storage.chat_requests import ChatRequests
from storage.chats import Chats
from storage.chores import Chores, Share
from storage.engine.database import Database
from storage.engine.types import new_id
from storage.erasure import Erasure, Selection
from storage.ledger import Ledger
from storage.messages import NewMessage, StoredMessage
from storage.people import People
from storage.pictures import Pictures
from storage.stop_buttons import StopButtons
from storage.successors import Successors
from storage.summaries import Summaries
from storage.tool_call_history import ToolCallHistory
from storage.tool_calls import ToolCalls
from tests.deadlines import patient_timing
from tests.storage import many_rows

TEAM = "T1"
USER = User(TEAM, "U1")
MODEL = ModelRef("openai", "gpt")
LIMITS = Limits(
    budgets=(
        Budget(Scope.USER, 1e9, Unit.TOKENS, Period.MONTH),
        Budget(Scope.CHANNEL, 1e9, Unit.USD, Period.DAY),
    ),
    rate=MessageRate(1_000_000, Period.HOUR),
)
SMALL = frozenset(
    {"ix_answers_open", "uq_answers_running", "ix_chats_homeless", "ix_chores_worker"}
)
"""Partial indexes that hold what is under way: they may be read as a whole."""


@pytest.fixture
def seeded_url(migrated_url: str, dialect: str) -> str:
    if dialect == "postgresql":
        many_rows.fill(migrated_url)
    return migrated_url


@dataclass
class Scene:
    """The repositories on one database, and a chat with which every query is made."""

    database: Database
    sent: dict[str, Any] = field(default_factory=dict)
    """The statements since it was last emptied, with their parameters."""
    stored: StoredMessage | None = None

    def __post_init__(self) -> None:
        self.chats = Chats(self.database, limits=LIMITS)
        self.answers = Answers(self.database, LIMITS)
        self.chores = Chores(self.database)
        self.requests = ChatRequests(self.database)
        self.calls = ToolCalls(self.database, LIMITS)
        for engine in self.database.engines:
            event.listen(engine.sync_engine, "before_cursor_execute", self._note)

    def _note(self, _c: object, _u: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "WITH")) and "txid" not in statement:
            self.sent.setdefault(statement, parameters)

    @property
    def chat(self) -> str:
        assert self.stored is not None
        return self.stored.chat.id

    @property
    def answer(self) -> str:
        assert self.stored is not None
        return self.stored.answer.id

    @property
    def question(self) -> str:
        assert self.stored is not None
        return self.stored.message.id


async def begin(at: Scene) -> None:
    new = NewMessage("hello", "U1", source="new.1", ts="new.1")
    at.stored = await at.chats.start(
        team=TEAM, owner="U1", model=MODEL, thread=Thread(TEAM, "C1", "new.1"), message=new
    )


async def go_on(at: Scene) -> None:
    await at.chats.add_message(at.chat, NewMessage("more", "U2", source="new.2", ts="new.2"))


async def claim(at: Scene) -> None:
    assert await at.answers.claim(at.chat, "w1", 60.0)
    call = new_id()
    assert await at.answers.begin_call(at.answer, "w1", call, Estimate(5, 0.5))
    assert await at.answers.renew("w1", 60.0, [at.answer], {call: Estimate(3, 0.3)})
    assert await at.answers.save_slack_messages(at.answer, "w1", ())


async def read_for_the_model(at: Scene) -> None:
    await at.chats.history(at.chat, 3)
    await at.chats.unanswered(at.chat, 3)
    await at.chats.keep_author_names(at.chat, {"U1": "Ann"})
    await at.answers.last_measure(at.chat, 3)
    await Summaries(at.database).find(at.chat, 1, 9)
    await ToolCallHistory(at.database).before(at.chat, 4, 1000)
    await ChannelSettingsStore(at.database).get(TEAM, "C1")
    await People(at.database).accounts([USER, User(TEAM, "U2")])
    await at.chats.author_count(at.chat)


async def end(at: Scene) -> None:
    payer = Payer(TEAM, "U1", "C1", at.chat)
    used = Call(new_id(), payer, CallKind.ANSWER, MODEL, estimated_tokens=9)
    result = AnswerResult(Status.FAILED, "well", error="timeout")
    due = {Chore.TITLE: 0.0, Chore.HIDE_STOP: 0.0}
    assert await at.answers.save_result(at.answer, "w1", result, due, [used])
    assert await at.answers.finish(at.answer, "w1")
    assert await at.answers.retry(at.answer)


async def look_at_answers(at: Scene) -> None:
    assert at.stored is not None
    for question in (
        at.answers.is_at_work,
        at.answers.is_busy,
        at.answers.next_waiting,
        at.answers.results,
        at.answers.running,
        at.answers.slack_timestamps,
        at.answers.request_stop,
    ):
        await question(at.chat)
    await at.answers.request_stop(at.chat, "new.3", "U1")
    await at.answers.has_unshown_before(at.stored.answer)
    await at.answers.for_message(at.question)
    await at.answers.by_ids([at.answer])
    await at.answers.open_for(USER)
    await StopButtons(at.database).set_shown(at.chat)
    await StopButtons(at.database).set_hidden(at.chat)


async def sweep_answers(at: Scene) -> None:
    await at.answers.worker_ids()
    await at.answers.chats_to_claim(200)
    await at.answers.waiting_count()
    await at.answers.release("w1", chat_id=at.chat, keep=["other"])
    await at.answers.release("w1")


async def do_chores(at: Scene) -> None:
    await at.chores.due(10, Share(5, 5), {}, ["other"])
    (due,) = await at.chores.due(10, Share(5, 5), {TEAM: 1})
    first, second = await at.chores.claim(due.id, 30.0, "w1")
    await at.chores.worker_ids()
    await at.chores.postpone(first, 0.0)
    await at.chores.unclaim([second], {})
    await at.chores.is_left(due.id, Chore.TITLE)
    await at.chores.release("w1", {})
    await at.chores.release("w1", {}, answer_id=due.id)
    for each in await at.chores.claim(due.id, 30.0, "w1"):
        await at.chores.complete(each)
    await at.chores.show_again(due.id)
    await at.chores.forget_leftovers(due.id, ["1"])


async def find_threads(at: Scene) -> None:
    thread = Thread(TEAM, "C1", "new.1")
    await at.chats.chat_and_open_request(thread, "U1")
    await at.chats.find_by_thread(thread)
    await at.chats.replace_text(thread, "new.1", "hello", "hello, you")
    await at.chats.any_in_channel(TEAM, "C1")
    await at.chats.get_visible_to(USER, at.chat)
    await at.chats.newest_message_ids([at.chat])
    await at.chats.participants(at.chat)
    await at.chats.text_length(at.chat)
    await at.chats.messages(at.chat)
    await at.chats.set_away(USER, "C1", away=False)
    await Pictures(at.database).of_chat(at.chat)
    await Pictures(at.database).of_messages([at.question])


async def list_and_search(at: Scene) -> None:
    page = await at.chats.list_for(USER, limit=10)
    await at.chats.list_for(USER, limit=10, cursor=page.next_cursor)
    await at.chats.list_for(USER, limit=10, words="hello")
    await at.chats.list_for(USER, limit=10, words="nowhere words")


async def ask_before_a_chat(at: Scene) -> None:
    thread = Thread(TEAM, "C1", "new.9")
    request, _ = await at.requests.create(thread=thread, ts="new.9", user="U1", text="hi")
    await at.requests.create(thread=thread, ts="new.9", user="U1", text="hi")
    await at.requests.find_open(thread, "U1")
    await at.requests.others_without_model(request)
    await at.requests.note_message(thread, "new.91")
    await at.requests.set_model(request.id, MODEL)
    await at.requests.started_in_dialog(at.chat)


async def sweep_threads(at: Scene) -> None:
    await at.requests.without_menu(20.0, 50)
    await at.requests.not_posted(20.0, 50)
    await at.requests.ready_to_start(20.0, 50)
    await at.requests.without_header(20.0, 3600.0, 50)
    await at.requests.header_not_shown(20.0, 3600.0, 50)
    await at.requests.offered_again(20.0, 50)
    await Successors(at.database).without_thread(20.0, 50)


async def lead_on(at: Scene) -> None:
    successors = Successors(at.database)
    await successors.continuation_of(at.chat)
    await successors.branches_of(at.chat, 5)


async def claim_presses(at: Scene) -> None:
    claims = ActionClaims(at.database)
    assert await claims.turn("envelope", "1", seconds=20.0) is Turn.MINE
    assert await claims.turn("envelope", "1", seconds=0.0) is Turn.DONE
    await claims.keep("envelope", "1")
    await claims.release("envelope", "1")
    await claims.forget_old()


async def count_usage(at: Scene) -> None:
    ledger = Ledger(at.database, LIMITS)
    await ledger.check(Payer(TEAM, "U7", "C7", ""))
    await ledger.figures(date.today(), GroupBy.MODEL, user=USER)
    await ledger.figures(date.today(), GroupBy.USER, team=TEAM)
    await ledger.figures(date.today())
    title = Call(new_id(), Payer(TEAM, "U1", "C1", at.chat), CallKind.TITLE, MODEL)
    await ledger.add([title])
    await ledger.complete(title)
    await ledger.forget_old_spending()


async def use_tokens(at: Scene) -> None:
    tokens = Tokens(at.database)
    token = await tokens.issue(USER)
    assert await tokens.user_of(token)
    await tokens.listed(USER)
    await tokens.revoke(USER)


async def call_tools(at: Scene) -> None:
    await at.calls.of_answer(at.answer)
    await at.calls.of_chat(at.chat)
    await at.calls.asked(at.chat)
    await at.calls.is_granted(at.chat, "U1", "pin")
    await at.calls.has_unshown(at.answer)
    await at.calls.decide(f"{new_id()}-pin", TEAM, "U1", Decision.ONCE)


async def erase(at: Scene) -> None:
    """Only what it writes: what is to be erased is looked for beside everything else."""
    gone = Selection(user=User(TEAM, "U9"))
    await Erasure(at.database).remove_chats(gone, [new_id()])


OPERATIONS: list[Callable[[Scene], Awaitable[None]]] = [
    begin,
    go_on,
    claim,
    read_for_the_model,
    look_at_answers,
    end,
    sweep_answers,
    do_chores,
    find_threads,
    list_and_search,
    ask_before_a_chat,
    sweep_threads,
    lead_on,
    claim_presses,
    count_usage,
    use_tokens,
    call_tools,
    erase,
]


async def test_every_statement_finds_its_rows_by_an_index(seeded_url: str, dialect: str) -> None:
    database = Database.open(seeded_url, timing=patient_timing())
    at = Scene(database)
    bad: list[str] = []
    with closing(CONNECT[dialect](seeded_url)) as connection:
        try:
            for operation in OPERATIONS:
                at.sent.clear()
                await operation(at)
                for statement, parameters in at.sent.items():
                    for why in SCANS[dialect](connection, statement, parameters):
                        bad.append(
                            f"{operation.__name__}: {why}\n    {' '.join(statement.split())}"
                        )
        finally:
            await database.close()
    assert bad == [], "\n".join(bad)


async def test_a_list_is_read_in_its_order(seeded_url: str, dialect: str) -> None:
    """However many chats the user has, no query reads or sorts all of them."""
    database = Database.open(seeded_url, timing=patient_timing())
    at = Scene(database)
    await begin(at)
    at.sent.clear()
    await at.chats.list_for(USER, limit=10)
    await database.close()
    statement, parameters = next(iter(at.sent.items()))
    explain = {"sqlite": "EXPLAIN QUERY PLAN", "postgresql": "EXPLAIN"}[dialect]
    with closing(CONNECT[dialect](seeded_url)) as connection:
        plan = str(connection.execute(f"{explain} {statement}", parameters).fetchall())
    assert "ix_participants_shown" in plan, plan


def connect_to_sqlite(url: str) -> sqlite3.Connection:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    connection.create_function("lower", 1, str.lower, deterministic=True)
    return connection


def connect_to_postgresql(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(url, autocommit=True)


def scans_of_sqlite(connection: Any, statement: str, parameters: Any) -> Iterator[str]:
    for *_, detail in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall():
        _, _, what = detail.partition("SCAN ")
        table, _, how = what.partition(" ")
        if table in TABLES and how.rpartition(" ")[2] not in SMALL:
            yield detail


def scans_of_postgresql(connection: Any, statement: str, parameters: Any) -> Iterator[str]:
    explained = connection.execute(f"EXPLAIN (FORMAT JSON) {statement}".encode(), parameters)
    (row,) = explained.fetchall()
    for node in _nodes(row[0][0]["Plan"]):
        table = node.get("Relation Name")
        if node["Node Type"] == "Seq Scan" and table in many_rows.TABLES:
            yield f"Seq Scan of {table}, {node.get('Filter')}"


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from _nodes(each)


CONNECT: dict[str, Callable[[str], Any]] = {
    "sqlite": connect_to_sqlite,
    "postgresql": connect_to_postgresql,
}
SCANS = {"sqlite": scans_of_sqlite, "postgresql": scans_of_postgresql}
TABLES = frozenset(
    {*many_rows.TABLES, "answer_steps", "tool_grants", "tool_pictures", "other", "earlier"}
)
"""And names by which statements call them."""

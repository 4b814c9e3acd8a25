"""Checks that every question was answered, or its asker told why not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from bot import strings
from bot.sandbox.state.records import Message
from tests.handlers.world import Row, World, elements, shown
from tests.soak.users import Question, answer_to


@dataclass
class Reconciliation:
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    """The mismatches; empty if all is well."""

    @property
    def total(self) -> int:
        return sum(self.outcomes.values())


def reconcile(world: World, asked: list[Question], limit: int) -> Reconciliation:
    """Compares what was asked, what is stored and what Slack shows."""
    result = Reconciliation()
    chats = {row["thread"]: row for row in world.rows("SELECT * FROM chats WHERE thread > ''")}
    stored: dict[str, list[Row]] = {thread: world.messages(thread) for thread in chats}
    visible = {q.thread: world.answers(q.thread, q.channel) for q in asked}
    for question in asked:
        rows = stored.get(question.thread, [])
        found = [
            n
            for n, row in enumerate(rows)
            if row["role"] == "user" and row["text"] == question.text
        ]
        if len(found) > 1:
            result.faults.append(f"stored twice: {question}")
        elif found:
            answer = next(row for row in rows[found[0] + 1 :] if row["role"] == "assistant")
            _answered(result, question, answer, visible[question.thread])
        else:
            _refused(result, world, question, len(rows) >= limit - 1)
    for thread, chat in chats.items():
        if chat["message_count"] > limit or chat["message_count"] != len(stored[thread]):
            result.faults.append(
                f"miscounted: {chat['message_count']} of {len(stored[thread])} in {thread}"
            )
    return result


def _answered(
    result: Reconciliation, question: Question, answer: Row, messages: list[Message]
) -> None:
    status, whole = answer["status"], answer_to(question.text)
    mark = f"q{question.text.rpartition(' ')[2]}n"
    places = [message for message in messages if mark in shown(message)]
    result.outcomes[status] += 1
    if len(places) > 1:
        result.faults.append(f"shown in {len(places)} places: {question}")
    if status == "done" and (
        answer["text"] != whole or [shown(thread) for thread in places] != [whole]
    ):
        result.faults.append(
            f"not whole: {question}: {answer['text']!r}, {[shown(thread) for thread in places]}"
        )
    elif status == "stopped" and not whole.startswith(answer["text"]):
        result.faults.append(f"stopped, but not its beginning: {question}: {answer['text']!r}")
    elif status == "failed" and places and not elements(places[0], "retry_answer"):
        result.faults.append(f"failed without Retry: {question}")
    elif status not in ("done", "stopped", "failed"):
        result.faults.append(f"left {status}: {question}")


def _refused(result: Reconciliation, world: World, question: Question, full: bool) -> None:
    if question.refusal is not None:
        result.outcomes[f"refused: {question.refusal}"] += 1
        return
    notices = [
        w
        for w in world.slack.workspace.ephemerals(question.by, question.channel)
        if w.text.startswith(strings.CHAT_FULL.partition("{")[0])
    ]
    if full and notices:
        result.outcomes["refused: limit"] += 1
    else:
        result.faults.append(f"lost: {question} (chat full: {full}, notices: {len(notices)})")

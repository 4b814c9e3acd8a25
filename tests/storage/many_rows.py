"""Thousands of rows in each large PostgreSQL table, nearly all of one workspace, with statistics for the planner."""

from __future__ import annotations

import psycopg

ROWS = 4_000

_CHAT = "lpad(n::text, 32, '0')"
TABLES = {
    "chats": (
        "id, team, channel, thread, owner, title, title_by, provider, model, message_count, created_at, updated_at",
        f"{_CHAT}, 'T1', 'C' || n % 50, 'old.' || n, 'U' || n % 100, 'title', 'model', 'openai', 'gpt', 2, "
        "{at}, {at}",
    ),
    "messages": (
        "id, chat_id, number, role, text, status, author, source, created_at, updated_at",
        f"{_CHAT}, {_CHAT}, 1, 'user', 'words', 'done', 'U' || n % 100, 'old.' || n, {{at}}, {{at}}",
    ),
    "answers": (
        "message_id, chat_id, number, question_id, state, attempt, complete, cut, parts, stop_requested, queued, model",
        f"{_CHAT}, {_CHAT}, 2, {_CHAT}, 'ended', 1, true, false, '[]', false, false, 'openai:gpt'",
    ),
    "chores": (
        "message_id, kind, due_at, tries",
        f"{_CHAT}, 'title', {{at}} + interval '10 years', 1",
    ),
    "participants": (
        'team, "user", chat_id, active_at',
        f"'T1', 'U' || n % 100, {_CHAT}, {{at}}",
    ),
    "questions": (
        'id, team, channel, thread, ts, "user", text, source, state, created_at',
        f"{_CHAT}, 'T1', 'C' || n % 50, 'old.' || n, 'old.' || n, 'U' || n % 100, 'words', 'old.' || n, "
        "'shown', {at}",
    ),
    "ledger": (
        'id, at, team, "user", channel, kind, provider, model, outcome',
        f"{_CHAT}, {{at}}, 'T1', 'U' || n % 100, 'C1', 'answer', 'openai', 'gpt', 'done'",
    ),
    "usage_days": (
        'team, "user", day, channel, model, answers, failures, calls, untold, unpriced, prompt_tokens, '
        "completion_tokens, cached_tokens, cost",
        "'T1', 'U' || n % 100, to_char({at}, 'YYYY-MM-DD'), 'C' || n, 'openai:gpt', 1, 0, 1, 0, 0, 1, 1, 0, 0.1",
    ),
    "spending": (
        "team, scope, subject, period, begins, tokens, cost, answers, held, messages, warned",
        "'T1', 'user', 'U' || n, 'month', now() - n * interval '1 minute', 1, 0, 1, 0, 0, false",
    ),
    "done_once": ("key, kept_until", "md5(n::text), {at} + interval '10 years'"),
    "people": ('team, "user", name, always, updated_at', "'T1', 'U' || n, 'name', false, {at}"),
    "api_tokens": ('hash, team, "user", created_at', "md5(n::text), 'T1', 'U' || n, {at}"),
    "attachments": ("message_id, position, name, mime, data", f"{_CHAT}, 0, 'a', 'image/png', ''"),
    "feedback": ('message_id, team, "user", value, updated_at', f"{_CHAT}, 'T1', 'U1', 1, {{at}}"),
    "summaries": (
        "chat_id, since, through, text, created_at",
        f"{_CHAT}, 1, 9, 'words', {{at}}",
    ),
    "tool_calls": (
        "id, answer_id, chat_id, round, number, said, round_extra, call_id, name, path, pin, repeatable, arguments, "
        "arguments_hash, extra, state, result, asked, created_at, updated_at",
        f"{_CHAT}, {_CHAT}, {_CHAT}, 0, 0, '', '', 'c', 'n', 'p', 'x', true, '', '', '', 'done', '', false, "
        "{at}, {at}",
    ),
}
"""By table: its columns, and a row's values for a number `n`. `{at}` lies within the last years."""
_AT = "(now() at time zone 'utc' - n * interval '4 hours')"


def fill(url: str) -> None:
    """Fills the tables of an empty database."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # without triggers
        for table, (columns, values) in TABLES.items():
            numbers = f"FROM generate_series(1, {ROWS}) AS n"
            row = values.format(at=_AT)
            connection.execute(f"INSERT INTO {table} ({columns}) SELECT {row} {numbers}".encode())
        connection.execute("ANALYZE")

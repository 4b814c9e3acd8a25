"""Very many chats, made by the database itself: a million with ten messages each within some ten minutes.

Words are made of syllables and used as unevenly as in prose, since how common a piece of a word is decides how long a
search takes. People's chats are spread over the whole time, so that those of one person are not adjacent in storage.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib import import_module

import psycopg

TEAM = "T0BENCH"
PER_CHAT = 10
RARE, COMMON, NOWHERE, ELSEWHERE = "zanzibar", "question", "xylophonist", "tangerine"
"""Words that occur in a few of each person's chats, in all, in none, and in one in five chats of all others."""
SHORT, SHORT_NOWHERE = "ku", "q7"
"""Two letters that are in most chats, and two that are in none."""
CHINESE, CHINESE_NOWHERE = "灯台", "鯨肉"
"""A word in a few of each person's chats, and one that is in none."""
MANY, SOME = "pomegranate", "watermelon"
"""In one of three of each person's chats, and in one of ten."""
TITLED = "lighthouse"
"""Occurs in the titles of a few chats of each person, and nowhere else."""


@dataclass(frozen=True)
class Heavy:
    """A person with this many chats: those whose number is `first` modulo `every`."""

    name: str
    count: int
    every: int
    first: int

    def number(self, turn: int) -> int:
        """Which chat is this person's next one."""
        return self.first + turn % self.count * self.every


def heavy(name: str, count: int, chats: int, first: int) -> Heavy:
    """A person whose chats are spread evenly over all of them."""
    return Heavy(name, count, max(1, chats // count), first)


def chat_id(number: int) -> str:
    return f"{number:032x}"


def place_of(number: int) -> tuple[str, str]:
    """Channel and thread."""
    return f"C{number % 300}", f"{number}.1"


_WORDS = """
CREATE TEMPORARY TABLE vocabulary AS
  SELECT k, (SELECT string_agg((ARRAY['ba','ce','di','fo','gu','ka','le','mi','no','pu','ra','se','ti','vo','zu','an',
    'er','in','or','un','ku','str','sch','ll'])[1 + ('x' || substr(md5(k || '/' || s), 1, 4))::bit(16)::int % 24], '')
    FROM generate_series(1, 1 + k % 5) s) AS word FROM generate_series(1, 12000) k;
CREATE TEMPORARY TABLE phrases AS
  SELECT p, string_agg(word, ' ' ORDER BY i) AS text FROM generate_series(0, 19999) p CROSS JOIN generate_series(1, 8) i
  JOIN vocabulary ON k = 1 + (11999 * (('x' || substr(md5(p || '.' || i), 1, 6))::bit(24)::int / 16777216.0) ^ 3)::int
  GROUP BY p;
CREATE UNIQUE INDEX ON phrases (p);
ANALYZE phrases;
"""
_ROWS = f"""
INSERT INTO chats (id, team, channel, thread, owner, title, title_by, provider, model, message_count,
                   created_at, updated_at)
  SELECT lpad(to_hex(n), 32, '0'), '{TEAM}', 'C' || n % 300, n || '.1', coalesce(o.name, 'U' || n % 20000),
         CASE WHEN o.turn % 400 = 7 THEN 'The {TITLED} ' ELSE 'About ' END || p.text,
         'model', 'openai', 'demo/quick', {PER_CHAT}, now() - (:chats: - n) * interval '1 second', now()
  FROM generate_series(0, :chats: - 1) AS s(n) JOIN phrases p ON p.p = n % 20000 LEFT JOIN owned o ON o.chat = n;
INSERT INTO participants (team, "user", chat_id, active_at, away)
  SELECT team, owner, id, created_at, false FROM chats;
INSERT INTO messages (id, chat_id, number, role, text, status, author, created_at, updated_at)
  SELECT 'm' || lpad(to_hex(n), 31, '0'), lpad(to_hex(n / {PER_CHAT}), 32, '0'), n % {PER_CHAT} + 1,
         CASE WHEN n % 2 = 0 THEN 'user' ELSE 'assistant' END,
         a.text || ' {COMMON} ' || b.text || CASE
           WHEN o.turn % 140 = 3 AND n % {PER_CHAT} = 4 THEN ' {RARE}, {CHINESE}が見える。'
           WHEN o.turn % 3 = 1 AND n % {PER_CHAT} = 6 THEN ' {MANY}'
           WHEN o.turn % 10 = 4 AND n % {PER_CHAT} = 7 THEN ' {SOME}'
           WHEN o.turn IS NULL AND n % 50 = 1 THEN ' {ELSEWHERE}' ELSE '' END,
         'done', CASE WHEN n % 2 = 0 THEN coalesce(o.name, 'U' || n / {PER_CHAT} % 20000) END, now(), now()
  FROM generate_series(0::bigint, :chats:::bigint * {PER_CHAT} - 1) AS s(n)
  JOIN phrases a ON a.p = (n * 7919) % 20000 JOIN phrases b ON b.p = (n * 104729 + n / 20000) % 20000
  LEFT JOIN owned o ON o.chat = n / {PER_CHAT};
INSERT INTO answers (message_id, chat_id, number, question_id, state, attempt, complete, ending, cut, parts,
                     stop_requested, queued, model)
  SELECT 'm' || lpad(to_hex(n), 31, '0'), lpad(to_hex(n / {PER_CHAT}), 32, '0'), n % {PER_CHAT} + 1,
         'm' || lpad(to_hex(n - 1), 31, '0'), 'ended', 1, true, 'done', false, '[]', false, false, 'openai:demo/quick'
  FROM generate_series(1::bigint, :chats:::bigint * {PER_CHAT} - 1, 2) AS s(n);
"""


_FILL = """
UPDATE participants SET indexed = true FROM (
  SELECT team, "user", chat_id, row_number() OVER (PARTITION BY team, "user" ORDER BY chat_id) AS turn FROM participants
) AS counted
WHERE participants.team = counted.team AND participants."user" = counted."user"
  AND participants.chat_id = counted.chat_id AND turn > 50
"""


def fill(url: str, chats: int, people: list[Heavy]) -> str:
    """Fills a database whose schema is up to date; returns a report of what that took."""
    began = time.monotonic()
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in _statements(_WORDS):
            connection.execute(statement)
        _say_who_owns(connection, people)
        _store(connection, chats)
        rows = time.monotonic() - began
        _index(connection)
        size = connection.execute(
            "SELECT pg_size_pretty(pg_database_size(current_database()))"
        ).fetchone()
    assert size is not None
    return f"rows in {rows:.0f} s, passages and their index in {time.monotonic() - began - rows:.0f} s, {size[0]}"


def _say_who_owns(connection: psycopg.Connection, people: list[Heavy]) -> None:
    connection.execute(
        "CREATE TEMPORARY TABLE owned (chat bigint PRIMARY KEY, name text, turn integer)"
    )
    for one in people:
        connection.execute(
            "INSERT INTO owned SELECT %s + i * %s, %s, i FROM generate_series(0, %s - 1) i",
            (one.first, one.every, one.name, one.count),
        )
    connection.execute("ANALYZE owned")


def _store(connection: psycopg.Connection, chats: int) -> None:
    """In one transaction that first empties the tables, so that their rows need no write-ahead log."""
    # Creating these again is quicker than filling them; the foreign keys hold, so they need no check.
    connection.execute("DROP INDEX ix_passages_grams")
    connection.execute("SET session_replication_role = replica")
    connection.execute("SET jit = off")
    with connection.transaction():
        connection.execute("TRUNCATE chats, messages, answers, participants, passages CASCADE")
        for statement in _statements(_ROWS.replace(":chats:", str(chats))):
            connection.execute(statement)


def _index(connection: psycopg.Connection) -> None:
    """All at once, as nobody is served meanwhile."""
    passages = import_module("storage.migrations.versions.0008_passages")
    connection.execute("SET session_replication_role = origin")
    connection.execute("SET maintenance_work_mem = '2GB'")
    connection.execute("ANALYZE")
    for statement in (_FILL, passages.GRAMS_INDEX, passages.UNCOUNTED):
        connection.execute(statement.encode())
    connection.execute("VACUUM (ANALYZE)")


def _statements(text: str) -> list[bytes]:
    return [statement.encode() for statement in text.split(";\n") if statement.strip()]

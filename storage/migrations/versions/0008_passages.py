"""Add a search index for people with many chats, on PostgreSQL: what each of them may see, under their own user id.

A person's first fifty chats are read when they search. The text of further chats is copied to `passages`, once for each
participant, and an index holds the groups of one to four characters in it, each hashed together with the reader. So a
search touches nothing that belongs to others. Triggers maintain the copies, whoever writes. It needs no extension and
replaces the trigram indexes of migration 0006.

What was said before is copied later, in the background (`storage.search_index`): here, it would hold everybody for
minutes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

PLAIN = 50
"""How many chats of each person are read without the index."""

LOCK = "LOCK TABLE chats, messages, participants IN ACCESS EXCLUSIVE MODE"  # in the order in which writers lock

# 21 bits hold any character, 63 bits three of them. The bits that the fourth one is mixed into are zero except in scripts
# with very many characters, where a collision costs reading one text. Search words contain no blanks.
# PL/pgSQL takes a quarter of the time of a single SQL statement. The COST keeps the planner from calling it row by row.
GRAMS = """
CREATE FUNCTION search_grams(team text, "user" text, said text, shortest integer) RETURNS bigint[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 10000 AS $$
DECLARE
  reader bigint := ('x' || left(md5(team || '/' || "user"), 16))::bit(64)::bigint;
  sign text;
  a bigint := 32;
  b bigint := 32;
  c bigint := 32;
  d bigint;
  found bigint[] := '{}';
  count integer := 0;
BEGIN
  found[4 * length(said) + 1] := 0;
  FOREACH sign IN ARRAY string_to_array(said, NULL) LOOP
    d := CASE WHEN sign IN (E'\\t', E'\\n', E'\\r') THEN 32 ELSE ascii(sign) END;
    IF d <> 32 AND shortest <= 1 THEN
      count := count + 1;
      found[count] := d # reader;
    END IF;
    IF c <> 32 AND d <> 32 AND shortest <= 2 THEN
      count := count + 1;
      found[count] := ((c << 21) | d) # reader;
    END IF;
    IF b <> 32 AND c <> 32 AND d <> 32 AND shortest <= 3 THEN
      count := count + 1;
      found[count] := ((b << 42) | (c << 21) | d) # reader;
    END IF;
    IF a <> 32 AND b <> 32 AND c <> 32 AND d <> 32 THEN
      count := count + 1;
      found[count] := ((a << 42) | (b << 21) | c) # (d << 31) # reader;
    END IF;
    a := b;
    b := c;
    c := d;
  END LOOP;
  RETURN found[:count];
END $$
"""

# Every search reads the index's whole pending list, so it must stay short.
GRAMS_INDEX = """
CREATE INDEX ix_passages_grams ON passages USING gin (search_grams(team, "user", text, 1))
WITH (gin_pending_list_limit = 512)
"""

KEEPING = (
    """
CREATE TABLE passages (
  team varchar(64) NOT NULL,
  "user" varchar(64) NOT NULL,
  chat_id varchar(32) NOT NULL,
  number integer NOT NULL,
  text text NOT NULL,
  PRIMARY KEY (team, "user", chat_id, number),
  FOREIGN KEY (team, "user", chat_id) REFERENCES participants ON DELETE CASCADE
)
""",
    "COMMENT ON TABLE passages IS 'Titles (number 0) and messages in lower case, for searches; triggers keep them'",
    """
CREATE FUNCTION search_took_part() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE participants SET indexed = true
  WHERE team = NEW.team AND "user" = NEW."user" AND chat_id = NEW.chat_id AND PLAIN < (
    SELECT count(*) FROM (SELECT FROM participants AS other WHERE other.team = NEW.team AND other."user" = NEW."user"
      AND NOT other.away AND NOT other.indexed LIMIT PLAIN + 1) AS plain);
  RETURN NULL;
END $$
""".replace("PLAIN", str(PLAIN)),
    """
CREATE FUNCTION search_is_indexed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO passages
    SELECT NEW.team, NEW."user", NEW.chat_id, 0, lower(title) FROM chats WHERE id = NEW.chat_id
    UNION ALL
    SELECT NEW.team, NEW."user", NEW.chat_id, number, lower(text) FROM messages
    WHERE chat_id = NEW.chat_id AND text <> '';
  RETURN NULL;
END $$
""",
    """
CREATE FUNCTION search_keep(chat varchar, place integer, said text) RETURNS void LANGUAGE sql AS $$
  INSERT INTO passages
    SELECT team, "user", chat_id, place, lower(said) FROM participants WHERE chat_id = chat AND indexed
  ON CONFLICT (team, "user", chat_id, number) DO UPDATE SET text = excluded.text WHERE passages.text <> excluded.text
$$
""",
    # A participant may be joining in an uncommitted transaction. Whoever adds a message holds the chat's row, so locking
    # that row waits for them.
    """
CREATE FUNCTION search_was_said() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM chats WHERE id = NEW.chat_id FOR SHARE;
  PERFORM search_keep(NEW.chat_id, NEW.number, NEW.text);
  RETURN NULL;
END $$
""",
    """
CREATE FUNCTION search_was_titled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM search_keep(NEW.id, 0, NEW.title);
  RETURN NULL;
END $$
""",
    "CREATE TRIGGER search_took_part AFTER INSERT ON participants"
    " FOR EACH ROW WHEN (NOT NEW.indexed) EXECUTE FUNCTION search_took_part()",
    "CREATE TRIGGER search_is_indexed AFTER UPDATE OF indexed ON participants"
    " FOR EACH ROW WHEN (NEW.indexed AND NOT OLD.indexed) EXECUTE FUNCTION search_is_indexed()",
    "CREATE TRIGGER search_was_said AFTER INSERT ON messages"
    " FOR EACH ROW WHEN (NEW.text <> '') EXECUTE FUNCTION search_was_said()",
    "CREATE TRIGGER search_was_changed AFTER UPDATE OF text ON messages"
    " FOR EACH ROW WHEN (NEW.text <> OLD.text) EXECUTE FUNCTION search_was_said()",
    "CREATE TRIGGER search_was_titled AFTER UPDATE OF title ON chats"
    " FOR EACH ROW WHEN (NEW.title <> OLD.title) EXECUTE FUNCTION search_was_titled()",
)

# Statistics on the expression would tell the planner nothing and take long to collect.
UNCOUNTED = "ALTER INDEX ix_passages_grams ALTER COLUMN 1 SET STATISTICS 0"


def upgrade() -> None:
    on_postgresql = op.get_context().dialect.name == "postgresql"
    if on_postgresql:
        op.execute(LOCK)
    op.add_column(
        "participants",
        sa.Column("indexed", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    plain = sa.text("NOT away AND NOT indexed")
    op.create_index(
        "ix_participants_plain",
        "participants",
        ["team", "user", "active_at", "chat_id"],
        sqlite_where=plain,
        postgresql_where=plain,
    )
    if on_postgresql:
        for statement in (GRAMS, *KEEPING, GRAMS_INDEX, UNCOUNTED):
            op.execute(sa.text(statement.replace(":", "\\:")))
        op.execute("DROP INDEX IF EXISTS ix_messages_trigrams, ix_chats_trigrams")
        op.execute("ALTER TABLE messages ALTER COLUMN text SET STATISTICS -1")


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute(LOCK)
        op.execute("DROP TABLE passages")
        op.execute("DROP TRIGGER search_took_part ON participants")
        op.execute("DROP TRIGGER search_is_indexed ON participants")
        op.execute("DROP TRIGGER search_was_said ON messages")
        op.execute("DROP TRIGGER search_was_changed ON messages")
        op.execute("DROP TRIGGER search_was_titled ON chats")
        for function in ("took_part", "is_indexed", "was_said", "was_titled", "keep", "grams"):
            op.execute(f"DROP FUNCTION search_{function}")
    op.drop_index("ix_participants_plain", table_name="participants")
    op.drop_column("participants", "indexed")

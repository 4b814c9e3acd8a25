"""`bobbin export` and `bobbin erase`, run as programs on a database with chats."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from bot.domain import ModelRef
from storage.chats import Chats
from storage.engine.database import Database
from storage.messages import NewMessage
from tests.bot.program import Bobbin


async def _fill(file: Path) -> str:
    database = Database.open(f"sqlite:///{file}")
    await database.migrate()
    stored = await Chats(database).start(
        team="T1", owner="U1", model=ModelRef("a", "b"), message=NewMessage("How many?", "U1")
    )
    await database.close()
    return stored.chat.id


@pytest.fixture
def chat(tmp_path: Path) -> str:
    return asyncio.run(_fill(tmp_path / "chats.sqlite3"))


def test_export_writes_a_persons_chats_or_one(tmp_path: Path, bobbin: Bobbin, chat: str) -> None:
    where = {"DATABASE_URL": f"sqlite:///{tmp_path / 'chats.sqlite3'}"}
    one = bobbin("export", "--chat", chat, **where)
    assert (one.returncode, one.stdout.count("How many?")) == (0, 1)
    assert "exported" in one.stderr  # the audit log says so
    file = tmp_path / "alice.json"
    own = bobbin("export", "--user", "T1/U1", "--format", "json", "--file", str(file), **where)
    assert (own.returncode, own.stdout) == (0, "")
    (found,) = json.loads(file.read_text())["chats"]
    assert (found["conversation"]["id"], found["messages"][0]["content"]) == (chat, "How many?")
    for wrong in (["--user", "U1"], ["--chat", "nothing"], [], ["--chat", chat, "--user", "T/U"]):
        assert bobbin("export", *wrong, **where).returncode == 2


def test_erase_counts_first_and_removes_with_yes(tmp_path: Path, bobbin: Bobbin, chat: str) -> None:
    where = {"DATABASE_URL": f"sqlite:///{tmp_path / 'chats.sqlite3'}"}
    counted = bobbin("erase", "--user", "T1/U1", **where)
    assert counted.returncode == 0
    assert "1  chats" in counted.stdout
    assert "2  messages" in counted.stdout
    assert "--yes" in counted.stdout
    assert bobbin("export", "--chat", chat, **where).returncode == 0
    removed = bobbin("erase", "--user", "T1/U1", "--yes", **where)
    assert "Removed." in removed.stdout
    assert "erased" in removed.stderr  # the audit log records the erasure, but not the count
    assert "erased" not in counted.stderr
    assert "Slack" in removed.stdout
    assert bobbin("export", "--chat", chat, **where).returncode == 2
    assert "Nothing is stored" in bobbin("erase", "--before", "2020-01-01", **where).stdout
    assert bobbin("erase", "--before", "yesterday", **where).returncode == 2

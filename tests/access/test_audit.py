"""The audit log: one kind of event, at every level, without secrets."""

from __future__ import annotations

import json
import logging

import pytest

from bot import audit
from bot.audit import Action
from bot.domain import User
from bot.observability import configure_logging
from tests.access.conftest import WorldFactory
from tests.api.conftest import token_for


async def test_tokens_leave_entries_that_name_who_and_where(worlds: WorldFactory) -> None:
    async with worlds() as world:
        token = await token_for(world)
        await world.slack.interactions.command("alice", "general", "/chats", "token revoke")
        entries = [line for line in world.lines() if line["event"] == "audit"]
        team = world.slack.workspace.team_id
        assert [(e["action"], e["actor"], e["team"], e["target"]) for e in entries] == [
            ("token_issued", "U0ALICE", team, "U0ALICE"),
            ("tokens_revoked", "U0ALICE", team, "U0ALICE"),
        ]
        assert token not in world.log.getvalue()


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR"])
@pytest.mark.usefixtures("log")  # it restores the process's logging
def test_entries_are_logged_at_every_level(capsys: pytest.CaptureFixture[str], level: str) -> None:
    configure_logging(level, "json")
    audit.record_by(User("T1", "U1"), Action.EXPORTED, target="c1")
    (line,) = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (line["event"], line["logger"], line["action"], line["target"]) == (
        "audit",
        "bot.audit",
        "exported",
        "c1",
    )
    logging.getLogger("bot.audit").setLevel(logging.NOTSET)

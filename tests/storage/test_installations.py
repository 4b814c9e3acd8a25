"""Installations: which one serves a workspace, what removes one, and encrypted tokens."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from bot.domain import User
from storage.api_tokens import Tokens
from storage.encryption import TokenCipher, WrongKey
from storage.engine.database import Database
from storage.installations import Installation, Installations
from storage.tables import installations as table

OWN = Installation(
    "", "T1", "UBOT", "xoxb-own", "BBOT", "https://one.slack.com/", "chat:write", "U1"
)
ORG = Installation("E1", "", "UBOT", "xoxb-org", "BBOT", "https://org.enterprise.slack.com/")


@pytest.fixture
def kept(database: Database) -> Installations:
    return Installations(database, TokenCipher("key"))


async def raw(database: Database) -> dict[str, str]:
    """The stored tokens, by workspace or organisation."""
    async with database.read() as connection:
        rows = (await connection.execute(select(table))).all()
    return {row.team or row.enterprise: row.bot_token for row in rows}


async def test_an_installation_is_found_complete_and_only_in_its_workspace(
    kept: Installations,
) -> None:
    await kept.save(OWN)
    assert await kept.find("T1") == OWN
    assert await kept.find("T2") is None
    assert await kept.find(None, None) is None
    assert await kept.find("", "") is None


async def test_a_later_installation_replaces_the_earlier_one(kept: Installations) -> None:
    await kept.save(OWN)
    again = Installation("", "T1", "UBOT2", "xoxb-again")
    await kept.save(again)
    assert await kept.find("T1") == again
    assert len(await kept.statuses()) == 1


async def test_a_workspace_that_joins_an_organisation_leaves_no_second_token(
    kept: Installations,
) -> None:
    await kept.save(OWN)
    moved = Installation("E1", "T1", "UBOT", "xoxb-moved")
    await kept.save(moved)
    assert await kept.find("T1") == moved
    assert len(await kept.statuses()) == 1


async def test_an_organisation_serves_its_workspaces_and_no_others(kept: Installations) -> None:
    await kept.save(ORG)
    assert await kept.find("T1", "E1") == ORG
    assert await kept.find(None, "E1") == ORG
    assert await kept.find("T1", "E2") is None
    assert await kept.find("T1") is None
    await kept.remember_organisation("T1", "E1")
    assert await kept.find("T1") == ORG
    await kept.remember_organisation("T1", "E2")
    assert await kept.find("T1") is None


async def test_a_workspaces_own_installation_takes_precedence_over_its_organisations(
    kept: Installations,
) -> None:
    await kept.save(ORG)
    await kept.save(OWN)
    assert await kept.find("T1", "E1") == OWN
    assert await kept.remove("T1")
    assert await kept.find("T1", "E1") == ORG


async def test_removing_one_installation_leaves_the_others(kept: Installations) -> None:
    await kept.save(OWN)
    await kept.save(ORG)
    await kept.save(Installation("", "T2", "UBOT", "xoxb-two"))
    assert await kept.remove("T1")
    assert not await kept.remove("T1")
    assert not await kept.remove("T9", "E1")
    assert await kept.find("T1") is None
    assert await kept.remove(None, "E1")
    assert await kept.find(None, "E1") is None
    assert await kept.find("T2") is not None


async def test_an_uninstall_event_older_than_the_installation_changes_nothing(
    kept: Installations,
) -> None:
    """Slack redelivers unacknowledged events for minutes; meanwhile the app was installed again."""
    await kept.save(OWN)
    now = datetime.now(UTC)
    assert not await kept.remove("T1", before=now - timedelta(minutes=1))
    assert await kept.find("T1") == OWN
    assert await kept.remove("T1", before=now + timedelta(seconds=5))


async def test_removing_an_installation_revokes_only_the_api_tokens_of_its_users(
    kept: Installations, database: Database
) -> None:
    tokens = Tokens(database)
    here, there, org = User("T1", "U1"), User("T2", "U1"), User("T3", "U1")
    mine, other, third = (
        await tokens.issue(here),
        await tokens.issue(there),
        await tokens.issue(org),
    )
    await kept.save(OWN)
    await kept.save(ORG)
    await kept.remember_organisation("T1", "E1")
    await kept.remember_organisation("T3", "E1")
    await kept.remove(None, "E1")
    assert (
        await tokens.user_of(mine),
        await tokens.user_of(other),
        await tokens.user_of(third),
    ) == (
        here,
        there,
        None,
    )
    await kept.remove("T1")
    assert (await tokens.user_of(mine), await tokens.user_of(other)) == (None, there)


async def test_no_bot_token_can_be_read_from_the_database(
    kept: Installations, database: Database
) -> None:
    await kept.save(OWN)
    (sealed,) = (await raw(database)).values()
    assert "xoxb" not in sealed
    with pytest.raises(WrongKey):
        await Installations(database, TokenCipher("other")).find("T1")


async def test_rotate_tokens_encrypts_every_token_with_the_newest_key_once(
    kept: Installations, database: Database
) -> None:
    await kept.save(OWN)
    await kept.save(ORG)
    rotated = Installations(database, TokenCipher("new key"))
    assert await rotated.rotate_tokens() == 2
    assert await rotated.rotate_tokens() == 0
    newest = Installations(database, TokenCipher("new"))
    assert (await newest.find("T1"), await newest.find(None, "E1")) == (OWN, ORG)
    assert [each.decryptable for each in await newest.statuses()] == [True, True]
    assert [each.decryptable for each in await kept.statuses()] == [False, False]


async def test_rotate_tokens_without_the_old_key_changes_nothing(
    kept: Installations, database: Database
) -> None:
    await kept.save(OWN)
    before = await raw(database)
    with pytest.raises(WrongKey):
        await Installations(database, TokenCipher("other")).rotate_tokens()
    assert await raw(database) == before


async def test_rotating_tokens_during_an_installation_loses_nothing(
    kept: Installations, rivals: list[Database]
) -> None:
    for number in range(20):
        await kept.save(Installation("", f"T{number}", "UBOT", f"xoxb-{number}"))
    replicas = [Installations(each, TokenCipher("new key")) for each in rivals]
    fresh = [
        replicas[0].save(Installation("", f"T{number}", "UBOT", f"xoxb-again-{number}"))
        for number in range(20)
    ]
    await asyncio.gather(*(each.rotate_tokens() for each in replicas), *fresh)
    newest = Installations(rivals[1], TokenCipher("new"))
    found = [await newest.find(f"T{number}") for number in range(20)]
    assert [each.bot_token for each in found if each] == [
        f"xoxb-again-{number}" for number in range(20)
    ]


async def test_a_damaged_token_affects_only_its_workspace(
    kept: Installations, database: Database
) -> None:
    await kept.save(OWN)
    await kept.save(Installation("", "T2", "UBOT", "xoxb-two"))
    async with database.begin() as connection:
        await connection.execute(
            update(table).where(table.c.team == "T2").values(bot_token="xoxb-plain")
        )
    with pytest.raises(WrongKey):
        await kept.find("T2")
    assert await kept.find("T1") == OWN
    assert {(each.workspace, each.decryptable) for each in await kept.statuses()} == {
        ("T1", True),
        ("T2", False),
    }
    assert {each.scopes for each in await kept.statuses()} == {
        frozenset({"chat:write"}),
        frozenset(),
    }

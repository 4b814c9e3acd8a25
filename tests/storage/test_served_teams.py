"""A process does no work for workspaces that it does not serve, on every database."""

from __future__ import annotations

import asyncio

import pytest

from bot.domain import Thread
from bot.domain.chores import Chore
from storage.answers import Answers
from storage.chat_requests import ChatRequests
from storage.chats import Chats
from storage.chores import Chores, Share
from storage.encryption import TokenCipher
from storage.engine.database import Database
from storage.installations import Installation, Installations
from storage.served_teams import Serves, every_team, installed_teams, only_team
from storage.statements.chores import add_chores
from storage.successors import Successors
from tests.deadlines import WAIT_TIMEOUT
from tests.storage.chat_builder import ChatBuilder

LONG, LAPSED = 600.0, 0.0
TEAMS = {"T1", "T2", "T3", "T4"}
SERVED: dict[str, tuple[Serves, set[str]]] = {
    "the database for itself": (every_team, TEAMS),
    "the token of one": (only_team("T2"), {"T2"}),
    "the token of one without rows": (only_team("T9"), set()),
    "those that installed the app": (installed_teams, {"T1", "T3"}),
}
every_kind = pytest.mark.parametrize(("serves", "expected"), SERVED.values(), ids=SERVED.keys())


@pytest.fixture
async def installed(database: Database) -> Installations:
    """T1 by itself, T3 by its organisation, T4 only in the past."""
    installations = Installations(database, TokenCipher("a key"))
    await installations.save(Installation("", "T1", "UBOT", "xoxb-1"))
    await installations.save(Installation("E1", "", "UBOT", "xoxb-2"))
    await installations.remember_organisation("T3", "E1")
    await installations.save(Installation("", "T4", "UBOT", "xoxb-4"))
    await installations.remove("T4", None, None)
    return installations


@every_kind
async def test_answers(
    database: Database,
    builder: ChatBuilder,
    answers: Answers,
    installed: Installations,
    serves: Serves,
    expected: set[str],
) -> None:
    """Waiting ones, and those of a worker that is gone."""
    served = Answers(database, serves=serves)
    waiting, lapsed = {}, {}
    for team in sorted(TEAMS):
        waiting[team] = (await builder.start("1.0", team=team)).chat.id
        lapsed[team] = (await builder.start("2.0", team=team)).chat.id
        assert await answers.claim(lapsed[team], f"worker of {team}", LAPSED)
    wanted = {ids[team] for ids in (waiting, lapsed) for team in expected}
    assert set(await served.chats_to_claim(100)) == wanted
    assert await served.waiting_count() == len(expected)
    assert await served.worker_ids() == {f"worker of {team}" for team in expected}
    claimed = {
        chat
        for chat in [*waiting.values(), *lapsed.values()]
        if await served.claim(chat, "me", LONG)
    }
    assert claimed == wanted


@every_kind
async def test_chores(
    database: Database,
    builder: ChatBuilder,
    installed: Installations,
    serves: Serves,
    expected: set[str],
) -> None:
    for team in sorted(TEAMS):
        answer = await builder.answer((await builder.start("1.0", team=team)).chat)
        async with database.begin() as connection:
            await add_chores(connection, answer.id, {Chore.TITLE: 0.0})
    due = await Chores(database, serves).due(100, Share(100, 100), {})
    assert {each.team for each in due} == expected


@every_kind
async def test_unfinished_requests(
    database: Database, installed: Installations, serves: Serves, expected: set[str]
) -> None:
    requests = ChatRequests(database, serves)
    for team in sorted(TEAMS):
        await requests.create(thread=Thread(team, "C1", "1.0"), ts="1.0", user="U1", text="Hi")
        await requests.create(
            thread=Thread(team, "C1", ""), ts="dialog", user="U1", text="Hi", in_dialog=True
        )
    for find in (requests.without_menu, requests.not_posted):
        assert {each.thread.team for each in await find(0.0, 100)} == expected


@every_kind
async def test_unfinished_successors(
    database: Database,
    builder: ChatBuilder,
    chats: Chats,
    installed: Installations,
    serves: Serves,
    expected: set[str],
) -> None:
    successors = Successors(database, serves=serves)
    for team in sorted(TEAMS):
        await successors.create_continuation(
            (await builder.start("1.0", team=team)).chat, "U1", "C1"
        )
    found = await successors.without_thread(0.0, 100)
    assert {each.chat.team for each in found} == expected


async def test_workspaces_whose_work_is_never_finished_keep_out_no_other(
    database: Database, builder: ChatBuilder
) -> None:
    """Whatever is found, nothing of it is finished, and only some is taken at a time."""
    requests, successors = ChatRequests(database), Successors(database)
    teams = {f"T{number}" for number in range(30)}
    for team in sorted(teams):
        await requests.create(thread=Thread(team, "C1", "1.0"), ts="1.0", user="U1", text="Hi")
        await successors.create_continuation(
            (await builder.start("1.0", team=team)).chat, "U1", "C1"
        )
    asked, continued = set[str](), set[str]()
    async with asyncio.timeout(WAIT_TIMEOUT):
        while asked != teams or continued != teams:
            menus = {each.thread.team for each in await requests.without_menu(0.0, 10)}
            threads = {each.chat.team for each in await successors.without_thread(0.0, 10)}
            assert (len(menus), len(threads)) == (10, 10), "one of each workspace"
            asked |= menus
            continued |= threads


async def test_a_workspace_that_installs_the_app_again_is_served_again(
    database: Database, builder: ChatBuilder, installed: Installations
) -> None:
    chat = (await builder.start("1.0", team="T4")).chat
    served = Answers(database, serves=installed_teams)
    assert await served.claim(chat.id, "me", LONG) is None
    await installed.save(Installation("", "T4", "UBOT", "xoxb-5"))
    assert await served.claim(chat.id, "me", LONG)


async def test_the_work_of_others_takes_no_place_in_a_search(
    database: Database, builder: ChatBuilder
) -> None:
    """However much older it is."""
    for number in range(5):
        await builder.start(f"{number}.0", team="T1")
    own = (await builder.start("9.0", team="T2")).chat.id
    assert await Answers(database, serves=only_team("T2")).chats_to_claim(2) == [own]

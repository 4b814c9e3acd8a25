"""Many workspaces: each installs and uninstalls the app by itself, and their data never mix."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from bot.commands.doctor import examine
from bot.errors import SettingsError
from tests.handlers.two_workspaces import (
    CHATS_OF,
    KEY,
    TwoWorkspaces,
    allow_events_of_unknown_workspaces,
)
from tests.handlers.world import World
from tests.local_http import local_client
from tests.slow import slow

# -- apart -------------------------------------------------------------------------------------------------------------


async def test_equal_channel_and_thread_ids_in_two_workspaces_do_not_mix(
    installed: TwoWorkspaces,
) -> None:
    one, two = installed, installed.other
    installed.clock.stopped_at = time.time() + 1
    asked = [f"<@{one.slack.bot_user.id}> {text}" for text in ("one?", "two?")]
    thread = await one.slack.conversations.say("alice", "general", asked[0])
    assert await two.slack.conversations.say("alice", "general", asked[1]) == thread
    installed.clock.stopped_at = None
    await one.until(lambda: one.menus(thread) and two.menus(thread), "both menus")
    await one.choose(thread)
    await two.choose(thread)
    await one.until(lambda: len(one.ended(thread)) == 2, "both answers")
    await one.idle()
    assert [each.text for each in one.answers(thread)] != [
        each.text for each in two.answers(thread)
    ]
    assert ["Answer one." in m.text for m in one.answers(thread)] == [True]
    assert ["Answer two." in m.text for m in two.answers(thread)] == [True]
    assert [(row["team"], row["thread"]) for row in one.rows(CHATS_OF)] == [
        ("T0ONE", thread),
        ("T0TWO", thread),
    ]
    assert sorted(request[-1][1] for request in one.requests()) == ["one?", "two?"]

    await one.slack.conversations.say("bob", "general", "more?", thread)
    await one.until(lambda: len(one.ended(thread)) == 3, "the continued one")
    await one.idle()
    assert (len(one.answers(thread)), len(two.answers(thread))) == (2, 1)
    assert [text for _, text in one.requests()[-1]][-3:] == [
        "alice: one?",
        "Answer one.",
        "bob: more?",
    ]


async def test_lists_search_and_home_show_only_their_own_workspace(
    installed: TwoWorkspaces,
) -> None:
    one, two = installed, installed.other
    await one.answered(await one.start("one?"))
    await two.answered(await two.start("two?"))
    await one.idle()
    for thread, own, foreign in ((one, "C0GENERAL", "two?"), (two, "C0GENERAL", "one?")):
        (listed,) = await thread.slack.interactions.command("alice", "general", "/chats")
        assert f"{thread.slack.url}/archives/{own}" in str(listed.blocks)
        (found,) = await thread.slack.interactions.command(
            "alice", "general", "/chats", foreign.rstrip("?")
        )
        assert "archives" not in str(found.blocks)
        await thread.slack.views.open_home("alice")
        await thread.until(lambda: thread.slack.views.home("alice"), "the Home tab")  # noqa: B023
        assert str(thread.slack.views.home("alice")).count("archives/") == 1
    other_url = two.slack.url
    assert other_url not in str(one.slack.views.home("alice"))


async def test_an_api_token_is_valid_for_its_workspace_and_ends_with_the_installation(
    installed: TwoWorkspaces,
) -> None:
    one, two = installed, installed.other
    await one.answered(await one.start("one?"))
    await two.answered(await two.start("two?"))
    await one.idle()
    tokens = [await token(one), await token(two)]
    ids = [[chat["id"] for chat in await chats(installed, each)] for each in tokens]
    assert [len(each) for each in ids] == [1, 1]
    assert ids[0] != ids[1]
    async with api(installed, tokens[0]) as http:
        assert (await http.get(f"/chat/conversations/{ids[1][0]}")).status_code == 404
    await installed.uninstall(installed.slack)
    async with api(installed, tokens[0]) as http:
        assert (await http.get("/chat/conversations")).status_code == 401
    assert [chat["id"] for chat in await chats(installed, tokens[1])] == ids[1]


# -- the end of an installation ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kinds",
    [
        ("app_uninstalled",),
        slow((("tokens_revoked",),)),
        slow((("tokens_revoked", "app_uninstalled"),)),
    ],
)
async def test_uninstalling_ends_one_workspace_at_once_and_not_the_other(
    installed: TwoWorkspaces, kinds: tuple[str]
) -> None:
    one, two = installed, installed.other
    allow_events_of_unknown_workspaces(installed)
    thread = await one.start("one?")
    await one.answered(thread)
    await one.idle()
    asked = len(one.requests())
    await installed.uninstall(installed.slack, *kinds)
    await one.slack.conversations.say("alice", "general", "more?", thread)
    await one.slack.conversations.say("alice", "general", f"<@{one.slack.bot_user.id}> one?")
    await one.until(lambda: one.slack.dispatcher.pending() == 0, "the events are acknowledged")
    assert await two.answered(await two.start("two?")) == ["Answer two."]
    await one.idle()
    assert len(one.requests()) == asked + 1
    assert len(one.chats()) == 2
    assert [row["team"] for row in one.rows("SELECT team FROM installations")] == ["T0TWO"]


async def test_a_revoked_user_token_ends_nothing(installed: TwoWorkspaces) -> None:
    installed.slack.subscriptions.deliver(
        {"type": "tokens_revoked", "tokens": {"oauth": ["U0ALICE"]}}
    )
    await installed.until(lambda: installed.slack.dispatcher.pending() == 0, "it is acknowledged")
    assert await installed.answered(await installed.start("one?")) == ["Answer one."]
    await installed.idle()


async def test_after_a_reinstall_the_chats_continue(installed: TwoWorkspaces) -> None:
    thread = await installed.start("one?")
    await installed.answered(thread)
    await installed.idle()
    await installed.uninstall(installed.slack)
    assert (await installed.install(installed.slack)).status_code == 200
    await installed.slack.conversations.say("alice", "general", "more?", thread)
    assert await installed.answered(thread, 2) == ["Answer one.", "More."]
    await installed.idle()


async def test_a_late_uninstall_event_does_not_remove_the_new_installation(
    installed: TwoWorkspaces,
) -> None:
    """Slack redelivers an unacknowledged event for minutes; by then the app may have been installed again."""
    installed.clock.stopped_at = time.time() - 300
    installed.slack.subscriptions.deliver({"type": "app_uninstalled"})
    installed.clock.stopped_at = None
    await installed.until(lambda: installed.slack.dispatcher.pending() == 0, "it is acknowledged")
    assert await installed.answered(await installed.start("one?")) == ["Answer one."]
    await installed.idle()


async def test_what_waits_is_left_where_the_app_is_uninstalled(
    installed: TwoWorkspaces,
) -> None:
    """An answer, a menu that was never posted, a name, a title: none is tried, and none blocks the rest."""
    one, two = installed, installed.other
    allow_events_of_unknown_workspaces(installed)
    thread = await one.start("one?")
    await one.answered(thread)
    await one.idle()
    await installed.stop_bot()
    await installed.execute("DELETE FROM installations WHERE team = 'T0ONE'")
    installed.gateway.end(installed.slack)
    await _leave_work(installed, thread)
    await installed.start_bot()
    assert await two.answered(await two.start("two?")) == ["Answer two."]
    await two.until(lambda: not two.chores(), "the other one's after-work")
    await asyncio.sleep(2 * installed.timing.sweep_interval)
    assert one.rows("SELECT team FROM questions WHERE state = 'open'") == [{"team": "T0ONE"}]
    assert one.ended(thread) == []
    assert len(one.requests()) == 2
    assert (await installed.install(one.slack)).status_code == 200
    await one.until(lambda: len(one.ended(thread)) == 1, "it goes on")
    installed.leave_unfinished()


async def _leave_work(installed: TwoWorkspaces, thread: str) -> None:
    """Leaves what a process that died may leave: a message without an answer, a question without its menu."""
    (chat,) = (row for row in installed.chats() if row["thread"] == thread)
    columns = {row["name"] for row in installed.rows("PRAGMA table_info(answers)")}
    assert {"state", "owner"} <= columns
    await installed.execute(
        "UPDATE messages SET status = 'waiting', text = '' WHERE chat_id = ? AND number = 2",
        chat["id"],
    )
    await installed.execute(
        "UPDATE answers SET state = 'waiting', owner = NULL, lease_until = NULL, complete = 0 WHERE chat_id = ?",
        chat["id"],
    )
    await installed.execute("UPDATE questions SET state = 'open', menu_ts = NULL, model = NULL")


# -- keys --------------------------------------------------------------------------------------------------------------


async def test_tokens_are_encrypted_with_a_new_key_so_that_the_old_one_can_be_removed(
    installed: TwoWorkspaces,
) -> None:
    await installed.restart(bobbin_secret_key=SecretStr(f"the-new-key {KEY}"))
    assert await installed.answered(await installed.start("one?")) == ["Answer one."]
    await installed.idle()
    await installed.restart(bobbin_secret_key=SecretStr("the-new-key"))
    assert await installed.other.answered(await installed.other.start("two?")) == ["Answer two."]
    await installed.idle()


async def test_a_start_with_the_wrong_key_fails_and_changes_nothing(
    installed: TwoWorkspaces,
) -> None:
    await installed.stop_bot()
    before = installed.rows("SELECT * FROM installations")
    with pytest.raises(SettingsError, match=r"^BOBBIN_SECRET_KEY does not decrypt .*'new old'"):
        await installed.start_bot(bobbin_secret_key=SecretStr("another-key"))
    assert installed.rows("SELECT * FROM installations") == before
    await installed.start_bot(bobbin_secret_key=SecretStr(KEY))
    assert await installed.answered(await installed.start("one?")) == ["Answer one."]
    await installed.idle()


# -- the doctor --------------------------------------------------------------------------------------------------------


async def findings(workspaces: TwoWorkspaces, **changed: Any) -> dict[str, tuple[bool, str]]:
    found = await examine(workspaces.settings().changed(**changed))
    return {each.name: (each.ok, each.message) for each in found}


async def test_the_doctor_reports_the_state_of_the_installations(workspaces: TwoWorkspaces) -> None:
    found = await findings(workspaces)
    assert found["SLACK_CLIENT_ID"] == (True, "id and secret belong together")
    assert found["installations"] == (True, "none yet; people add the app at /slack/install")
    await workspaces.install(workspaces.slack)
    await workspaces.install(workspaces.second)
    found = await findings(workspaces)
    assert found["installations"] == (True, "2, and BOBBIN_SECRET_KEY decrypts their tokens")
    assert found["scopes"] == (True, "all granted everywhere")
    assert "SLACK_BOT_TOKEN" not in found

    await workspaces.execute(
        "UPDATE installations SET scopes = 'chat:write,commands' WHERE team = 'T0TWO'"
    )
    found = await findings(
        workspaces,
        bobbin_secret_key=SecretStr("another-key"),
        slack_client_secret=SecretStr("wrong"),
    )
    ok, message = found["BOBBIN_SECRET_KEY"]
    assert (ok, message.startswith("does not decrypt 2 of 2 tokens")) == (False, True)
    ok, message = found["scopes"]
    assert (ok, "app_mentions:read" in message, "in T0TWO" in message) == (False, True, True)
    assert found["SLACK_CLIENT_ID"][0] is False


# -- the API -----------------------------------------------------------------------------------------------------------


async def token(thread: World) -> str:
    (shown,) = await thread.slack.interactions.command("alice", "general", "/chats", "token")
    found = re.search(r"bob_[\w-]{43}", shown.text)
    assert found
    return found[0]


def api(workspaces: TwoWorkspaces, token: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"}
    return local_client(base_url=workspaces.url, headers=headers)


async def chats(workspaces: TwoWorkspaces, token: str) -> list[dict[str, Any]]:
    async with api(workspaces, token) as http:
        found: list[dict[str, Any]] = (await http.get("/chat/conversations")).json()[
            "conversations"
        ]
        return found

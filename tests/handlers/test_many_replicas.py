"""Many workspaces served by one bot: what they cost, replicas, organisations, guests in shared channels."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import event

from bot.app import build
from bot.sandbox.limits import Limits
from tests import services
from tests.handlers.conftest import Estates
from tests.handlers.estate import CHATS_OF, Estate, strangers_may_knock
from tests.handlers.world import World, options_of

# -- what it costs -----------------------------------------------------------------------------------------------------


@contextmanager
def counted(estate: Estate) -> Iterator[Counter[str]]:
    """Reads of the installations."""
    found: Counter[str] = Counter()
    assert estate.bot is not None
    engine = estate.bot.database._engine.sync_engine

    def look(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "installations" in statement:
            found[statement.split()[0]] += 1

    event.listen(engine, "before_cursor_execute", look)
    yield found
    event.remove(engine, "before_cursor_execute", look)


async def test_events_cost_one_read_a_minute_and_workspace_and_no_call(both: Estate) -> None:
    one, two = both, both.other
    asked = both.calls("auth.test")
    with counted(both) as reads:
        for place, text in ((one, "one?"), (two, "two?")):
            thread = await place.start(text)
            await place.answered(thread)
            for number in range(3):
                await place.slack.say("alice", "general", "more?", thread)
                await place.answered(thread, number + 2)
        await one.idle()
    assert reads == {"SELECT": 2}
    assert both.calls("auth.test") == asked


async def test_a_database_that_fails_for_a_moment_loses_no_message(estates: Estates) -> None:
    """The first event of a workspace finds no database: not acknowledged, it comes again."""
    async with estates(limits=replace(Limits.off(), retry_delays=(0.1,) * 50)) as one:
        one.reply_to({"one?": "Answer one."})
        one.allow_redelivery()
        await one.install(one.slack)
        await one.restart()
        await one.execute("ALTER TABLE installations RENAME TO hidden")
        ts = await one.slack.say("alice", "general", f"<@{one.slack.bot_user.id}> one?")
        await one.until(lambda: len(one.slack.deliveries[-1].attempts) > 1, "the event comes again")
        await one.execute("ALTER TABLE hidden RENAME TO installations")
        await one.until(lambda: one.menus(ts), "the menu")
        await one.choose(ts)
        assert await one.answered(ts) == ["Answer one."]
        await one.idle()


async def test_a_known_workspace_is_served_while_its_installation_cannot_be_read(
    both: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = await both.start("one?")
    await both.answered(thread)
    await both.idle()
    monkeypatch.setattr("handlers.client.workspaces.BELIEVED", 0.0)
    await both.execute("ALTER TABLE installations RENAME TO hidden")
    await both.slack.say("alice", "general", "more?", thread)
    assert await both.answered(thread, 2) == ["Answer one.", "More."]
    await both.execute("ALTER TABLE hidden RENAME TO installations")
    await both.idle()


# -- replicas and organisations ----------------------------------------------------------------------------------------


async def test_other_replicas_follow_within_the_time_that_they_believe(
    both: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    strangers_may_knock(both)
    monkeypatch.setattr("handlers.client.workspaces.BELIEVED", 0.2)
    async with build(both.settings().changed(port=0)) as replica:
        both.route_to(replica.url)
        assert await both.answered(await both.start("one?")) == ["Answer one."]
        both.route_to(both.url)
        await both.uninstall(both.slack)
        both.route_to(replica.url)
        time.sleep(0.2)
        await both.slack.say("alice", "general", f"<@{both.slack.bot_user.id}> one?")
        await both.until(lambda: both.slack.courier.busy() == 0, "it is acknowledged")
        await both.idle()
        assert len(both.rows("SELECT * FROM questions")) == 1
        both.route_to(both.url)
        assert (await both.install(both.slack)).status_code == 200
        both.route_to(replica.url)
        assert await both.answered(await both.start("two?")) == ["Answer two."]
        await both.idle()


async def test_what_changes_is_known_to_the_other_replicas_at_once(
    estates: Estates, own_redis: services.RedisServer
) -> None:
    async with estates(redis_url=SecretStr(own_redis.url)) as one:
        one.reply_to({"one?": "Answer one.", "two?": "Answer two."})
        strangers_may_knock(one)
        await one.install(one.slack)
        async with build(one.settings().changed(port=0)) as replica:
            one.route_to(replica.url)
            assert await one.answered(await one.start("one?")) == ["Answer one."]
            one.route_to(one.url)
            await one.uninstall(one.slack)
            assert (await one.install(one.slack)).status_code == 200
            await asyncio.sleep(0.3)  # as long as word may take to get there
            one.route_to(replica.url)  # which knew a token that is worth nothing any more
            assert await one.answered(await one.start("two?")) == ["Answer two."]
            one.route_to(one.url)
            await one.uninstall(one.slack)
            await asyncio.sleep(0.3)
            one.route_to(replica.url)
            await one.slack.say("alice", "general", f"<@{one.slack.bot_user.id}> three?")
            await one.until(lambda: one.slack.courier.busy() == 0, "it is acknowledged")
            await one.idle()
            assert len(one.rows("SELECT * FROM questions")) == 2


async def test_an_organisation_installs_once_for_all_its_workspaces(estates: Estates) -> None:
    async with estates(enterprise="E0ORG") as estate:
        one, two = estate, estate.other
        estate.reply_to({"one?": "Answer one.", "two?": "Answer two.", "more?": "More."})
        _give_own_people(two)
        done = await estate.install(one.slack, two.slack, enterprise="E0ORG")
        assert done.status_code == 200
        thread = await one.start("one?", user="alice")
        assert await one.answered(thread) == ["Answer one."]
        other = await two.start("two?", user="erin", channel="lobby")
        assert await two.answered(other, channel="lobby") == ["Answer two."]
        await one.idle()
        assert [row["team"] for row in one.rows(CHATS_OF)] == ["T0ONE", "T0TWO"]
        (listed,) = await two.slack.command("erin", "lobby", "/chats")
        assert str(listed.blocks).count("archives/") == 1

        await one.restart()
        await two.slack.say("erin", "lobby", "more?", other)
        assert await two.answered(other, 2, "lobby") == ["Answer two.", "More."]
        await one.idle()

        strangers_may_knock(estate)
        await estate.uninstall(two.slack)
        await one.slack.say("alice", "general", "more?", thread)
        await one.until(lambda: one.slack.courier.busy() == 0, "it is acknowledged")
        await one.idle()
        assert one.rows("SELECT * FROM installations") == []
        assert len(one.answers(thread)) == 1


def _give_own_people(thread: World) -> None:
    """In an organisation no two channels or people have the same id, wherever they are."""
    erin = thread.slack.workspace.add_user("erin", "Erin East")
    thread.slack.workspace.add_channel("lobby", [erin.id, thread.slack.bot_user.id])


async def test_a_dialog_in_an_organisation_belongs_to_the_workspace_it_was_opened_in(
    estates: Estates,
) -> None:
    """Slack names the organisation as where the app of such a view is installed."""
    async with estates(enterprise="E0ORG") as estate:
        estate.reply_to({"one?": "Answer one."})
        await estate.install(estate.slack, enterprise="E0ORG")
        await estate.slack.command("alice", "general", "/chats", "new one?")
        await estate.until(lambda: estate.slack.modal("alice"), "the dialog")
        modal = estate.slack.modal("alice")
        assert modal is not None
        estate.slack.workspace.views[modal.id] = modal
        assert await estate.slack.submit("alice") == {}
        await estate.until(
            lambda: [row["team"] for row in estate.rows(CHATS_OF)] == ["T0ONE"], "the chat"
        )
        await estate.idle()


@pytest.mark.parametrize("own", [False, True])
async def test_a_guest_in_a_shared_channel_is_served_by_the_workspace_that_has_the_app(
    estate: Estate, own: bool
) -> None:
    """Whatever they press names the workspace of the message, or (`own`, and in dialogs always) their own."""
    estate.reply_to(
        {"from elsewhere?": "Answer for a guest.", "once more?": "Answer from a dialog."}
    )
    await estate.install(estate.slack)
    dan = estate.slack.user("dan")
    dan.stranger, dan.team_id = True, "T0ELSEWHERE"
    estate.slack.channel("general").ext_shared = True
    estate.slack.interactions.guests_name_their_own_team = own

    thread = await estate.ask("from elsewhere?", "dan")
    menu = estate.menus(thread)[-1]
    assert options_of(await estate.slack.menu("dan", menu, "model_menu"))
    await estate.choose(thread, "dan")
    assert await estate.answered(thread) == ["Answer for a guest."]

    await estate.execute("UPDATE chats SET message_count = 100")
    await estate.slack.say("dan", "general", "And one too many.", thread)
    (full,) = await estate.until(lambda: estate.slack.ephemerals("dan", "general"), "the limit")
    own_again, estate.slack.interactions.guests_name_their_own_team = (
        own,
        False,
    )  # such a payload shows no message
    await estate.slack.press("dan", full, "new_chat")
    await estate.until(lambda: estate.slack.modal("dan"), "the dialog")
    estate.slack.interactions.guests_name_their_own_team = own_again
    assert await estate.slack.submit("dan", {"bobbin.text": {"dialog_text": "once more?"}}) == {}
    await estate.until(lambda: len(estate.rows(CHATS_OF)) == 2, "the second chat")
    await estate.idle()
    assert {row["team"] for row in estate.rows(CHATS_OF)} == {"T0ONE"}


async def test_one_socket_serves_many_workspaces_too(estates: Estates) -> None:
    async with estates(socket=True) as estate:
        one, two = estate, estate.other
        estate.reply_to({"one?": "Answer one.", "two?": "Answer two."})
        assert (await estate.install(one.slack)).status_code == 200
        assert (await estate.install(two.slack)).status_code == 200
        assert await one.answered(await one.start("one?")) == ["Answer one."]
        assert await two.answered(await two.start("two?")) == ["Answer two."]
        await one.idle()

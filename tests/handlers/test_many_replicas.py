"""Many workspaces served by one bot: database reads, replicas, organisations, guests in shared channels."""

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

from bot.access.rules import Treatment
from bot.app import build
from bot.sandbox.limits import Limits
from tests import redis_service
from tests.deadlines import patient_timing
from tests.handlers.conftest import TwoWorkspacesFactory
from tests.handlers.two_workspaces import (
    CHATS_OF,
    TwoWorkspaces,
    allow_events_of_unknown_workspaces,
)
from tests.handlers.world import World, options_of

# -- what it costs -----------------------------------------------------------------------------------------------------


@contextmanager
def counted(workspaces: TwoWorkspaces) -> Iterator[Counter[str]]:
    """Counts the reads of installations, and what changes them, by their first word.

    Work is claimed of served workspaces alone, which those statements look up by themselves.
    """
    found: Counter[str] = Counter()
    assert workspaces.bot is not None
    engines = [each.sync_engine for each in workspaces.bot.database.engines]

    def look(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        read = statement.startswith("SELECT installations.")
        if read or ("installations" in statement.split()[:3]):
            found[statement.split()[0]] += 1

    for engine in engines:
        event.listen(engine, "before_cursor_execute", look)
    yield found
    for engine in engines:
        event.remove(engine, "before_cursor_execute", look)


async def test_installations_are_read_once_a_minute_and_workspace_without_calls_to_slack(
    installed: TwoWorkspaces,
) -> None:
    one, two = installed, installed.other
    asked = installed.calls("auth.test")
    with counted(installed) as reads:
        for place, text in ((one, "one?"), (two, "two?")):
            thread = await place.start(text)
            await place.answered(thread)
            for number in range(3):
                await place.slack.conversations.say("alice", "general", "more?", thread)
                await place.answered(thread, number + 2)
        await one.idle()
    assert reads == {"SELECT": 2}
    assert installed.calls("auth.test") == asked


async def test_a_short_failure_of_the_database_loses_no_message(
    make_workspaces: TwoWorkspacesFactory,
) -> None:
    """The first event of a workspace fails, is not acknowledged, and Slack delivers it again."""
    async with make_workspaces(limits=replace(Limits.off(), retry_delays=(0.1,) * 50)) as one:
        one.reply_to({"one?": "Answer one."})
        one.allow_redelivery()
        await one.install(one.slack)
        await one.restart()
        await one.execute("ALTER TABLE installations RENAME TO hidden")
        ts = await one.slack.conversations.say(
            "alice", "general", f"<@{one.slack.bot_user.id}> one?"
        )
        await one.until(lambda: len(one.slack.deliveries[-1].attempts) > 1, "the event comes again")
        await one.execute("ALTER TABLE hidden RENAME TO installations")
        await one.until(lambda: one.menus(ts), "the menu")
        await one.choose(ts)
        assert await one.answered(ts) == ["Answer one."]
        await one.idle()


async def test_a_known_workspace_is_served_while_its_installation_cannot_be_read(
    make_workspaces: TwoWorkspacesFactory,
) -> None:
    async with make_workspaces(timing=patient_timing(installation_cache_ttl=0.0)) as one:
        one.reply_to({"one?": "Answer one.", "more?": "More."})
        await one.install(one.slack)
        thread = await one.start("one?")
        await one.answered(thread)
        await one.idle()
        await one.execute("UPDATE installations SET bot_token = 'of another key'")
        await one.slack.conversations.say("alice", "general", "more?", thread)
        assert await one.answered(thread, 2) == ["Answer one.", "More."]
        assert "installation_not_read" in one.log.getvalue()
        await one.idle()


# -- replicas and organisations ----------------------------------------------------------------------------------------


async def test_other_replicas_notice_an_uninstall_when_their_cached_installation_expires(
    installed: TwoWorkspaces,
) -> None:
    allow_events_of_unknown_workspaces(installed)
    timing = patient_timing(installation_cache_ttl=0.2)
    async with build(installed.settings().changed(port=0), timing=timing) as replica:
        installed.route_to(replica.url)
        assert await installed.answered(await installed.start("one?")) == ["Answer one."]
        installed.route_to(installed.url)
        await installed.uninstall(installed.slack)
        installed.route_to(replica.url)
        time.sleep(0.2)
        await installed.slack.conversations.say(
            "alice", "general", f"<@{installed.slack.bot_user.id}> one?"
        )
        await installed.until(
            lambda: installed.slack.dispatcher.pending() == 0, "it is acknowledged"
        )
        await installed.idle()
        assert len(installed.rows("SELECT * FROM questions")) == 1
        installed.route_to(installed.url)
        assert (await installed.install(installed.slack)).status_code == 200
        installed.route_to(replica.url)
        assert await installed.answered(await installed.start("two?")) == ["Answer two."]
        await installed.idle()


async def test_changes_of_installations_reach_the_other_replicas_at_once(
    make_workspaces: TwoWorkspacesFactory, own_redis: redis_service.RedisServer
) -> None:
    async with make_workspaces(redis_url=SecretStr(own_redis.url)) as one:
        one.reply_to({"one?": "Answer one.", "two?": "Answer two."})
        allow_events_of_unknown_workspaces(one)
        await one.install(one.slack)
        async with build(one.settings().changed(port=0), timing=one.timing) as replica:
            one.route_to(replica.url)
            assert await one.answered(await one.start("one?")) == ["Answer one."]
            one.route_to(one.url)
            await one.uninstall(one.slack)
            assert (await one.install(one.slack)).status_code == 200
            await asyncio.sleep(2.0)  # much longer than the news takes to arrive
            one.route_to(replica.url)  # which knew a token that is no longer valid
            assert await one.answered(await one.start("two?")) == ["Answer two."]
            one.route_to(one.url)
            await one.uninstall(one.slack)
            await asyncio.sleep(2.0)
            one.route_to(replica.url)
            await one.slack.conversations.say(
                "alice", "general", f"<@{one.slack.bot_user.id}> three?"
            )
            await one.until(lambda: one.slack.dispatcher.pending() == 0, "it is acknowledged")
            await one.idle()
            assert len(one.rows("SELECT * FROM questions")) == 2


async def test_an_organisation_installs_once_for_all_its_workspaces(
    make_workspaces: TwoWorkspacesFactory,
) -> None:
    async with make_workspaces(enterprise="E0ORG") as workspaces:
        one, two = workspaces, workspaces.other
        workspaces.reply_to({"one?": "Answer one.", "two?": "Answer two.", "more?": "More."})
        _give_own_people(two)
        done = await workspaces.install(one.slack, two.slack, enterprise="E0ORG")
        assert done.status_code == 200
        thread = await one.start("one?", user="alice")
        assert await one.answered(thread) == ["Answer one."]
        other = await two.start("two?", user="erin", channel="lobby")
        assert await two.answered(other, channel="lobby") == ["Answer two."]
        await one.idle()
        assert [row["team"] for row in one.rows(CHATS_OF)] == ["T0ONE", "T0TWO"]
        (listed,) = await two.slack.interactions.command("erin", "lobby", "/chats")
        assert str(listed.blocks).count("archives/") == 1

        await one.restart()
        await two.slack.conversations.say("erin", "lobby", "more?", other)
        assert await two.answered(other, 2, "lobby") == ["Answer two.", "More."]
        await one.idle()

        allow_events_of_unknown_workspaces(workspaces)
        await workspaces.uninstall(two.slack)
        await one.slack.conversations.say("alice", "general", "more?", thread)
        await one.until(lambda: one.slack.dispatcher.pending() == 0, "it is acknowledged")
        await one.idle()
        assert one.rows("SELECT * FROM installations") == []
        assert len(one.answers(thread)) == 1


def _give_own_people(thread: World) -> None:
    """In an organisation the ids of channels and people are unique over all workspaces."""
    erin = thread.slack.workspace.add_user("erin", "Erin East")
    thread.slack.workspace.add_channel("lobby", [erin.id, thread.slack.bot_user.id])


async def test_a_dialog_in_an_organisation_belongs_to_the_workspace_it_was_opened_in(
    make_workspaces: TwoWorkspacesFactory,
) -> None:
    """For such a view, Slack says that the app is installed in the organisation."""
    async with make_workspaces(enterprise="E0ORG") as workspaces:
        workspaces.reply_to({"one?": "Answer one."})
        await workspaces.install(workspaces.slack, enterprise="E0ORG")
        await workspaces.slack.interactions.command("alice", "general", "/chats", "new one?")
        await workspaces.until(lambda: workspaces.slack.views.modal("alice"), "the dialog")
        modal = workspaces.slack.views.modal("alice")
        assert modal is not None
        workspaces.slack.workspace.views[modal.id] = modal
        assert await workspaces.slack.views.submit("alice") == {}
        await workspaces.until(
            lambda: [row["team"] for row in workspaces.rows(CHATS_OF)] == ["T0ONE"], "the chat"
        )
        await workspaces.idle()


@pytest.mark.parametrize("own", [False, True])
async def test_a_guest_in_a_shared_channel_is_served_by_the_workspace_that_has_the_app(
    make_workspaces: TwoWorkspacesFactory, own: bool
) -> None:
    """A button press names the workspace of the message, or (`own`, and in dialogs always) the guest's."""
    async with make_workspaces(bobbin_outsiders=Treatment.ANSWER) as workspaces:
        workspaces.reply_to(
            {"from elsewhere?": "Answer for a guest.", "once more?": "Answer from a dialog."}
        )
        await workspaces.install(workspaces.slack)
        dan = workspaces.slack.workspace.user("dan")
        dan.is_stranger, dan.team_id = True, "T0ELSEWHERE"
        workspaces.slack.workspace.channel("general").ext_shared = True
        workspaces.slack.variants.guests_name_their_own_team = own

        thread = await workspaces.ask("from elsewhere?", "dan")
        menu = workspaces.menus(thread)[-1]
        assert options_of(await workspaces.slack.interactions.menu("dan", menu, "model_menu"))
        await workspaces.choose(thread, "dan")
        assert await workspaces.answered(thread) == ["Answer for a guest."]

        await workspaces.execute("UPDATE chats SET message_count = 100")
        await workspaces.slack.conversations.say("dan", "general", "And one too many.", thread)
        (full,) = await workspaces.until(
            lambda: workspaces.slack.workspace.ephemerals("dan", "general"), "the limit"
        )
        own_again, workspaces.slack.variants.guests_name_their_own_team = (
            own,
            False,
        )  # such a payload shows no message
        await workspaces.slack.interactions.press("dan", full, "new_chat")
        await workspaces.until(lambda: workspaces.slack.views.modal("dan"), "the dialog")
        workspaces.slack.variants.guests_name_their_own_team = own_again
        assert (
            await workspaces.slack.views.submit(
                "dan", {"bobbin.text": {"dialog_text": "once more?"}}
            )
            == {}
        )
        await workspaces.until(lambda: len(workspaces.rows(CHATS_OF)) == 2, "the second chat")
        await workspaces.idle()
        assert {row["team"] for row in workspaces.rows(CHATS_OF)} == {"T0ONE"}


async def test_one_socket_serves_many_workspaces(make_workspaces: TwoWorkspacesFactory) -> None:
    async with make_workspaces(socket=True) as workspaces:
        one, two = workspaces, workspaces.other
        workspaces.reply_to({"one?": "Answer one.", "two?": "Answer two."})
        assert (await workspaces.install(one.slack)).status_code == 200
        assert (await workspaces.install(two.slack)).status_code == 200
        assert await one.answered(await one.start("one?")) == ["Answer one."]
        assert await two.answered(await two.start("two?")) == ["Answer two."]
        await one.idle()

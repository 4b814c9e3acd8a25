"""Whoever may not: every door refuses, before anything is stored, and says so privately once a day."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bot import strings
from bot.access.rules import Treatment, Verdict
from tests.access.conftest import WorldFactory
from tests.access.doors import (
    IN_NO_CHANNEL,
    OF_A_CHANNEL,
    PLACE,
    SLACK_DOORS,
    UNANSWERED,
    WHO,
    Scene,
    api_requests,
    mention,
    send,
    stored,
    told,
    written,
)
from tests.api.conftest import address, client, token_for
from tests.api.test_sockets import socket_of
from tests.deadlines import patient_timing
from tests.handlers.conftest import TwoWorkspacesFactory
from tests.handlers.world import World
from tests.slow import slow_after

Change = Callable[[World], None]


def nothing(_: World) -> None:
    """The settings alone decide."""


def becomes_outsider(world: World) -> None:
    person = world.slack.workspace.user(WHO)
    person.is_stranger, person.team_id = True, "T0ELSEWHERE"
    world.slack.workspace.channel(PLACE).ext_shared = True


def becomes_guest(world: World) -> None:
    world.slack.workspace.user(WHO).is_restricted = True


RULES: dict[Verdict, tuple[dict[str, Any], Change]] = {
    Verdict.USER_NOT_ALLOWED: ({"bobbin_allowed_users": ("U0BOB", "W9*")}, nothing),
    Verdict.CHANNEL_NOT_ALLOWED: ({"bobbin_allowed_channels": ("C0NOWHERE",)}, nothing),
    Verdict.OUTSIDER: ({}, becomes_outsider),
    Verdict.GUEST: ({"bobbin_guests": Treatment.IGNORE}, becomes_guest),
}


@asynccontextmanager
async def refusing(worlds: WorldFactory, rule: Verdict) -> AsyncIterator[tuple[World, Scene]]:
    """A world in which the rule came after everything that the scene holds."""
    async with worlds() as world:
        scene = await Scene.prepare(world)
        settings, change = RULES[rule]
        change(world)
        await world.restart(**settings)
        await world.idle()
        world.models.journal.clear()
        yield world, scene


@pytest.mark.parametrize("rule", slow_after(1, RULES))
async def test_no_door_in_slack_lets_in_who_may_not(worlds: WorldFactory, rule: Verdict) -> None:
    """Nothing is stored, no model asked, nobody else reads anything of it, and they are told once."""
    async with refusing(worlds, rule) as (world, scene):
        before, seen, heard = stored(world), written(world), told(world)
        for name, attempt in SLACK_DOORS.items():
            if rule is Verdict.CHANNEL_NOT_ALLOWED and name in IN_NO_CHANNEL:
                continue
            await attempt(scene)
            await world.idle()
            changed = [table for table, rows in stored(world).items() if rows != before[table]]
            assert changed == [], name
            assert written(world) == seen, name
        assert list(world.models.journal) == []
        places = 2 if rule is Verdict.CHANNEL_NOT_ALLOWED else 1  # the channel, and direct messages
        assert told(world)[len(heard) :].count(strings.NOT_ALLOWED[rule]) <= places
        assert set(told(world)) - set(heard) == {strings.NOT_ALLOWED[rule]}


@pytest.mark.parametrize(
    "door", slow_after(4, [each for each in SLACK_DOORS if each not in UNANSWERED])
)
async def test_every_door_in_slack_says_why(worlds: WorldFactory, door: str) -> None:
    async with refusing(worlds, Verdict.USER_NOT_ALLOWED) as (world, scene):
        await SLACK_DOORS[door](scene)
        text = strings.NOT_ALLOWED[Verdict.USER_NOT_ALLOWED]
        await world.until(lambda: text in told(world), "the notice")
        await world.idle()
        assert told(world).count(text) == 1


@pytest.mark.parametrize("rule", RULES)
async def test_no_request_of_the_api_is_answered_for_who_may_not(
    worlds: WorldFactory, rule: Verdict
) -> None:
    """With a token that was made before the rule."""
    async with refusing(worlds, rule) as (world, scene):
        before = stored(world)
        by_channel = rule is Verdict.CHANNEL_NOT_ALLOWED
        async with client(world, scene.token) as http:
            for name, request in api_requests(scene).items():
                if by_channel and name not in OF_A_CHANNEL:
                    continue
                response = await send(http, request)
                assert (response.status_code, response.json()["error"]) == (403, "Not allowed"), (
                    name
                )
                assert response.json()["message"] == strings.NOT_ALLOWED[rule]
        assert stored(world) == before
        assert list(world.models.journal) == []


async def test_no_socket_opens_for_who_may_not(worlds: WorldFactory) -> None:
    from websockets.exceptions import ConnectionClosed, InvalidStatus

    async with refusing(worlds, Verdict.USER_NOT_ALLOWED) as (world, scene):
        with pytest.raises((InvalidStatus, ConnectionClosed)) as refused:
            async with socket_of(address(world), scene.token) as reader:
                await reader.socket.recv()
        assert "403" in str(refused.value)


async def test_others_are_answered_under_every_rule(worlds: WorldFactory) -> None:
    async with worlds(
        bobbin_allowed_users=("u0bob", "T0SANDBOX/U0CAROL"),
        bobbin_allowed_channels=("C0*", "D*"),
        bobbin_guests=Treatment.IGNORE,
    ) as world:
        for user in ("bob",):
            thread = await world.start(f"From {user}?", user)
            assert len(await world.answered(thread)) == 1
        assert await token_for(world, "bob")


async def test_outsiders_and_guests_are_answered_where_the_rules_say_so(
    worlds: WorldFactory,
) -> None:
    async with worlds(bobbin_outsiders=Treatment.ANSWER) as world:
        becomes_outsider(world)
        world.slack.workspace.user("bob").is_restricted = True
        assert len(await world.answered(await world.start("From elsewhere?", WHO))) == 1
        assert len(await world.answered(await world.start("A guest's?", "bob"))) == 1


async def test_who_cannot_be_told_apart_counts_as_an_outsider(worlds: WorldFactory) -> None:
    """A message without its author's workspace, in a shared channel, while Slack does not tell."""
    async with worlds(timing=patient_timing(person_timeout=0.1)) as world:
        slack = world.slack
        slack.faults.add("users.info", error="internal_error", times=-1)
        world.forgive("internal_error", method="users.info")
        before = stored(world)
        event = {
            "type": "app_mention",
            "user": "U0NOBODY",
            "text": f"<@{slack.bot_user.id}> Who am I?",
            "ts": slack.workspace.next_ts(),
            "channel": slack.workspace.channel(PLACE).id,
        }
        slack.subscriptions.deliver(event, ext_shared=True)
        world.forgive("user_not_found", "channel_not_found")
        await world.idle()
        assert stored(world) == before
        assert list(world.models.journal) == []


async def test_people_of_other_workspaces_of_the_organisation_are_members(
    make_workspaces: TwoWorkspacesFactory,
) -> None:
    """In a channel that two of its workspaces share; their own workspace alone does not tell."""
    async with make_workspaces(enterprise="E0ORG") as workspaces:
        await workspaces.install(workspaces.slack, workspaces.second, enterprise="E0ORG")
        workspaces.forgive("team_not_found", method="chat.startStream")  # then it is shown by edits
        workspaces.slack.workspace.user("dan").team_id = "T0TWO"
        workspaces.slack.workspace.channel(PLACE).ext_shared = True
        workspaces.reply_to({"From the other workspace?": "Answer for a colleague."})
        thread = await workspaces.start("From the other workspace?", "dan")
        assert await workspaces.answered(thread) == ["Answer for a colleague."]
        await workspaces.idle()


async def test_members_are_told_apart_without_asking_slack(worlds: WorldFactory) -> None:
    """What comes with messages and presses is enough, so that nobody waits for it and no limit is used up."""
    async with worlds() as world:
        world.slack.faults.add("users.info", error="internal_error", times=-1)
        world.forgive("internal_error", method="users.info")
        thread = await world.start("Who am I?")
        assert len(await world.answered(thread)) == 1
        assert await token_for(world, "alice")
        await world.slack.views.open_home("alice")
        await world.until(lambda: world.slack.views.home("alice"), "the Home tab")
        await world.idle()
        assert not [line for line in world.lines() if line["event"] == "refused"]


async def test_what_others_say_to_each_other_is_not_answered_with_a_refusal(
    worlds: WorldFactory,
) -> None:
    async with refusing(worlds, Verdict.USER_NOT_ALLOWED) as (world, scene):
        heard = told(world)
        people, bob = world.slack.conversations, world.slack.workspace.user("bob").id
        await people.say(WHO, PLACE, "Lunch, anybody?")
        lunch = await people.say("bob", PLACE, "Yes!")
        await people.say(WHO, PLACE, "At one?", lunch)
        await people.say(WHO, PLACE, f"<@{bob}> look at this", scene.chat)
        await world.idle()
        assert told(world) == heard


async def test_the_refusal_is_told_once_a_day(worlds: WorldFactory) -> None:
    async with refusing(worlds, Verdict.USER_NOT_ALLOWED) as (world, scene):
        text = strings.NOT_ALLOWED[Verdict.USER_NOT_ALLOWED]
        await asyncio.gather(*(mention(scene) for _ in range(5)))
        await world.idle()
        assert told(world).count(text) == 1
        await world.restart()
        await mention(scene)
        await world.idle()
        assert told(world).count(text) == 1
        await world.execute("UPDATE done_once SET kept_until = '2020-01-01'")
        await mention(scene)
        await world.until(lambda: told(world).count(text) == 2, "the next day's notice")


async def test_home_shows_nothing_but_the_reason(worlds: WorldFactory) -> None:
    async with refusing(worlds, Verdict.USER_NOT_ALLOWED) as (world, _):
        await world.slack.views.open_home(WHO)
        text = strings.NOT_ALLOWED[Verdict.USER_NOT_ALLOWED]

        def shown() -> bool:
            view = world.slack.views.home(WHO)
            return view is not None and [b["text"]["text"] for b in view.blocks] == [text]

        await world.until(shown, "the reason")

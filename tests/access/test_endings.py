"""The end of access: leaving a channel, a deactivated account, removing the app."""

from __future__ import annotations

import asyncio
import json
import math
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from bot import strings
from bot.access.rules import Verdict
from bot.api.auth import MAX_REQUESTS_PER_MINUTE
from tests.access.conftest import WorldFactory
from tests.access.scene import DIALOGS, opened_dialogs, stored, submit_dialog
from tests.api.conftest import Api, address, client, token_for
from tests.api.test_ended_tokens import cut_off
from tests.api.test_sockets import socket_of
from tests.deadlines import patient_timing
from tests.handlers.world import World

PRIVATE = "leads"


async def private_chat(world: World) -> str:
    """Alice's chat in the private channel, in which bob took part too; returns its thread."""
    thread = await world.start("Among ourselves.", "alice", PRIVATE)
    await world.answered(thread, channel=PRIVATE)
    await world.slack.conversations.say("bob", PRIVATE, "I am here too.", thread)
    await world.answered(thread, 2, PRIVATE)
    await world.idle()
    return thread


def unheard_leave(world: World, user: str) -> None:
    """The user leaves without Slack sending an event."""
    members = world.slack.workspace.channel(PRIVATE).members
    members.remove(world.slack.workspace.user(user).id)


async def tell_of_account(world: World, user: str, **changes: Any) -> None:
    person = world.slack.workspace.user(user)
    account = {"id": person.id, "team_id": person.team_id, "name": person.name, **changes}
    world.slack.subscriptions.deliver({"type": "user_change", "user": account})
    await world.idle()


async def test_a_person_who_leaves_a_private_channel_receives_nothing_more_from_it(
    worlds: WorldFactory,
) -> None:
    async with worlds() as world:
        thread = await private_chat(world)
        tokens = [await token_for(world, who) for who in ("alice", "bob")]
        where = address(world)
        async with socket_of(where, tokens[0]) as alice, socket_of(where, tokens[1]) as bob:
            await world.slack.conversations.say("alice", PRIVATE, "Still both.", thread)
            for reader in (alice, bob):
                await reader.until(lambda event: event.get("content") == "Finish")
            await world.slack.conversations.leave("bob", PRIVATE)
            await world.idle()
            await world.slack.conversations.say("alice", PRIVATE, "Only me.", thread)
            await alice.until(lambda event: event.get("content") == "Finish")
            await bob.socket.send(json.dumps({"ping": 1}))
            assert json.loads(await bob.socket.recv()) == {"pong": 1}

            await world.slack.conversations.join("bob", PRIVATE, "alice")
            await world.idle()
            await world.slack.conversations.say("alice", PRIVATE, "Both again.", thread)
            await bob.until(lambda event: event.get("content") == "Finish")


async def test_a_leave_without_an_event_is_noticed_over_http(worlds: WorldFactory) -> None:
    """Once the known membership is older than ten minutes, which is immediately here."""
    timing = patient_timing(membership_max_age=0.0)
    async with worlds(timing=timing) as world:
        await private_chat(world)
        chat = str(world.chats()[0]["id"])
        async with client(world, await token_for(world, "bob")) as http:
            api = Api(http, "")
            await api.history(chat)
            unheard_leave(world, "bob")
            await api.ask("GET", f"/chat/conversations/{chat}", 404)
            await api.say(chat, "May I?", 404)
            assert (await api.ask("GET", "/chat/conversations"))["conversations"] == []


async def test_a_leave_without_an_event_empties_the_list_at_once(
    worlds: WorldFactory,
) -> None:
    async with worlds(timing=patient_timing(membership_max_age=0.0)) as world:
        await private_chat(world)
        unheard_leave(world, "bob")
        async with client(world, await token_for(world, "bob")) as http:
            listed = await Api(http, "").ask("GET", "/chat/conversations")
            assert listed["conversations"] == []


async def test_a_leave_without_an_event_is_noticed_by_a_socket(worlds: WorldFactory) -> None:
    """At the first change that is delivered; the list in Slack is updated too."""
    async with worlds(timing=patient_timing(membership_max_age=0.0)) as world:
        thread = await private_chat(world)
        async with socket_of(address(world), await token_for(world, "bob")) as bob:
            unheard_leave(world, "bob")
            await world.slack.conversations.say("alice", PRIVATE, "Is bob here?", thread)
            await world.until(
                lambda: world.rows("SELECT 1 FROM participants WHERE away AND user = 'U0BOB'"),
                "bob is known to be away",
            )
            await world.answered(thread, 3, PRIVATE)
            await world.idle()
            await world.slack.conversations.say("alice", PRIVATE, "He is not.", thread)
            await world.answered(thread, 4, PRIVATE)
            await world.idle()
            await bob.socket.send(json.dumps({"ping": 1}))
            last = await bob.until(lambda event: "pong" in event)
            assert sum("user_message" in event for event in last) <= 1


async def test_membership_is_not_asked_for_again_within_its_age(worlds: WorldFactory) -> None:
    async with worlds() as world:
        await private_chat(world)
        chat = str(world.chats()[0]["id"])
        async with client(world, await token_for(world, "bob")) as http:
            for _ in range(5):
                await Api(http, "").history(chat)
        assert len(world.slack.calls_of("conversations.members")) == 1


async def test_a_dialog_that_was_opened_before_its_reader_left_is_refused(
    worlds: WorldFactory,
) -> None:
    """Slack does not check who submits a dialog, which may stay open for hours."""
    async with worlds(bobbin_admins=("U0BOB",)) as world:
        thread = await private_chat(world)
        dialogs = await opened_dialogs(world, thread, "bob", PRIVATE)
        unheard_leave(world, "bob")
        before = stored(world)
        for name in DIALOGS:
            told = await submit_dialog(world, dialogs, name)
            assert told == strings.NOT_ALLOWED[Verdict.CHANNEL_LEFT]
        await world.idle()
        changed = {name for name, rows in stored(world).items() if rows != before[name]}
        assert changed <= {"participants"}  # he is now known to be away


async def test_a_stream_ends_when_its_reader_leaves_the_channel(worlds: WorldFactory) -> None:
    async with worlds() as world:
        await private_chat(world)
        chat = str(world.chats()[0]["id"])
        cut_off = asyncio.Event()
        world.say(" ".join(map(str, range(60))), rate=20, held_until=cut_off)
        path, events = f"/chat/conversations/{chat}/messages", []
        accept = {"Accept": "text/event-stream"}
        async with (
            client(world, await token_for(world, "bob")) as http,
            http.stream("POST", path, json={"content": "hi"}, headers=accept) as answer,
        ):
            async for line in answer.aiter_lines():
                events.append(line)
                if line == "event: token" and events.count(line) == 3:
                    await world.slack.conversations.leave("bob", PRIVATE)
        assert events[-3] == "event: failed"
        assert json.loads(events[-2].removeprefix("data: "))["error"] == "Not found"
        cut_off.set()
        await world.idle()


@pytest.mark.parametrize("told", [True, False])
async def test_the_tokens_of_a_deactivated_account_end(worlds: WorldFactory, told: bool) -> None:
    """Through Slack's event, or without it once the known facts are old."""
    timing = patient_timing(person_renewal_age=0.0, person_max_age=0.0, token_recheck_interval=0.1)
    async with worlds(timing=patient_timing() if told else timing) as world:
        token, bobs = await token_for(world), await token_for(world, "bob")
        async with (
            socket_of(address(world), token) as reader,
            socket_of(address(world), bobs) as other,
        ):
            world.slack.workspace.user("alice").is_deactivated = True
            if told:
                await tell_of_account(world, "alice", deleted=True)
            await cut_off(reader)
            async with client(world, token) as http:
                assert (await http.get("/chat/conversations")).status_code == 401
            world.slack.workspace.user("alice").is_deactivated = False
            async with client(world, token) as http:
                assert (await http.get("/chat/conversations")).status_code == 401
            await other.socket.send(json.dumps({"ping": 1}))
            assert json.loads(await other.socket.recv()) == {"pong": 1}


async def test_changes_of_profiles_end_nothing(worlds: WorldFactory) -> None:
    async with worlds() as world:
        token = await token_for(world)
        async with socket_of(address(world), token) as reader:
            await tell_of_account(world, "alice", deleted=False, profile={"status_text": "away"})
            await reader.socket.send(json.dumps({"ping": 1}))
            assert json.loads(await reader.socket.recv()) == {"pong": 1}


async def test_a_member_who_becomes_a_guest_is_cut_off_if_guests_are_ignored(
    worlds: WorldFactory,
) -> None:
    from bot.access.rules import Treatment

    async with worlds(bobbin_guests=Treatment.IGNORE) as world:
        token = await token_for(world)
        async with socket_of(address(world), token) as reader:
            world.slack.workspace.user("alice").is_restricted = True
            await tell_of_account(world, "alice", is_restricted=True)
            with pytest.raises(ConnectionClosed):
                await reader.until(lambda _: False)
            assert reader.socket.close_code == 4403
        async with client(world, token) as http:
            assert (await http.get("/chat/conversations")).status_code == 403


@pytest.mark.parametrize(
    "event", [{"type": "app_uninstalled"}, {"type": "tokens_revoked", "tokens": {"bot": ["B1"]}}]
)
async def test_removing_the_app_ends_the_tokens(
    worlds: WorldFactory, event: dict[str, Any]
) -> None:
    """Also for a single workspace, whose token is in the settings."""
    async with worlds() as world:
        world.forgive_logger("handlers.client.workspaces")  # it advises reinstalling the app
        token = await token_for(world)
        async with socket_of(address(world), token) as reader:
            world.slack.subscriptions.deliver(event)
            await cut_off(reader)
        async with client(world, token) as http:
            assert (await http.get("/chat/conversations")).status_code == 401
        later = await token_for(world)
        async with client(world, later) as http:
            assert (await http.get("/chat/conversations")).status_code == 200


async def test_revoking_peoples_own_tokens_ends_nothing(worlds: WorldFactory) -> None:
    async with worlds() as world:
        token = await token_for(world)
        world.slack.subscriptions.deliver({"type": "tokens_revoked", "tokens": {"oauth": ["U1"]}})
        await world.idle()
        async with client(world, token) as http:
            assert (await http.get("/chat/conversations")).status_code == 200


async def test_the_limit_counts_by_person(worlds: WorldFactory) -> None:
    """More tokens do not allow more requests."""
    async with worlds() as world, AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(client(world, await token_for(world))) for _ in range(3)
        ]
        began, codes = time.monotonic(), list[int]()
        while 429 not in codes:  # on a slow machine the budget is refilled in between
            sent = [clients[n % 3].get("/chat/models") for n in range(140)]
            codes += [response.status_code for response in await asyncio.gather(*sent)]
        refilled = math.ceil((time.monotonic() - began) * MAX_REQUESTS_PER_MINUTE / 60)
        assert codes.count(200) - MAX_REQUESTS_PER_MINUTE <= refilled

"""People who are not allowed: every API request and every socket is refused before anything is stored."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import get_args

import pytest

from bot import strings
from bot.access.rules import Verdict
from bot.chats.feed_events import (
    AnswerEnded,
    AnswerRestarted,
    ApprovalUpdated,
    FeedEvent,
    MessageAdded,
    StepUpdated,
    TextAppended,
    TitleChanged,
)
from tests.access.api_entry_points import (
    Ids,
    api_requests,
    forgotten_routes,
    of_a_channel,
    send,
)
from tests.access.conftest import WorldFactory
from tests.access.rules import RULES, refusing
from tests.access.scene import WHO, stored
from tests.access.test_endings import PRIVATE
from tests.api.conftest import Api, address, client, token_for
from tests.api.test_sockets import Event, socket_of
from tests.handlers.conftest import TwoWorkspacesFactory
from tests.handlers.scripted_models import scripted_world
from tests.handlers.world import World
from tests.providers.scripted_server import (
    DONE,
    ReceivedRequest,
    ResponseWriter,
    data,
    delta,
    streaming,
)


async def chat_with_a_failed_answer(world: World, channel: str = "general") -> str:
    """Alice's chat, in which bob asked the second question; returns its thread."""
    thread = await world.start("First question.", "alice", channel)
    await world.answered(thread, channel=channel)
    world.fail("http", status=400)
    await world.slack.conversations.say("bob", channel, "Second question.", thread)
    await world.answered(thread, 2, channel)
    await world.idle()
    return thread


async def ids_for(world: World, thread: str, token: str | None) -> Ids:
    async with client(world, token) as http:
        return await Ids.of(world, thread, await Api(http, "").conversation())


async def check_all_are_refused(
    world: World, token: str | None, ids: Ids, status: int, *, own: bool = False
) -> None:
    """Checks that the requests about the channel's chat, or all requests, are refused, and that nothing is stored."""
    before = stored(world)
    requests = api_requests(ids) if own else of_a_channel(ids)
    async with client(world, token) as http:
        answers = {name: await send(http, request) for name, request in requests.items()}
    assert {answer.status_code for answer in answers.values()} == {status}, answers
    await world.idle()
    assert stored(world) == before


def test_no_route_is_forgotten() -> None:
    assert forgotten_routes() == []


@pytest.mark.parametrize("rule", RULES)
async def test_no_api_request_is_answered_for_a_refused_person(
    worlds: WorldFactory, rule: Verdict
) -> None:
    """With a token that was issued before the rule."""
    async with refusing(worlds, rule) as (world, scene):
        ids = await Ids.of(world, scene.chat, scene.conversation)
        by_channel = rule is Verdict.CHANNEL_NOT_ALLOWED
        before = stored(world)
        async with client(world, scene.token) as http:
            requests = of_a_channel(ids) if by_channel else api_requests(ids)
            for name, request in requests.items():
                response = await send(http, request)
                assert (response.status_code, response.json()["error"]) == (403, "Not allowed"), (
                    name
                )
                assert response.json()["message"] == strings.NOT_ALLOWED[rule]
        assert stored(world) == before
        assert list(world.models.journal) == []


async def test_every_request_is_answered_only_for_permitted_users(
    worlds: WorldFactory,
) -> None:
    """Refused: requests without a token, with an expired one, and from a user who took no part."""
    async with worlds() as world:
        thread = await chat_with_a_failed_answer(world)
        token, strangers = await token_for(world, WHO), await token_for(world, "carol")
        ids = await ids_for(world, thread, token)
        await check_all_are_refused(world, None, ids, 401, own=True)
        await check_all_are_refused(world, strangers, ids, 404)
        async with client(world, token) as http:
            for name, request in api_requests(ids).items():
                response = await send(http, request)
                assert response.status_code in (200, 201), (name, response.text)
                await world.idle()  # so that no answer of the chat is being written any more
        await world.slack.interactions.command(WHO, "general", "/chats", "token revoke")
        await check_all_are_refused(world, token, ids, 401, own=True)


@pytest.mark.parametrize("told", [True, False])
async def test_a_person_who_left_the_channel_is_refused_by_every_request(
    worlds: WorldFactory, told: bool
) -> None:
    """Whether Slack sends an event or has to be asked. A participant who is still there is served."""
    async with worlds() as world:
        thread = await chat_with_a_failed_answer(world, PRIVATE)
        token = await token_for(world, "bob")
        ids = await ids_for(world, thread, token)
        if told:
            await world.slack.conversations.leave("bob", PRIVATE)
            await world.idle()
        else:
            members = world.slack.workspace.channel(PRIVATE).members
            members.remove(world.slack.workspace.user("bob").id)
            async with client(world, token) as http:  # the first request reveals it
                assert (await send(http, of_a_channel(ids)["history"])).status_code == 404
        await check_all_are_refused(world, token, ids, 404)


async def test_people_with_the_same_ids_in_another_workspace_are_refused_by_every_request(
    make_workspaces: TwoWorkspacesFactory,
) -> None:
    async with make_workspaces() as workspaces:
        for slack in (workspaces.slack, workspaces.second):
            await workspaces.install(slack)
        thread = await chat_with_a_failed_answer(workspaces)
        token = await token_for(workspaces.other, WHO)
        ids = await ids_for(workspaces, thread, token)
        await check_all_are_refused(workspaces, token, ids, 404)


FRAMES: dict[type, Callable[[Event], bool]] = {
    MessageAdded: lambda event: "user_message" in event,
    TextAppended: lambda event: "Token" in (event.get("content") or {}),
    StepUpdated: lambda event: "step" in event,
    AnswerRestarted: lambda event: event.get("content") == "Restart",
    ApprovalUpdated: lambda event: "approval" in event,
    AnswerEnded: lambda event: event.get("content") == "Finish",
    TitleChanged: lambda event: "title" in event,
}
"""Every kind of change, by its form on a socket."""


async def test_no_socket_frame_reaches_people_who_left_or_took_no_part(
    worlds: WorldFactory,
) -> None:
    """Meanwhile a user who is allowed receives every kind of frame."""
    assert set(FRAMES) == set(get_args(FeedEvent))
    error = data({"error": {"message": "it broke", "code": 402}})
    broken = streaming(delta("Half of"), error)
    whole = streaming(delta(reasoning="Hm."), delta("All of it."), delta(finish="stop"), DONE)
    answers = [whole, whole, broken, whole]

    async def answer(received: ReceivedRequest, out: ResponseWriter) -> None:
        await answers.pop(0)(received, out)

    async with scripted_world(worlds, answer) as (world, _), AsyncExitStack() as stack:
        thread = await world.start("First question.", "alice", PRIVATE)
        await world.answered(thread, channel=PRIVATE)
        await world.slack.conversations.say("bob", PRIVATE, "I am here too.", thread)
        await world.answered(thread, 2, PRIVATE)
        alice, *others = [
            await stack.enter_async_context(socket_of(address(world), await token_for(world, who)))
            for who in ("alice", "bob", "carol")
        ]
        await world.slack.conversations.leave("bob", PRIVATE)
        await world.idle()
        await world.slack.conversations.say("alice", PRIVATE, "Third question.", thread)
        await world.answered(thread, 3, PRIVATE)
        failed = world.answers(thread, PRIVATE)[-1]
        await world.slack.interactions.press("alice", failed, "retry_answer")
        await alice.until(FRAMES[AnswerEnded])
        token = await token_for(world, "alice")
        ids = await ids_for(world, thread, token)
        async with client(world, token) as http:
            decided = await send(http, of_a_channel(ids)["approval"])
            assert decided.status_code == 200, decided.text
        workspace = world.slack.workspace
        world.slack.subscriptions.send_session_title_changed(
            workspace.user("alice").id, workspace.channel(PRIVATE).id, thread, "Ours"
        )
        heard = await alice.until(FRAMES[TitleChanged])
        assert [kind for kind, came in FRAMES.items() if not any(map(came, heard))] == []
        for reader in others:
            await reader.socket.send(json.dumps({"ping": 1}))
            assert await reader.until(lambda event: "pong" in event) == [{"pong": 1}]


async def test_no_socket_opens_for_a_refused_person(worlds: WorldFactory) -> None:
    from websockets.exceptions import ConnectionClosed, InvalidStatus

    async with refusing(worlds, Verdict.USER_NOT_ALLOWED) as (world, scene):
        with pytest.raises((InvalidStatus, ConnectionClosed)) as refused:
            async with socket_of(address(world), scene.token) as reader:
                await reader.socket.recv()
        assert "403" in str(refused.value)

"""The WebSocket `/ws`: every change in the caller's chats arrives once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from bot.providers.base import MAX_ANSWER_LENGTH
from tests.api.conftest import Api, address, token_for
from tests.deadlines import WAIT_TIMEOUT
from tests.handlers.world import World

Event = dict[str, Any]
TEXT = "One two three four five six seven eight nine ten eleven twelve."


class Reader:
    """What came over one socket, in order."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: list[Event] = []

    async def until(self, wanted: Callable[[Event], bool]) -> list[Event]:
        """Everything up to the first event that is wanted."""
        async with asyncio.timeout(WAIT_TIMEOUT):
            while True:
                self.events.append(json.loads(await self.socket.recv()))
                if wanted(self.events[-1]):
                    return self.events

    def text(self, message: str | None = None) -> str:
        """All tokens of a message, or of all messages."""
        tokens = [
            e for e in self.events if isinstance(e.get("content"), dict) and "Token" in e["content"]
        ]
        return "".join(
            e["content"]["Token"]["token"] for e in tokens if message in (None, e["message"])
        )


@asynccontextmanager
async def socket_of(url: str, token: str) -> AsyncIterator[Reader]:
    where = url.replace("http", "ws", 1) + "/ws"
    async with connect(
        where, additional_headers={"Authorization": f"Bearer {token}"}, proxy=None
    ) as socket:
        yield Reader(socket)


@pytest.fixture
async def reader(world: World, api: Api) -> AsyncIterator[Reader]:
    """Alice's socket."""
    async with socket_of(address(world), api.token) as reader:
        yield reader


def dropped(world: World) -> list[Any]:
    return [line for line in world.lines() if line["event"] == "slow_client_disconnected"]


def finished(event: Event) -> bool:
    return event.get("content") == "Finish"


def titled(event: Event) -> bool:
    return "title" in event


async def test_a_new_chat_is_stored_at_once_and_its_text_end_and_title_follow(
    world: World, api: Api, reader: Reader
) -> None:
    world.entitle("Counting up")
    world.say(TEXT, rate=100)
    made = await api.ask("POST", "/new-chat", json={"initial_message": "count please"})
    chat, answer = made["chat"]["id"], made["assistant_message"]
    assert made["chat"]["title"] == "New conversation"
    assert (made["user_message"]["content"], made["user_message"]["unreceived"]) == (
        "count please",
        False,
    )
    assert (answer["role"], answer["content"], answer["unreceived"]) == ("assistant", "", True)

    first, *tokens, finish, title = await reader.until(titled)
    assert first == {
        "chat": chat,
        "user_message": made["user_message"],
        "assistant_message": answer,
    }
    assert all(set(e) == {"message", "chat", "content"} for e in tokens)
    assert all((e["chat"], e["message"]) == (chat, answer["id"]) for e in tokens)
    assert reader.text() == TEXT
    assert len(tokens) > 3
    assert finish == {"message": answer["id"], "chat": chat, "content": "Finish"}
    assert title == {"chat": chat, "title": "Counting up"}

    listed = await api.ask("POST", "/list-messages", json={"chat": chat})
    assert [m["content"] for m in listed["messages"]] == ["count please", TEXT]
    assert [m["unreceived"] for m in listed["messages"]] == [False, False]
    (shown,) = (await api.ask("POST", "/list-chats", json={}))["chats"]
    assert (shown["id"], shown["title"], shown["message_count"]) == (chat, "Counting up", 2)
    assert "messages" not in shown


async def test_a_chat_continues_and_check_chat_returns_its_newest_message(
    world: World, api: Api, reader: Reader
) -> None:
    made = await api.ask("POST", "/new-chat", json={"initial_message": "one"})
    await reader.until(titled)
    chat = made["chat"]["id"]
    newest = await api.ask("POST", "/check-chat", json={"chat": chat})
    assert newest == {"chat": chat, "message": made["assistant_message"]["id"], "unreceived": False}
    refused = asyncio.Event()
    world.say("Slowly answered by a model.", rate=20, held_until=refused)
    more = await api.ask("POST", "/chat-message", json={"chat": made["chat"], "message": "two"})
    assert (await api.ask("POST", "/chat-message", 409, json={"chat": chat, "message": "three"}))[
        "success"
    ] is False
    newest = await api.ask("POST", "/check-chat", json={"chat": chat})
    assert newest == {"chat": chat, "message": more["assistant_message"]["id"], "unreceived": True}
    refused.set()
    await reader.until(finished)
    assert reader.text(more["assistant_message"]["id"]) == "Slowly answered by a model."


async def test_a_socket_opened_in_mid_answer_gets_all_text_once(
    world: World, api: Api, reader: Reader
) -> None:
    all_read = asyncio.Event()
    world.say(TEXT, rate=20, held_until=all_read)
    made = await api.ask("POST", "/new-chat", json={"initial_message": "count"})
    answer = made["assistant_message"]["id"]
    async with AsyncExitStack() as stack:
        readers = []
        for _ in range(4):
            await asyncio.sleep(0.07)
            late = await stack.enter_async_context(socket_of(address(world), api.token))
            readers.append(asyncio.create_task(read_text(late, answer)))
        assert [await task for task in readers] == [TEXT] * 4
    all_read.set()
    await reader.until(finished)
    assert reader.text() == TEXT


async def read_text(late: Reader, answer: str) -> str:
    """All text of an answer that has begun and does not end yet."""
    await late.until(lambda event: len(late.text(answer)) >= len(TEXT))
    assert "assistant_message" not in late.events[0]
    return late.text(answer)


async def test_the_first_socket_in_mid_answer_gets_the_text_so_far(world: World, api: Api) -> None:
    all_read = asyncio.Event()
    world.say(TEXT, rate=20, held_until=all_read)
    made = await api.ask("POST", "/new-chat", json={"initial_message": "count"})
    await asyncio.sleep(0.25)
    async with socket_of(address(world), api.token) as late:
        assert await read_text(late, made["assistant_message"]["id"]) == TEXT
    all_read.set()
    await world.idle()


async def test_failures_and_retries_are_sent(world: World, api: Api, reader: Reader) -> None:
    world.fail("error", "Half of an answer", status=400)
    made = await api.ask("POST", "/new-chat", json={"initial_message": "hello"})
    chat, answer = made["chat"]["id"], made["assistant_message"]["id"]

    def failed(event: Event) -> bool:
        return isinstance(event.get("content"), dict) and "Failed" in event["content"]

    failure = (await reader.until(failed))[-1]
    assert reader.text() == "Half of an answer"
    assert (failure["chat"], failure["message"]) == (chat, answer)
    assert set(failure["content"]["Failed"]) == {"error", "message"}
    world.say("A whole answer.")
    reader.events.clear()
    await api.ask("POST", f"/chat/conversations/{chat}/messages/{answer}/retry")
    await reader.until(finished)
    assert reader.events[0] == {"message": answer, "chat": chat, "content": "Restart"}
    assert reader.text() == "A whole answer."


async def test_messages_in_slack_are_sent_to_participants_only(world: World, api: Api) -> None:
    bobs = await token_for(world, "bob")
    async with (
        socket_of(address(world), api.token) as alice,
        socket_of(address(world), bobs) as bob,
    ):
        world.say("Hello Alice.", "Hello Bob.")
        thread = await world.start("hello from slack")
        await world.answered(thread, 1)
        await alice.until(titled)
        assert alice.events[0]["user_message"]["content"] == "hello from slack"
        assert alice.text() == "Hello Alice."
        await world.slack.conversations.say("bob", "general", "may I too?", thread)
        await world.answered(thread, 2)
        await bob.until(finished)
        assert bob.events[0]["user_message"]["content"] == "may I too?"
        assert bob.text() == "Hello Bob."
        await alice.until(
            lambda event: finished(event) and event["message"] == bob.events[-1]["message"]
        )
        assert alice.text() == "Hello Alice.Hello Bob."


async def test_a_stopped_answer_is_sent_as_stopped(world: World, api: Api) -> None:
    async with socket_of(address(world), api.token) as alice:
        world.say(TEXT, rate=10, held_until=asyncio.Event())
        thread = await world.start("count")
        await alice.until(lambda event: bool(alice.text()))
        await world.slack.conversations.say("alice", "general", "stop", thread)
        last = (await alice.until(finished))[-1]
        assert last["status"] == "stopped"
        assert TEXT.startswith(alice.text())


@pytest.mark.parametrize("way", ["header", "query", "message"])
async def test_the_token_may_be_sent_in_three_ways(world: World, api: Api, way: str) -> None:
    where = (
        address(world).replace("http", "ws", 1)
        + "/ws"
        + (f"?token={api.token}" if way == "query" else "")
    )
    headers = {"Authorization": f"Bearer {api.token}"} if way == "header" else {}
    async with connect(where, additional_headers=headers, proxy=None) as socket:
        if way == "message":
            await socket.send(json.dumps({"token": api.token}))
        await socket.send(json.dumps({"ping": 7}))
        assert json.loads(await socket.recv()) == {"pong": 7}


async def test_a_wrong_token_opens_no_socket(world: World) -> None:
    """A program that sends it in the header gets the response of any other request."""
    where = address(world).replace("http", "ws", 1) + "/ws"
    headers = {"Authorization": "Bearer bob_no"}
    with pytest.raises(InvalidStatus) as refused:
        async with connect(where, proxy=None, additional_headers=headers):
            pass
    assert refused.value.response.status_code == 401
    assert json.loads(refused.value.response.body or b"")["error"] == "Unauthorized"
    for word in ('{"token": "bob_no"}', '{"token": 5}', "[]", "no json", '"\\ud800"'):
        async with connect(where, proxy=None) as socket:
            await socket.send(word)
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert socket.close_code == 4401


async def test_invalid_messages_are_ignored_and_large_ones_close_the_socket(
    world: World, reader: Reader
) -> None:
    for word in ("no json", "[]", "{}", "null", b"\x00\xff", '{"ping": {"deep": [1]}}'):
        await reader.socket.send(word)
    assert json.loads(await reader.socket.recv()) == {"pong": {"deep": [1]}}
    await reader.socket.send("x" * 100_000)
    with pytest.raises(ConnectionClosed):
        await reader.socket.recv()
    assert reader.socket.close_code == 1009


async def test_sockets_are_closed_when_bobbin_ends(world: World, reader: Reader) -> None:
    await world.stop_bot()
    with pytest.raises(ConnectionClosed):
        await reader.socket.recv()
    assert reader.socket.close_code == 1012


async def test_a_slow_client_is_disconnected_without_affecting_others(
    world: World, api: Api
) -> None:
    """Each answer is as long as an answer may be; a reader may fall behind by several."""
    import socket as plain

    host, port = address(world).removeprefix("http://").split(":")
    raw = plain.socket()
    raw.setsockopt(plain.SOL_SOCKET, plain.SO_RCVBUF, 2048)
    raw.connect((host, int(port)))
    raw.sendall(
        f"GET /ws?token={api.token} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    try:
        async with socket_of(address(world), api.token) as reader:
            long = " ".join(
                f"word{number}-{'x' * 4000}" for number in range(MAX_ANSWER_LENGTH // 5_000)
            )
            for _ in range(
                100
            ):  # until the system's buffers for the client that does not read are full
                reader.events.clear()
                world.say(long)
                made = await api.ask("POST", "/new-chat", json={"initial_message": "much"})
                await reader.until(finished)
                assert reader.text(made["assistant_message"]["id"]) == long
                if dropped(world):
                    break
            assert len(dropped(world)) == 1
    finally:
        raw.close()

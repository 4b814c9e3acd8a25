"""What third-party clients expect of HTTP: generated clients, browsers, and the habits of libraries."""

from __future__ import annotations

import gzip
import itertools
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from bot.api.middleware import StartupApp
from bot.api.server import serving
from tests.api.conftest import Api, address
from tests.api.test_description import PROMISED, openapi
from tests.handlers.world import World

GETS = (
    "/chat/conversations",
    "/chat/models",
    "/healthz",
    "/readyz",
    "/metrics",
    "/docs",
    "/openapi.json",
)
OTHERS = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def paths(chat: str) -> dict[str, set[str]]:
    """The API's addresses, and what may be done at each."""
    found: dict[str, set[str]] = {path: {"GET"} for path in GETS}
    for route in PROMISED:
        method, path = route.split()
        path = path.replace("{conversation_id}", chat).replace("{message_id}", "m")
        path = path.replace("{position}", "0")
        found.setdefault(path, set()).add(method)
    return found


async def test_a_slash_at_the_end_changes_nothing(api: Api) -> None:
    """No redirect, which behind a proxy would lead to `http://`; only the documentation page has one."""
    chat = await api.conversation()
    for path, methods in paths(chat).items():
        for method in methods:
            plain, slashed = [
                await api.http.request(
                    method, f"{path}{end}", json={} if method == "POST" else None
                )
                for end in ("", "/")
            ]
            if path == "/docs":
                assert (slashed.status_code, slashed.headers["location"]) == (307, "../docs")
            else:
                assert slashed.status_code == plain.status_code, path
                assert "location" not in slashed.headers


async def test_a_socket_opens_with_a_slash_too(world: World, api: Api) -> None:
    where = address(world).replace("http", "ws", 1)
    async with connect(f"{where}/ws/?token={api.token}", proxy=None) as socket:
        await socket.send('{"ping": 1}')
        assert await socket.recv() == '{"pong": 1}'


async def test_head_is_where_get_is(api: Api) -> None:
    """The same status and headers, and no body."""
    chat = await api.conversation()
    for path, methods in paths(chat).items():
        head = await api.http.head(path)
        assert head.content == b""
        if "GET" in methods:
            got = await api.http.get(path)
            there = 404 if "/m/" in path else 200  # no message has this id
            assert head.status_code == got.status_code == there, path
            assert head.headers.get("etag") == got.headers.get("etag")
            assert head.headers["content-type"] == got.headers["content-type"]
        else:
            assert head.status_code == 405


async def test_what_is_not_allowed_says_what_is(api: Api) -> None:
    """All methods, including HEAD where there is GET."""
    chat = await api.conversation()
    for path, methods in paths(chat).items():
        for method in sorted({*OTHERS, "GET"} - methods):
            answer = await api.http.request(method, path)
            assert answer.status_code == 405, (method, path)
            allowed = {each.strip() for each in answer.headers["allow"].split(",")}
            assert allowed == methods | ({"HEAD"} if "GET" in methods else set()), path


async def test_a_missing_content_type_is_reported(api: Api) -> None:
    others = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "nonsense")
    paths = ("/chat/conversations", "/new-chat", "/list-chats", "/api/v1/chat")
    for path, content_type in itertools.product(paths, (None, *others)):
        headers = {} if content_type is None else {"Content-Type": content_type}
        answer = await api.http.post(path, content=b'{"title": "x"}', headers=headers)

        assert answer.status_code == 422, (path, content_type)
        assert "Content-Type: application/json" in answer.json()["message"], (path, content_type)


UNREADABLE = [
    (b'{"title": "a\x00"}', "The body is not JSON, from character 13 on."),
    (
        b'{"title": "%s" x}' % (b"\xc3\xa9" * 30_000),
        "The body is not JSON, from character 30014 on.",
    ),
    (b"[]", "Input should be a JSON object"),
    (b'{"title": "%s"}' % (b"x" * 300), "title: Input should have at most 200 characters"),
    (b'{"title": 5}', "title: Input should be a valid string"),
]


async def test_a_body_is_refused_in_the_words_of_json(api: Api) -> None:
    for body, sentence in UNREADABLE:
        headers = {"Content-Type": "application/json"}
        answer = await api.http.post("/chat/conversations", content=body, headers=headers)
        assert (answer.status_code, answer.json()["message"]) == (422, sentence)
    chat = await api.conversation()
    empty = await api.say(chat, "", 422)
    assert empty["message"] == "content: Input should have at least 1 character"


async def test_a_socket_without_its_upgrade_is_told_so(api: Api) -> None:
    """As behind a proxy that does not pass on upgrades."""
    plain = await api.http.get("/ws")
    assert (plain.status_code, plain.headers["upgrade"]) == (426, "websocket")
    assert "proxy" in plain.json()["message"]
    assert (await api.http.post("/ws")).headers["allow"] == "GET, HEAD"


async def test_a_compressed_body_is_reported(api: Api) -> None:
    for encoding, accepted in (
        ("gzip", False),
        ("br, deflate", False),
        ("identity", True),
        ("utf-8", True),
    ):
        body = gzip.compress(b"{}") if encoding == "gzip" else b"{}"
        headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
        answer = await api.http.post("/chat/conversations", content=body, headers=headers)

        assert answer.status_code == (201 if accepted else 422), encoding
        assert accepted or "Content-Encoding" in answer.json()["message"]


async def test_json_by_any_of_its_names_is_read(api: Api) -> None:
    body = b'{"title": "Mine"}'
    for name in ("application/json", "application/json; charset=utf-8", "application/x+json"):
        made = await api.http.post(
            "/chat/conversations", content=body, headers={"Content-Type": name}
        )

        assert made.json()["conversation"]["title"] == "Mine", name


async def test_an_optional_body_may_be_missing(api: Api) -> None:
    paths = ("/chat/conversations", "/api/v1/conversations", "/list-chats")
    for path, body in itertools.product(paths, (None, b"", b"{}", b"null")):
        headers = {"Content-Type": "application/json"} if body else {}
        answer = await api.http.post(path, content=body, headers=headers)

        assert answer.status_code in (200, 201), (path, body, answer.text)


async def test_a_refused_browser_learns_why(world: World) -> None:
    """Browsers report the close code of an open connection, but nothing about one that never opened."""
    where = address(world).replace("http", "ws", 1)
    async with connect(f"{where}/ws?token=bob_no", proxy=None) as socket:
        with pytest.raises(ConnectionClosed):
            await socket.recv()

    assert (socket.close_code, socket.close_reason) == (4401, "Unauthorized")


async def test_a_socket_opened_while_the_database_is_down_is_told_so(
    world: World, api: Api
) -> None:
    await world.execute("ALTER TABLE api_tokens RENAME TO away")
    where = address(world).replace("http", "ws", 1)
    async with connect(f"{where}/ws?token={api.token}", proxy=None) as socket:
        with pytest.raises(ConnectionClosed):
            await socket.recv()
    assert (socket.close_code, socket.close_reason) == (1012, "Unavailable")
    with pytest.raises(InvalidStatus) as refused:
        async with connect(
            f"{where}/ws", additional_headers={"Authorization": f"Bearer {api.token}"}, proxy=None
        ):
            pass
    assert refused.value.response.status_code == 503


async def test_a_socket_opened_too_early_is_told_to_retry() -> None:
    """The server accepts connections before the process has finished starting."""
    async with (
        serving(StartupApp(), "127.0.0.1", 0) as url,
        connect(f"{url.replace('http', 'ws', 1)}/ws", proxy=None) as socket,
    ):
        with pytest.raises(ConnectionClosed):
            await socket.recv()
    assert socket.close_code == 1013


async def test_everything_in_the_description_has_a_type(world: World) -> None:
    """Otherwise generated code has `unknown` or `Any`; a body that may be missing is not a different type."""
    described = await openapi(world)
    assert list(_untyped(described["paths"], "paths")) == []
    bodies = {
        route: operation["requestBody"]
        for route, operations in described["paths"].items()
        for operation in operations.values()
        if "requestBody" in operation
    }
    assert all("$ref" in body["content"]["application/json"]["schema"] for body in bodies.values())
    optional = {route for route, body in bodies.items() if not body.get("required")}
    assert optional == {"/chat/conversations", "/api/v1/conversations", "/list-chats"}


def _untyped(node: Any, where: str) -> Any:
    """Where a response or a parameter has no schema, or an empty one."""
    if isinstance(node, dict):
        for name, content in node.get("content", {}).items():
            if not content.get("schema"):
                yield f"{where} {name}"
        for name, inner in node.items():
            yield from _untyped(inner, f"{where}/{name}")
    elif isinstance(node, list):
        for inner in node:
            yield from _untyped(inner, where)


async def test_question_and_answer_never_share_a_time(api: Api) -> None:
    """Clients order messages by time."""
    chat = await api.conversation()
    for word in ("one", "two"):
        await api.say(chat, word)
    times = [message["createdAt"] for message in (await api.history(chat))["messages"]]

    assert len(times) == 4
    assert times == sorted(set(times))

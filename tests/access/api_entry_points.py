"""Every API request as one person's action, and a check that no route is missing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import httpx

from bot.api.app import ApiParts, routed_app
from bot.timing import Timing
from tests.access.scene import APPROVAL, ask_for_approval
from tests.handlers.world import World

OTHER = "demo/storyteller"
Request = tuple[str, str, dict[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Ids:
    """The ids that requests use."""

    chat: str
    """A chat in a channel."""
    answer: str
    """Its first answer, which has a picture."""
    failed: str
    """Its failed answer."""
    own: str
    """A conversation of the client's own, without messages."""

    @classmethod
    async def of(cls, world: World, thread: str, own: str) -> Ids:
        """The ids for the chat in this thread, whose second answer has failed.

        Its first answer gets a picture, and a call that waits for WHO's decision.
        """
        if not world.rows("SELECT 1 FROM tool_calls"):
            await ask_for_approval(world, thread)
        answer, failed = (str(row["message_id"]) for row in world.ended(thread)[:2])
        await world.execute(
            "INSERT INTO attachments (message_id, position, name, mime, data) "
            "VALUES (?, 0, 'a.png', 'image/png', x'89')",
            answer,
        )
        chat = next(str(row["id"]) for row in world.chats() if row["thread"] == thread)
        return cls(chat, answer, failed, own)


def of_a_channel(ids: Ids) -> dict[str, Request]:
    """The requests about a chat in a channel."""
    chat = ids.chat
    at = f"/chat/conversations/{chat}"
    return {
        "continue": ("POST", "/chat/conversations", {"continues": chat}),
        "branch": ("POST", "/chat/conversations", {"from": ids.answer, "model": OTHER}),
        "history": ("GET", at, None),
        "export": ("GET", f"{at}/export", None),
        "export as JSON": ("GET", f"{at}/export?format=json", None),
        "picture": ("GET", f"{at}/messages/{ids.answer}/images/0", None),
        "retry": ("POST", f"{at}/messages/{ids.failed}/retry", None),
        "say": ("POST", f"{at}/messages", {"content": "hi"}),
        "v1 chat": ("POST", "/api/v1/chat", {"conversation_id": chat, "message": "hi"}),
        "approval": ("POST", f"{at}/approvals/{APPROVAL}", {"decision": "deny"}),
        "check-chat": ("POST", "/check-chat", {"chat": chat}),
        "list-messages": ("POST", "/list-messages", {"chat": chat}),
        "chat-message": ("POST", "/chat-message", {"chat": chat, "message": "hi"}),
    }


def api_requests(ids: Ids) -> dict[str, Request]:
    """Every request that reads or writes chats: method, path and body."""
    say = f"/chat/conversations/{ids.own}/messages"
    return {
        "create": ("POST", "/chat/conversations", {}),
        "list": ("GET", "/chat/conversations", None),
        "search": ("GET", "/chat/conversations?q=question", None),
        "models": ("GET", "/chat/models", None),
        "usage": ("GET", "/usage", None),
        "say in one's own": ("POST", say, {"content": "hi"}),
        "v1 create": ("POST", "/api/v1/conversations", None),
        "new-chat": ("POST", "/new-chat", {"initial_message": "hi"}),
        "list-chats": ("POST", "/list-chats", {}),
        **of_a_channel(ids),
    }


FOR_ANYBODY = {"/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"}
"""Paths that are served without a token, because they reveal nothing about anybody."""
SOCKET = "/ws"


def forgotten_routes() -> list[str]:
    """The routes that need a token and for which `api_requests` has nothing."""
    nothing = cast("Any", None)
    names = (name for name in ApiParts.__dataclass_fields__ if name not in ("timing", "slack"))
    parts = ApiParts(**dict.fromkeys(names, nothing) | {"checks": {}}, timing=Timing())
    app = routed_app(parts)
    hidden = [
        route.path
        for route in _leaves(app.routes)
        if route.path not in {*FOR_ANYBODY, SOCKET}
        and not getattr(route, "include_in_schema", False)
    ]
    described = {
        f"{method.upper()} {path}"
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }
    sent = [
        f"{method} {path.partition('?')[0]}"
        for method, path, _ in api_requests(Ids(*["0" * 32] * 4)).values()
    ]
    unsent = [
        each
        for each in described
        if not any(re.fullmatch(re.sub(r"{\w+}", "[^/]+", each), one) for one in sent)
    ]
    return sorted(hidden + unsent)


def _leaves(routes: Iterable[Any]) -> Iterator[Any]:
    """FastAPI keeps included routers, and resolves them at the first request."""
    for route in routes:
        included = getattr(route, "original_router", None)
        yield from (route,) if included is None else _leaves(included.routes)


async def send(http: httpx.AsyncClient, request: Request) -> httpx.Response:
    method, path, body = request
    return await http.request(method, path, json=body)

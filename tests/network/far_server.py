"""A remote Slack and model server: what Bobbin's HTTP clients request, over HTTP and over TLS."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from bot.manifest import bot_scopes
from tests.network.authority import Authority


@dataclass
class FarServer:
    """Reached by any name that ends in `.test`, through a proxy."""

    asked: list[str] = field(default_factory=list)
    """The paths, in order."""
    ports: dict[int, int] = field(default_factory=dict)
    """Its own ports, by those that clients ask for: 80 and 443."""

    @asynccontextmanager
    async def running(self, authority: Authority) -> AsyncIterator[FarServer]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        for port, context in ((80, None), (443, authority.server_context())):
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
            await site.start()
            assert site._server is not None
            self.ports[port] = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        if request.path == "/link":
            return await _socket(request)
        if request.path.endswith("/chat/completions"):
            return await _stream(request)
        if request.path == "/mcp":
            return await _tools(request)
        scheme = "wss" if request.secure else "ws"
        known = {
            "/api/auth.test": {
                "ok": True, "url": "https://ada.slack.test/", "user_id": "U1", "team_id": "T1",
                "user": "bobbin", "team": "Ada", "bot_id": "B1",
            },
            "/api/apps.connections.open": {"ok": True, "url": f"{scheme}://socket.test/link"},
            "/v1/models": {"object": "list", "data": [{"id": "tiny", "object": "model"}]},
        }  # fmt: skip
        answer = known.get(request.path, {"ok": True})
        return web.json_response(answer, headers={"X-OAuth-Scopes": ",".join(bot_scopes())})


async def _socket(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_str(json.dumps({"type": "hello"}))
    async for message in socket:
        if message.type is WSMsgType.PING:
            await socket.pong(message.data)
    return socket


async def _tools(request: web.Request) -> web.StreamResponse:
    """A server of the Model Context Protocol with one tool."""
    if request.method != "POST":
        return web.Response(status=405)
    asked = await request.json()
    tool = {"name": "look", "inputSchema": {"type": "object"}}
    answers = {
        "initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                       "serverInfo": {"name": "far", "version": "1"}},
        "tools/list": {"tools": [tool]},
        "tools/call": {"content": [{"type": "text", "text": "far away"}]},
    }  # fmt: skip
    if "id" not in asked:
        return web.Response(status=202)
    said = {"jsonrpc": "2.0", "id": asked["id"]}
    if asked["method"] not in answers:
        return web.json_response(said | {"error": {"code": -32601, "message": "unknown"}})
    return web.json_response(said | {"result": answers[asked["method"]]})


async def _stream(request: web.Request) -> web.StreamResponse:
    await request.read()
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    chunk = {"choices": [{"index": 0, "delta": {"content": "far away"}, "finish_reason": "stop"}]}
    await response.write(f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode())
    return response

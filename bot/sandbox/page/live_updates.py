"""Pushes each change in the workspace to the open pages whose person may see it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.websockets import WebSocket, WebSocketDisconnect

from bot.sandbox.journal import CallRecord, Delivery, Journal
from bot.sandbox.page import snapshot
from bot.sandbox.state.records import Message
from bot.sandbox.state.workspace import Change, Workspace
from bot.sandbox.types import Json

MAX_QUEUED_UPDATES = 20_000


@dataclass(eq=False, slots=True)
class OpenPage:
    """One open page: its viewer, and the updates not yet sent to it."""

    viewer: str
    traffic: bool
    queue: asyncio.Queue[Json | None] = field(
        default_factory=lambda: asyncio.Queue(MAX_QUEUED_UPDATES)
    )

    def push(self, message: Json) -> None:
        """Queue an update. A page that has stopped reading is disconnected; it reconnects and reloads."""
        if self.queue.full():
            return
        self.queue.put_nowait(message if self.queue.qsize() < MAX_QUEUED_UPDATES - 1 else None)


class LiveUpdates:
    """The WebSocket half of the page's protocol."""

    def __init__(self, workspace: Workspace, journal: Journal) -> None:
        self._workspace = workspace
        self._pages: set[OpenPage] = set()
        self._frames = itertools.count(1)
        self._encoders: dict[str, Callable[[Change, OpenPage], list[Json]]] = {
            "posted": self._posted,
            "edited": self._message,
            "reacted": self._message,
            "stream_ended": self._message,
            "stream_broken": self._message,
            "streamed": self._streamed,
            "deleted": self._deleted,
            "file_deleted": self._message,
            "unfurled": self._message,
            "joined": self._channel,
            "left": self._left,
            "channel": self._channel,
            "read": self._channel,
            "prompts": self._prompts,
            "status": lambda change, _: [
                {"type": "status", "status": snapshot.status_json(change.data["thread"])}
            ],
            "session": lambda change, _: [
                {"type": "session", "session": snapshot.session_json(change.data["thread"])}
            ],
            "ephemeral": self._ephemeral,
            "ephemeral_deleted": lambda change, _: [
                {"type": "ephemeral_deleted", "id": change.data["id"]}
            ],
            "views": self._views,
            "view_errors": self._view_errors,
            "home": lambda change, _: [
                {"type": "home", "view": snapshot.view_json(change.data["view"])}
            ],
            "notice": lambda change, _: [
                {"type": "notice", "text": change.data["text"], "channel": change.channel or None}
            ],
            "locale": self._user,
            "bot": lambda change, _: [{"type": "bot", "connected": change.data["connected"]}],
        }
        workspace.subscribe(self._on_change)
        journal.listeners.append(self._on_traffic)

    async def serve(self, socket: WebSocket) -> None:
        """Serves one page's socket until it closes."""
        viewer = socket.query_params.get("user") or next(iter(self._people()))
        if viewer not in self._workspace.users:
            await socket.close(1008)
            return
        await socket.accept()
        page = OpenPage(viewer, socket.query_params.get("traffic") == "1")
        page.push({"type": "hello", "user": viewer, "seq": next(self._frames)})
        self._pages.add(page)
        sender = asyncio.create_task(self._send(socket, page))
        try:
            while (await socket.receive())["type"] != "websocket.disconnect":
                pass
        finally:
            self._pages.discard(page)
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    def _people(self) -> list[str]:
        return [user.id for user in self._workspace.users.values() if not user.is_bot]

    async def _send(self, socket: WebSocket, page: OpenPage) -> None:
        try:
            while (message := await page.queue.get()) is not None:
                await socket.send_text(snapshot.frame(message))
            await socket.close(1013)
        except (WebSocketDisconnect, RuntimeError):
            return

    def _on_change(self, change: Change) -> None:
        if not self._pages:
            return
        maker = self._encoders.get(change.kind)
        if maker is None:
            return
        for page in self._pages:
            if self._is_for(change, page):
                for message in maker(change, page):
                    page.push(message)

    def _is_for(self, change: Change, page: OpenPage) -> bool:
        if change.kind in (
            "ephemeral",
            "ephemeral_deleted",
            "views",
            "view_errors",
            "home",
            "notice",
            "read",
        ):
            return change.user == page.viewer
        if change.kind == "left" and change.user == page.viewer:
            return True
        channel = self._workspace.channels.get(change.channel)
        return channel is None or self._workspace.can_see(channel, page.viewer)

    def _on_traffic(self, entry: CallRecord | Delivery) -> None:
        watching = [page for page in self._pages if page.traffic]
        if watching:
            message: Json = {"type": "traffic", "entry": snapshot.traffic_json(entry)}
            for page in watching:
                page.push(message)

    def _json(self, message: Message, page: OpenPage) -> Json:
        return {
            "type": "message",
            "message": snapshot.message_json(message, page.viewer, self._workspace),
        }

    def _message(self, change: Change, page: OpenPage) -> list[Json]:
        assert change.message is not None
        return [self._json(change.message, page)]

    def _posted(self, change: Change, page: OpenPage) -> list[Json]:
        assert change.message is not None
        message, channel = change.message, self._workspace.channels[change.channel]
        pushes = [self._json(message, page)]
        root = channel.messages.get(message.thread_ts or "")
        if root is not None and root is not message:
            pushes.append(self._json(root, page))
        return [*pushes, *self._channel(change, page)]

    def _streamed(self, change: Change, page: OpenPage) -> list[Json]:
        message = change.message
        assert message is not None
        assert message.stream is not None
        if message.stream.recipient not in (None, page.viewer):
            return []
        if not change.data["text"]:
            return [self._json(message, page)]
        piece = {"type": "stream", "channel": message.channel, "ts": message.ts}
        return [{**piece, "text": change.data["text"], "length": message.latest.length}]

    def _deleted(self, change: Change, page: OpenPage) -> list[Json]:
        message = change.message
        assert message is not None
        if message.replies:
            return [self._json(message, page)]
        root = self._workspace.channels[change.channel].messages.get(message.thread_ts or "")
        gone = [{"type": "message_deleted", "channel": message.channel, "ts": message.ts}]
        return gone + ([self._json(root, page)] if root is not None else [])

    def _channel(self, change: Change, page: OpenPage) -> list[Json]:
        channel = self._workspace.channels[change.channel]
        return [{"type": "channel", "channel": snapshot.channel_json(channel, page.viewer)}]

    def _user(self, change: Change, page: OpenPage) -> list[Json]:
        user = self._workspace.users[change.user or ""]
        return [{"type": "user", "user": snapshot.user_json(user, self._workspace)}]

    def _left(self, change: Change, page: OpenPage) -> list[Json]:
        if self._workspace.can_see(self._workspace.channels[change.channel], page.viewer):
            return self._channel(change, page)
        return [{"type": "channel_gone", "channel": change.channel}]

    def _prompts(self, change: Change, page: OpenPage) -> list[Json]:
        return [{"type": "prompts", "prompts": {"channel": change.channel, **change.data}}]

    def _ephemeral(self, change: Change, page: OpenPage) -> list[Json]:
        return [
            {"type": "ephemeral", "ephemeral": snapshot.ephemeral_json(change.data["ephemeral"])}
        ]

    def _views(self, change: Change, page: OpenPage) -> list[Json]:
        stack = self._workspace.open_modals(page.viewer)
        return [{"type": "view", "views": [snapshot.view_json(view) for view in stack]}]

    def _view_errors(self, change: Change, page: OpenPage) -> list[Json]:
        view = change.data["view"]
        return [{"type": "view_errors", "view_id": view.id, "errors": view.errors}]

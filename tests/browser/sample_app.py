"""A small app for the tests of the page, with real Web API calls over HTTP and real Socket Mode.

It does what the page must show (menu, stream, modal, ephemeral list, Home) step by step, as a test asks.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidState

from bot.sandbox import Sandbox
from tests.local_http import local_client

Json = dict[str, Any]
Answer = Json | None

MODELS = {
    "Demo": ["Swift", "Scholar", "Poet"],
    "Elsewhere": [f"vendor/model-{number}" for number in range(40)],
}


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def section(text: str, **more: Any) -> Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **more}


def button(text: str, action_id: str, **more: Any) -> Json:
    return {"type": "button", "text": plain(text), "action_id": action_id, **more}


def model_select(**more: Any) -> Json:
    placeholder = plain("Choose a model")
    return {
        "type": "external_select",
        "action_id": "model",
        "placeholder": placeholder,
        "min_query_length": 0,
        **more,
    }


def offered(query: str) -> Json:
    """The menu's options, grouped by provider and filtered by the query."""
    groups = []
    for label, names in MODELS.items():
        options = [
            {"text": plain(name), "value": name} for name in names if query.lower() in name.lower()
        ]
        if options:
            groups.append({"label": plain(label), "options": options})
    return {"option_groups": groups}


class ChattyApp:
    """Connects at `async with`; keeps what Slack sent it in `received`, by kind ("app_mention", "block_actions", …)."""

    def __init__(self, slack: Sandbox) -> None:
        self.slack = slack
        self.received: list[tuple[str, Json]] = []
        self.silent: set[str] = set()
        self._http = local_client(base_url=slack.api_url)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._socket: ClientConnection | None = None
        self._stream: Json = {}

    async def __aenter__(self) -> Self:
        opened = await self.call("apps.connections.open", token=self.slack.app_token)
        self._socket = await connect(opened["url"])
        assert json.loads(await self._socket.recv())["type"] == "hello"
        self._later(self._listen(self._socket))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.disconnect()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.aclose()

    async def disconnect(self) -> None:
        if self._socket is not None:
            await self._socket.close()

    async def call(self, method: str, token: str | None = None, **arguments: Any) -> Json:
        """Call the Web API. An error fails the test."""
        headers = {"Authorization": f"Bearer {token or self.slack.bot_token}"}
        response = await self._http.post(method, json=arguments, headers=headers)
        answer: Json = response.json()
        assert answer["ok"], (method, answer)
        return answer

    # -- listening

    def _later(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _listen(self, socket: ClientConnection) -> None:
        async for frame in socket:
            envelope = json.loads(frame)
            if "envelope_id" in envelope:
                self._later(self._take(socket, envelope))

    async def _take(self, socket: ClientConnection, envelope: Json) -> None:
        payload = envelope["payload"]
        kind = {
            "events_api": lambda: payload["event"]["type"],
            "slash_commands": lambda: payload["command"],
        }.get(envelope["type"], lambda: payload["type"])()
        body = payload["event"] if envelope["type"] == "events_api" else payload
        self.received.append((kind, body))
        if kind in self.silent:
            return
        acknowledge = self._acknowledgements().get(kind)
        ack: Json = {"envelope_id": envelope["envelope_id"]}
        if acknowledge and (answer := acknowledge(body)) is not None:
            ack["payload"] = answer
        with suppress(ConnectionClosed, InvalidState):  # the test is over
            await socket.send(json.dumps(ack))
        if react := self._reactions().get(kind):
            await react(body)

    def _acknowledgements(self) -> dict[str, Callable[[Json], Answer]]:
        return {
            "block_suggestion": lambda body: offered(body["value"]),
            "view_submission": self._check,
            "/chats": lambda body: None,
        }

    def _reactions(self) -> dict[str, Callable[[Json], Awaitable[None]]]:
        return {
            "app_mention": self._offer_menu,
            "/chats": self._list_chats,
            "message_action": self._open_dialog,
            "shortcut": self._open_dialog,
            "app_home_opened": self._show_home,
        }

    def payloads(self, kind: str) -> list[Json]:
        return [body for each, body in self.received if each == kind]

    # -- answering

    async def _offer_menu(self, event: Json) -> None:
        initial = {"text": plain("Swift"), "value": "Swift"}
        elements = [
            model_select(initial_option=initial),
            button("Start with Swift", "start", style="primary"),
        ]
        blocks = [
            section("*Which model should answer?*"),
            {"type": "actions", "block_id": "menu", "elements": elements},
        ]
        root = event.get("thread_ts") or event["ts"]
        await self.call(
            "chat.postMessage", channel=event["channel"], thread_ts=root, text="menu", blocks=blocks
        )

    async def _list_chats(self, body: Json) -> None:
        blocks = [
            {"type": "header", "text": plain("Your chats")},
            section(
                "*Files in Python*", block_id="one", accessory=button("Open", "open", value="1")
            ),
        ]
        answer = {"response_type": "ephemeral", "text": "Your chats", "blocks": blocks}
        assert (await self._http.post(body["response_url"], json=answer)).is_success

    async def _open_dialog(self, body: Json) -> None:
        text = {"type": "plain_text_input", "action_id": "text", "multiline": True}
        blocks = [
            {
                "type": "input",
                "block_id": "model",
                "label": plain("Model"),
                "element": model_select(),
            },
            {
                "type": "input",
                "block_id": "first",
                "label": plain("First message"),
                "element": text,
            },
        ]
        words = {"title": plain("New chat"), "submit": plain("Start"), "close": plain("Cancel")}
        view = {"type": "modal", "callback_id": "new_chat", **words, "blocks": blocks}
        await self.call("views.open", trigger_id=body["trigger_id"], view=view)

    def _check(self, body: Json) -> Answer:
        text = body["view"]["state"]["values"]["first"]["text"]["value"]
        if len(text) < 3:
            return {"response_action": "errors", "errors": {"first": "Write a little more."}}
        return None

    async def _show_home(self, event: Json) -> None:
        if event["tab"] != "home":
            prompts = [{"title": "Explain something", "message": "Explain tides to me"}]
            await self.call(
                "assistant.threads.setSuggestedPrompts",
                channel_id=event["channel"],
                title="Try",
                prompts=prompts,
            )
            return
        blocks = [
            {"type": "header", "text": plain("Your chats")},
            {"type": "actions", "elements": [button("New chat", "new")]},
        ]
        await self.call(
            "views.publish", user_id=event["user"], view={"type": "home", "blocks": blocks}
        )

    # -- a streamed answer, step by step

    async def start_answer(self, channel: str, thread: str, user: str, text: str) -> str:
        """Open a stream. Returns its ts."""
        team = self.slack.workspace.team_id
        chunks = [{"type": "markdown_text", "text": text}]
        recipient = {"recipient_user_id": user, "recipient_team_id": team}
        self._stream = await self.call(
            "chat.startStream", channel=channel, thread_ts=thread, chunks=chunks, **recipient
        )
        return str(self._stream["ts"])

    async def append(self, text: str) -> None:
        chunks = [{"type": "markdown_text", "text": text}]
        await self.call(
            "chat.appendStream",
            channel=self._stream["channel"],
            ts=self._stream["ts"],
            chunks=chunks,
        )

    async def finish(self) -> None:
        thumbs = {
            "type": "feedback_buttons",
            "action_id": "thumbs",
            "positive_button": {"text": plain("Good answer"), "value": "up"},
            "negative_button": {"text": plain("Bad answer"), "value": "down"},
        }
        blocks = [{"type": "context_actions", "elements": [thumbs]}]
        await self.call(
            "chat.stopStream", channel=self._stream["channel"], ts=self._stream["ts"], blocks=blocks
        )

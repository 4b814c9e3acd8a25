"""The page's protocol: what each person sees live, and what they can do."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox import Sandbox
from tests.deadlines import WAIT_TIMEOUT
from tests.sandbox.conftest import Bot
from tests.sandbox.test_streams import start, words

Json = dict[str, Any]


class Browser:
    """A page that is open for one person."""

    def __init__(self, session: aiohttp.ClientSession, user: str) -> None:
        self.session = session
        self.user = user
        self.socket: Any = None

    async def open(self) -> None:
        self.socket = await self.session.ws_connect(f"/sandbox/live?user={self.user}")
        assert (await self.socket.receive_json())["type"] == "hello"

    async def pushed(self, kind: str) -> Json:
        """The next event of a type; others are skipped."""
        while True:
            push: Json = await self.socket.receive_json(timeout=WAIT_TIMEOUT)
            if push["type"] == kind:
                return push

    async def do(self, path: str, **body: Any) -> Json:
        async with self.session.post(
            f"/sandbox/{path}", json={"user": self.user, **body}
        ) as response:
            answer: Json = await response.json()
            return answer

    async def state(self) -> Json:
        async with self.session.get(f"/sandbox/state?user={self.user}") as response:
            answer: Json = await response.json()
            return answer


@pytest.fixture
async def session(slack: Sandbox) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(slack.url) as session:
        yield session


@pytest.fixture
async def alice(session: aiohttp.ClientSession) -> Browser:
    browser = Browser(session, "U0ALICE")
    await browser.open()
    return browser


@pytest.fixture
async def carol(session: aiohttp.ClientSession) -> Browser:
    browser = Browser(session, "U0CAROL")
    await browser.open()
    return browser


async def test_each_person_sees_only_their_channels(alice: Browser, carol: Browser) -> None:
    names = [
        {channel["name"] for channel in (await page.state())["channels"]} for page in (alice, carol)
    ]
    assert names[0] - names[1] == {"leads"}


async def test_a_message_is_pushed_with_its_root_and_unread_counts(
    alice: Browser, carol: Browser
) -> None:
    said = await alice.do("say", channel="C0GENERAL", text="hello @carol & co")
    push = await carol.pushed("message")
    assert (push["message"]["ts"], push["message"]["text"]) == (
        said["ts"],
        "hello <@U0CAROL> &amp; co",
    )
    channel = (await carol.pushed("channel"))["channel"]
    assert (channel["unread"], channel["mentions"]) == (1, 1)
    await carol.do("read", channel="C0GENERAL", ts=said["ts"])
    assert (await carol.pushed("channel"))["channel"]["unread"] == 0
    await carol.do("say", channel="C0GENERAL", text="reply", thread_ts=said["ts"])
    assert (await alice.pushed("message"))["message"]["ts"] == said["ts"]
    assert (await alice.pushed("message"))["message"]["text"] == "reply"
    assert (await alice.pushed("message"))["message"]["reply_count"] == 1


async def test_a_stream_is_live_only_for_its_recipient(
    slack: Sandbox, web: AsyncWebClient, alice: Browser, carol: Browser
) -> None:
    _, ts = await start(slack, web)
    await web.chat_appendStream(channel="C0GENERAL", ts=ts, chunks=words("two"))
    push = await alice.pushed("stream")
    assert (push["ts"], push["text"], push["length"]) == (ts, "two", 7)
    seen = {page.user: (await page.state())["messages"]["C0GENERAL"][-1] for page in (alice, carol)}
    assert (seen["U0ALICE"]["text"], seen["U0CAROL"]["text"]) == ("One two", "One ")
    await web.chat_stopStream(channel="C0GENERAL", ts=ts)
    while (message := (await carol.pushed("message"))["message"])["streaming"] or message[
        "ts"
    ] != ts:
        assert message["text"] in ("hi", "One ")
    assert message["text"] == "One two"


async def test_clicks_menus_commands_and_modals_work_from_the_page(
    slack: Sandbox, bot: Bot, web: AsyncWebClient, alice: Browser
) -> None:
    @bot.app.options("model")
    async def on_options(ack: Any, payload: Json) -> None:
        await ack(
            options=[
                {"text": {"type": "plain_text", "text": payload["value"] or "all"}, "value": "v"}
            ]
        )

    @bot.app.action("model")
    async def on_choice(ack: Any, body: Json, respond: Any) -> None:
        await ack()
        await respond(
            text=f"chose {body['actions'][0]['selected_option']['value']}", replace_original=False
        )

    @bot.app.command("/new")
    async def on_new(ack: Any, body: Json, client: AsyncWebClient) -> None:
        element = {"type": "plain_text_input", "action_id": "text"}
        label = {"type": "plain_text", "text": "Text"}
        block = {"type": "input", "block_id": "first", "label": label, "element": element}
        title = {"type": "plain_text", "text": "New"}
        view = {
            "type": "modal",
            "callback_id": "n",
            "title": title,
            "submit": title,
            "blocks": [block],
        }
        await client.views_open(trigger_id=body["trigger_id"], view=view)
        await ack()

    @bot.app.view("n")
    async def on_submit(ack: Any, view: Json) -> None:
        given = view["state"]["values"]["first"]["text"]["value"]
        await (ack(response_action="errors", errors={"first": "short"}) if given == "x" else ack())

    await bot.connect()
    menu = {"type": "external_select", "action_id": "model", "min_query_length": 0}
    blocks = [{"type": "actions", "block_id": "b", "elements": [menu]}]
    posted = await web.chat_postMessage(channel="C0GENERAL", text="x", blocks=blocks)
    container = {"type": "message", "channel": "C0GENERAL", "ts": posted["ts"]}
    offered = await alice.do(
        "options", action_id="model", block_id="b", value="fast", container=container
    )
    option = offered["options"][0]
    assert option["text"]["text"] == "fast"
    chosen = {"action_id": "model", "block_id": "b", "selected_option": option}
    assert await alice.do("action", action=chosen, container=container) == {"ok": True}
    assert (await alice.pushed("ephemeral"))["ephemeral"]["text"] == "chose v"
    assert await alice.do("command", channel="C0GENERAL", command="/new", text="") == {"ok": True}
    view = (await alice.pushed("view"))["views"][-1]
    values = {"first": {"text": {"type": "plain_text_input", "value": "x"}}}
    refused = await alice.do("view/submit", view_id=view["id"], values=values)
    assert refused["errors"] == {"first": "short"}
    values["first"]["text"]["value"] = "long enough"
    assert await alice.do("view/submit", view_id=view["id"], values=values) == {"ok": True}
    assert (await alice.state())["views"] == []


async def test_an_impossible_action_is_refused_with_a_reason(alice: Browser) -> None:
    outside = await alice.do("say", channel="C0NOWHERE", text="x")
    assert (outside["ok"], outside["error"]) == (False, "channel_not_found")
    unstoppable = await alice.do("stop", channel="C0GENERAL", thread_ts="1.1")
    assert unstoppable["error"] == "not_possible"
    async with alice.session.post("/sandbox/say", data=b"no json") as response:
        assert response.status == 400


async def test_files_are_uploaded_shared_and_never_served_as_pages(
    slack: Sandbox, alice: Browser
) -> None:
    form = aiohttp.FormData()
    form.add_field("user", "U0ALICE")
    form.add_field("file", b"<script>", filename="x.html", content_type="text/html")
    async with alice.session.post("/sandbox/upload", data=form) as response:
        file = (await response.json())["files"][0]
    said = await alice.do("say", channel="C0GENERAL", text="", files=[file["id"]])
    assert slack.workspace.message("general", said["ts"]).files == [file["id"]]
    async with alice.session.get(file["url"]) as response:
        assert "sandbox" in response.headers["content-security-policy"]


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"origin": "https://evil.example"},
        {"host": "127.0.0.1.evil.example"},
    ],
)
async def test_foreign_hosts_and_origins_are_refused(
    session: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    async with session.get("/sandbox/state", headers=headers) as response:
        assert response.status == 403
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await session.ws_connect("/sandbox/live", headers=headers)


async def test_the_traffic_inspector_shows_calls_and_events_in_order(
    slack: Sandbox, web: AsyncWebClient, alice: Browser
) -> None:
    await web.auth_test()
    await alice.do("say", channel="C0GENERAL", text="x")
    async with alice.session.get("/sandbox/traffic?newest=10") as response:
        entries = (await response.json())["entries"]
    assert [(entry["kind"], entry["name"]) for entry in entries] == [
        ("call", "auth.test"),
        ("event", "message"),
    ]
    assert slack.bot_token not in str(entries)

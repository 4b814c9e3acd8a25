"""The Web API as a whole: every method that Slack has answers here, with its shape or with one of Slack's errors."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest
import slack_sdk.web.client
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.sandbox import Sandbox
from bot.sandbox.errors import SlackRefusal
from bot.sandbox.user_actions.find_elements import state_values
from bot.sandbox.web_api import other_methods
from tests.local_http import local_client
from tests.sandbox.conftest import refusal
from tests.sandbox.web_api.conftest import GENERAL

SDK_METHODS = sorted(
    set(re.findall(r'api_call\(\s*"([A-Za-z.]+)"', inspect.getsource(slack_sdk.web.client)))
)


async def answer_to(slack: Sandbox, method: str, **arguments: Any) -> dict[str, Any]:
    """The answer, also of methods at which Slack's own client would warn."""
    headers = {"Authorization": f"Bearer {slack.bot_token}"}
    async with local_client(headers=headers) as client:
        answer = await client.post(slack.api_url + method, json=arguments)
    return dict(answer.json())


async def test_every_real_method_is_known(slack: Sandbox) -> None:
    """And says what is missing when it is called with nothing but a channel and a user."""
    given = {"channel": GENERAL, "user": "U0ALICE", "channel_id": GENERAL}
    answers = {method: await answer_to(slack, method, **given) for method in SDK_METHODS}
    assert len(answers) > 300
    wrong = {"unknown_method", "internal_error", "fatal_error"}
    assert [name for name, answer in answers.items() if answer.get("error") in wrong] == []


@pytest.mark.parametrize("method", ["chat.postMessag", "chat", "foo.bar", "admin.everything"])
async def test_a_method_that_slack_has_not_is_unknown(slack: Sandbox, method: str) -> None:
    assert (await answer_to(slack, method))["error"] == "unknown_method"


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("files.upload", "method_deprecated"),
        ("channels.list", "method_deprecated"),
        ("search.messages", "not_allowed_token_type"),
        ("admin.users.list", "not_allowed_token_type"),
        ("admin.usergroups.create", "not_allowed_token_type"),
        ("developer.apps.owners.list", "not_supported_in_sandbox"),
        ("canvases.create", "not_supported_in_sandbox"),
        ("oauth.v2.access", "not_supported_in_sandbox"),
    ],
)
async def test_what_a_bot_cannot_have_is_reported(slack: Sandbox, method: str, error: str) -> None:
    answer = await answer_to(slack, method)
    assert answer["error"] == error
    assert method in answer["response_metadata"]["messages"][0]


ODD: tuple[Any, ...] = (
    "", "x", "[", "[1, {}]", "{}", "C0GENERAL,", "\ud800", "1e400", -1, 10**30, float("inf"), float("nan"), True,
    [], [[]], [None], {}, {"blocks": 5}, "[" * 100_000,
)  # fmt: skip
"""What clients send by mistake, in any argument."""


class Consulted(dict[str, Any]):
    """Arguments that know which of them a method has asked for."""

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__(given)
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return super().get(name, default)


async def test_no_odd_argument_breaks_a_method(slack: Sandbox, web: AsyncWebClient) -> None:
    """Each is answered with one of Slack's errors, or as if it made sense."""
    posted = await web.chat_postMessage(channel=GENERAL, text="Hello")
    usual: dict[str, Any] = {
        "channel": GENERAL, "channel_id": GENERAL, "user": "U0ALICE", "users": "U0ALICE", "ts": posted["ts"],
        "timestamp": posted["ts"], "message_ts": posted["ts"], "text": "Hi", "title": "Hi", "name": "eyes",
        "type": "link", "link": "https://example.com", "view": {"type": "modal"}, "post_at": 2**31, "status": "active",
    }  # fmt: skip
    broken: list[str] = []

    def run(method: str, arguments: dict[str, Any]) -> None:
        try:
            slack.web_api.run(method, arguments, slack.bot_token)
        except SlackRefusal:
            pass
        except Exception as error:
            broken.append(f"{method} {arguments!r:.200}: {error!r:.80}")

    for method in _imitated(slack):
        asked = Consulted(usual)
        run(method, asked)
        for name, value in itertools.product(sorted(asked.names), ODD):
            run(method, {**usual, name: value})
    assert broken == []


def _imitated(slack: Sandbox) -> list[str]:
    refused = {"auth.revoke", *other_methods.OTHER_METHODS}
    return [name for name in slack.web_api.methods if name not in refused]


BODIES: list[tuple[str | None, bytes, str]] = [
    ("application/json", b"{", "invalid_json"),
    ("application/json", b"\xff", "invalid_json"),
    ("application/json; charset=utf-8", b"[1]", "json_not_object"),
    ("application/json", b"", "not_authed"),
    ("application/x-www-form-urlencoded", b"text=%ff&text", "not_authed"),
    ("application/x-www-form-urlencoded", b"\xff", "invalid_form_data"),
    ("multipart/form-data", b"x", "invalid_form_data"),
    ("text/xml", b"<x/>", "invalid_post_type"),
    (None, b"x", "missing_post_type"),
    (None, b"", "not_authed"),
]


async def test_a_body_that_cannot_be_read_is_refused_by_its_name(slack: Sandbox) -> None:
    async with local_client() as client:
        for kind, body, error in BODIES:
            headers = {"Content-Type": kind} if kind else {}
            url = f"{slack.api_url}auth.test"
            answer = await client.post(url, content=body, headers=headers)
            assert (answer.status_code, answer.json()["error"]) == (200, error), (kind, body)


SHAPES: list[tuple[str, dict[str, Any], set[str]]] = [
    ("api.test", {"foo": "bar"}, {"args"}),
    ("auth.test", {}, {"url", "team", "user", "team_id", "user_id", "bot_id", "is_enterprise_install"}),
    ("auth.teams.list", {}, {"teams", "response_metadata"}),
    ("bots.info", {"bot": "B0BOBBIN"}, {"bot"}),
    ("conversations.info", {"channel": GENERAL}, {"channel"}),
    ("conversations.list", {}, {"channels", "response_metadata"}),
    ("conversations.members", {"channel": GENERAL}, {"members", "response_metadata"}),
    ("conversations.history", {"channel": GENERAL}, {"messages", "has_more"}),
    ("conversations.open", {"users": "U0ALICE"}, {"channel"}),
    ("dnd.info", {}, {"dnd_enabled", "next_dnd_start_ts", "next_dnd_end_ts"}),
    ("dnd.teamInfo", {"users": "U0ALICE"}, {"users"}),
    ("emoji.list", {}, {"emoji", "cache_ts"}),
    ("files.list", {}, {"files", "paging"}),
    ("team.info", {}, {"team"}),
    ("team.profile.get", {}, {"profile"}),
    ("usergroups.list", {}, {"usergroups"}),
    ("users.conversations", {}, {"channels", "response_metadata"}),
    ("users.getPresence", {"user": "U0ALICE"}, {"presence"}),
    ("users.info", {"user": "U0ALICE"}, {"user"}),
    ("users.list", {}, {"members", "cache_ts", "response_metadata"}),
    ("users.lookupByEmail", {"email": "alice@example.com"}, {"user"}),
    ("users.profile.get", {"user": "U0ALICE"}, {"profile"}),
    ("bookmarks.list", {"channel_id": GENERAL}, {"bookmarks"}),
    ("pins.list", {"channel": GENERAL}, {"items"}),
    ("reactions.list", {}, {"items", "response_metadata"}),
    ("chat.scheduledMessages.list", {}, {"scheduled_messages", "response_metadata"}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "given", "fields"), SHAPES, ids=[shape[0] for shape in SHAPES])
async def test_an_answer_has_slacks_fields(
    slack: Sandbox, method: str, given: dict[str, Any], fields: set[str]
) -> None:
    answer = await answer_to(slack, method, **given)
    assert (answer.pop("ok"), set(answer)) == (True, fields), answer


SCOPED = [
    ("conversations.list", {}, "channels:read"),
    ("conversations.list", {"types": "private_channel"}, "groups:read"),
    ("conversations.members", {"channel": GENERAL}, "channels:read"),
    ("conversations.create", {"name": "new"}, "channels:manage"),
    ("conversations.create", {"name": "new", "is_private": True}, "groups:write"),
    ("conversations.invite", {"channel": GENERAL}, "channels:manage,channels:write.invites"),
    ("conversations.setTopic", {"channel": GENERAL}, "channels:manage,channels:write.topic"),
    ("conversations.archive", {"channel": GENERAL}, "channels:manage"),
    ("users.conversations", {"types": "im"}, "im:read"),
    ("users.lookupByEmail", {"email": "x"}, "users:read.email"),
    ("emoji.list", {}, "emoji:read"),
    ("files.list", {}, "files:read"),
    ("pins.add", {"channel": GENERAL}, "pins:write"),
    ("bookmarks.add", {"channel_id": GENERAL}, "bookmarks:write"),
    ("chat.scheduleMessage", {"channel": GENERAL}, "chat:write"),
]


@pytest.mark.parametrize(("method", "given", "needed"), SCOPED)
async def test_a_missing_scope_is_named(method: str, given: dict[str, Any], needed: str) -> None:
    async with Sandbox(scopes=["commands", "team:read"]) as poor:
        answer = await answer_to(poor, method, **given)
    assert (answer["error"], answer["needed"]) == ("missing_scope", needed)
    assert answer["provided"] == "commands,team:read"


def test_no_two_tables_have_the_same_method() -> None:
    def refused() -> Iterator[str]:
        yield from other_methods.DEPRECATED
        yield from other_methods.FOR_USER_TOKENS
        yield from other_methods.NOT_IMITATED

    slack = Sandbox()
    names = list(refused())
    assert len(names) == len(set(names))
    working = {name for name, method in slack.web_api.methods.items() if name not in names}
    assert working.isdisjoint(names)
    assert len(working) > 70


async def test_an_incoming_webhook_posts_to_general(slack: Sandbox) -> None:
    """With blocks and attachments; what Slack refuses is said in a word."""
    hook = AsyncWebhookClient(slack.webhook.url)
    section = {"type": "section", "text": {"type": "mrkdwn", "text": "*built*"}}
    done = await hook.send_dict({"text": "built", "blocks": [section], "username": "ci"})
    assert (done.status_code, done.body) == (200, "ok")
    assert [message.text for message in slack.workspace.messages("general")] == ["*built*"]
    empty = await hook.send(text="")
    assert (empty.status_code, empty.body) == (400, "no_text")
    wrong = await AsyncWebhookClient(f"{slack.webhook.url}x").send(text="x")
    assert (wrong.status_code, wrong.body) == (403, "invalid_token")


async def test_attachments_carry_blocks_whose_buttons_work(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    """They stay through an edit that does not name them; an empty list removes them."""
    button = {"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}}
    blocks = [{"type": "actions", "elements": [button]}]
    given = [{"color": "good", "blocks": blocks}]
    posted = await web.chat_postMessage(channel=GENERAL, text="build", attachments=given)
    (kept,) = posted["message"]["attachments"]
    assert (kept["id"], kept["color"], "block_id" in kept["blocks"][0]) == (1, "2eb886", True)
    message = slack.workspace.message("general", posted["ts"])
    pressed = asyncio.create_task(slack.interactions.press("alice", message, "go"))
    (press, *_) = await slack.until(
        lambda: [each for each in slack.deliveries if each.name == "block_actions"]
    )
    pressed.cancel()
    assert press.payload["actions"][0]["action_id"] == "go"
    await web.chat_update(channel=GENERAL, ts=posted["ts"], text="built")
    assert message.attachments == [kept]
    await web.chat_update(channel=GENERAL, ts=posted["ts"], text="built", attachments=[])
    assert message.attachments == []
    bad = [{"blocks": [{"type": "actions", "elements": []}]}]
    call = web.chat_postMessage(channel=GENERAL, text="x", attachments=bad)
    assert await refusal(call) == "invalid_blocks"


async def test_an_edit_without_text_and_blocks_keeps_them(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    """Text alone takes the blocks' place, as Slack's documentation has it."""
    section = {"type": "section", "text": {"type": "mrkdwn", "text": "Shown"}}
    posted = await web.chat_postMessage(channel=GENERAL, text="Said", blocks=[section])
    message = slack.workspace.message("general", posted["ts"])

    async def update(**content: Any) -> dict[str, Any]:
        return await answer_to(slack, "chat.update", channel=GENERAL, ts=posted["ts"], **content)

    assert (await update(attachments=[{"text": "Beside"}]))["ok"]
    assert (message.text, message.latest.fallback) == ("Shown", "Said")
    assert (await update(text="Only this"))["ok"]
    assert (message.text, message.blocks) == ("Only this", [])
    assert (await update())["error"] == "no_text"


async def test_links_are_announced_and_unfurled(slack: Sandbox, web: AsyncWebClient) -> None:
    ts = await slack.conversations.say("alice", "general", "see https://issues.example/7 please")
    told = next(each for each in slack.deliveries if each.name == "link_shared")
    (link,) = told.payload["event"]["links"]
    assert link == {"url": "https://issues.example/7", "domain": "issues.example"}
    preview = {link["url"]: {"text": "The door is stuck"}}
    await web.chat_unfurl(channel=GENERAL, ts=ts, unfurls=preview)
    await web.chat_unfurl(channel=GENERAL, ts=ts, unfurls=preview)
    (made,) = slack.workspace.message("general", ts).attachments
    assert (made["text"], made["app_unfurl_url"]) == ("The door is stuck", link["url"])


INPUTS: list[dict[str, Any]] = [
    {"type": "multi_users_select", "initial_users": ["U0BOB"]},
    {"type": "multi_conversations_select"},
    {"type": "multi_channels_select"},
    {"type": "email_text_input"},
    {"type": "url_text_input"},
    {"type": "number_input", "is_decimal_allowed": False},
    {"type": "datetimepicker", "initial_date_time": 1796000000},
    {"type": "rich_text_input"},
    {"type": "file_input", "max_files": 2},
]


@pytest.mark.parametrize("element", INPUTS, ids=[each["type"] for each in INPUTS])
async def test_every_input_of_block_kit_is_accepted(
    slack: Sandbox, web: AsyncWebClient, element: dict[str, Any]
) -> None:
    """And its state has the field that Slack gives it."""
    label = {"type": "plain_text", "text": "Field"}
    block = {
        "type": "input",
        "block_id": "b",
        "label": label,
        "element": {**element, "action_id": "a"},
    }
    view = {"type": "modal", "title": label, "submit": label, "blocks": [block]}
    await web.views_open(trigger_id=slack.triggers.issue("U0ALICE"), view=view)
    modal = slack.views.modal("alice")
    assert modal is not None
    state = state_values(modal, {})["b"]["a"]
    assert state.pop("type") == element["type"]
    (value,) = state.values()
    assert value in (None, [], ["U0BOB"], 1796000000)


async def test_elements_without_an_action_id_get_one(slack: Sandbox, web: AsyncWebClient) -> None:
    """So that a button that only opens a link can be pressed."""
    text = {"type": "plain_text", "text": "Docs"}
    link = {"type": "button", "text": text, "url": "https://docs.example"}
    blocks = [{"type": "actions", "elements": [link]}]
    posted = await web.chat_postMessage(channel=GENERAL, text="x", blocks=blocks)
    (kept,) = posted["message"]["blocks"][0]["elements"]
    assert (kept["url"], bool(kept["action_id"])) == (link["url"], True)


async def test_choices_outside_inputs_are_in_a_views_state(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    """Menus and pickers in other blocks; no buttons."""
    text = {"type": "plain_text", "text": "Pick"}
    picker = {"type": "datepicker", "action_id": "day", "initial_date": "2026-11-30"}
    button = {"type": "button", "action_id": "go", "text": text}
    blocks = [{"type": "actions", "block_id": "b", "elements": [picker, button]}]
    view = {"type": "modal", "title": text, "blocks": blocks}
    await web.views_open(trigger_id=slack.triggers.issue("U0ALICE"), view=view)
    modal = slack.views.modal("alice")
    assert modal is not None
    chosen = {"type": "datepicker", "selected_date": "2026-11-30"}
    assert state_values(modal, {}) == {"b": {"day": chosen}}

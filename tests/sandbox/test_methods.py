"""The Web API as a whole: every method that Slack has answers here, with its shape or with one of Slack's errors."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import slack_sdk.web.client
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.sandbox import Limits, Sandbox, WorkspaceFile
from bot.sandbox.app_permissions import EVENTS, SCOPES
from bot.sandbox.user_actions.find_elements import state_values
from tests.local_http import local_client
from tests.sandbox.conftest import client_of, refusal

GENERAL = "C0GENERAL"
SDK_METHODS = sorted(
    set(re.findall(r'api_call\(\s*"([A-Za-z.]+)"', inspect.getsource(slack_sdk.web.client)))
)


@pytest.fixture
async def slack(limits: Limits) -> Any:
    """With every scope and event."""
    async with Sandbox(limits=limits, scopes=SCOPES, events=EVENTS) as sandbox:
        yield sandbox


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
        ("canvases.create", "not_supported_in_sandbox"),
        ("oauth.v2.access", "not_supported_in_sandbox"),
    ],
)
async def test_what_a_bot_cannot_have_is_said(slack: Sandbox, method: str, error: str) -> None:
    answer = await answer_to(slack, method)
    assert answer["error"] == error
    assert method in answer["response_metadata"]["messages"][0]


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


# -- channels


async def test_a_channel_lives_as_in_slack(slack: Sandbox, web: AsyncWebClient) -> None:
    """Created, filled, named, described, left, archived; people see each change."""
    made = (await web.conversations_create(name="launch-plan"))["channel"]
    assert (made["name"], made["is_member"], made["creator"]) == ("launch-plan", True, "U0BOBBIN")
    channel = made["id"]
    await web.conversations_invite(channel=channel, users="U0ALICE,U0BOB")
    await web.conversations_setTopic(channel=channel, topic="Friday")
    await web.conversations_setPurpose(channel=channel, purpose="To launch")
    await web.conversations_rename(channel=channel, name="launched")
    await web.conversations_kick(channel=channel, user="U0BOB")
    info = (await web.conversations_info(channel=channel))["channel"]
    assert (info["topic"]["value"], info["purpose"]["value"]) == ("Friday", "To launch")
    assert (info["name"], info["previous_names"]) == ("launched", ["launch-plan"])
    assert slack.workspace.channel("launched").members == ["U0BOBBIN", "U0ALICE"]
    await web.conversations_archive(channel=channel)
    assert await refusal(web.chat_postMessage(channel=channel, text="x")) == "is_archived"
    names = [each["name"] for each in await all_channels(web, exclude_archived=True)]
    assert "launched" not in names
    kinds = [delivery.name for delivery in slack.deliveries]
    assert [kind for kind in kinds if kind.startswith("channel_")] == [
        "channel_created",
        "channel_rename",
        "channel_archive",
    ]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("", "invalid_name_required"),
        ("x" * 81, "invalid_name_maxlength"),
        ("Big", "invalid_name_specials"),
        ("a b", "invalid_name_specials"),
        ("general", "name_taken"),
    ],
)
async def test_channel_names_have_rules(web: AsyncWebClient, name: str, error: str) -> None:
    assert await refusal(web.conversations_create(name=name)) == error


async def all_channels(web: AsyncWebClient, **arguments: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = None
    while cursor != "":
        page = await web.conversations_list(limit=2, cursor=cursor, **arguments)
        assert len(page["channels"]) <= 2
        found += page["channels"]
        cursor = page["response_metadata"]["next_cursor"]
    return found


async def test_lists_come_in_pages(slack: Sandbox, web: AsyncWebClient) -> None:
    """Each channel once; a broken cursor or limit is refused."""
    for number in range(7):
        await web.conversations_create(name=f"room-{number}")
    ids = [channel["id"] for channel in await all_channels(web)]
    assert sorted(ids) == sorted(
        each.id for each in slack.workspace.channels.values() if each.type == "channel"
    )
    assert await refusal(web.conversations_list(cursor="x")) == "invalid_cursor"
    assert await refusal(web.conversations_list(limit=1001)) == "invalid_limit"
    assert await refusal(web.conversations_list(types="rooms")) == "invalid_types"


async def test_users_conversations_are_those_of_one_person(web: AsyncWebClient) -> None:
    own = await web.users_conversations(types="public_channel,private_channel")
    assert {each["id"] for each in own["channels"]} == {GENERAL, "C0RANDOM", "C0LEADS"}
    carols = await web.users_conversations(user="U0CAROL", types="public_channel,private_channel")
    assert {each["id"] for each in carols["channels"]} == {GENERAL, "C0RANDOM", "C0WATERCOOLER"}


async def test_posts_reach_a_channel_by_name_and_publicly_with_the_scope(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    for channel in ("#general", "random", "C0WATERCOOLER"):
        await web.chat_postMessage(channel=channel, text="hello")
    assert [message.text for message in slack.workspace.messages("watercooler")] == ["hello"]
    assert await refusal(web.chat_postMessage(channel="#nowhere", text="x")) == "channel_not_found"


# -- pins, bookmarks, reactions, files


async def test_pins_are_listed_and_told(slack: Sandbox, web: AsyncWebClient) -> None:
    ts = await slack.conversations.say("alice", "general", "keep this")
    await web.pins_add(channel=GENERAL, timestamp=ts)
    assert await refusal(web.pins_add(channel=GENERAL, timestamp=ts)) == "already_pinned"
    (item,) = (await web.pins_list(channel=GENERAL))["items"]
    assert (item["message"]["text"], item["message"]["pinned_to"]) == ("keep this", [GENERAL])
    assert item["created_by"] == "U0BOBBIN"
    await web.pins_remove(channel=GENERAL, timestamp=ts)
    assert await refusal(web.pins_remove(channel=GENERAL, timestamp=ts)) == "no_pin"
    kinds = [delivery.name for delivery in slack.deliveries]
    assert [kind for kind in kinds if kind.startswith("pin")] == ["pin_added", "pin_removed"]


async def test_bookmarks_are_added_changed_and_removed(web: AsyncWebClient) -> None:
    add = {"channel_id": GENERAL, "title": "Docs", "type": "link"}
    made = (await web.bookmarks_add(**add, link="https://docs.example"))["bookmark"]
    assert await refusal(web.bookmarks_add(**add, link="docs.example")) == "invalid_link"
    await web.bookmarks_edit(channel_id=GENERAL, bookmark_id=made["id"], title="Manual")
    (kept,) = (await web.bookmarks_list(channel_id=GENERAL))["bookmarks"]
    assert (kept["title"], kept["link"]) == ("Manual", "https://docs.example")
    await web.bookmarks_remove(channel_id=GENERAL, bookmark_id=made["id"])
    assert (await web.bookmarks_list(channel_id=GENERAL))["bookmarks"] == []


async def test_reactions_of_one_person_are_listed(slack: Sandbox, web: AsyncWebClient) -> None:
    ts = await slack.conversations.say("alice", "general", "done?")
    await slack.conversations.react("bob", "general", ts, "eyes")
    items = (await web.reactions_list(user="U0BOB"))["items"]
    assert [item["message"]["ts"] for item in items] == [ts]
    assert (await web.reactions_list())["items"] == []


async def test_files_are_listed_in_numbered_pages_and_deleted(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    for number in range(3):
        await web.files_upload_v2(
            channel=GENERAL, content=f"text {number}", filename=f"{number}.txt"
        )
    listed = await web.files_list(count=2, page=2)
    assert listed["paging"] == {"count": 2, "total": 3, "page": 2, "pages": 2}
    (oldest,) = listed["files"]
    await web.files_delete(file=oldest["id"])
    assert await refusal(web.files_info(file=oldest["id"])) == "file_deleted"
    assert len((await web.files_list())["files"]) == 2
    message = slack.workspace.messages("general")[0]
    history = await web.conversations_history(channel=GENERAL, latest=message.ts, inclusive=True)
    assert history["messages"][0]["files"] == [{"id": oldest["id"], "mode": "tombstone"}]


async def test_email_addresses_need_their_scope(slack: Sandbox, web: AsyncWebClient) -> None:
    with_it = await web.users_info(user="U0ALICE", include_locale=True)
    assert with_it["user"]["profile"]["email"] == "alice@example.com"
    assert with_it["user"]["locale"] == "en-US"
    async with Sandbox(scopes=["users:read"]) as poor:
        profile = (await client_of(poor, None).users_info(user="U0ALICE"))["user"]["profile"]
    assert "email" not in profile


async def test_profile_pictures_can_be_loaded(slack: Sandbox, web: AsyncWebClient) -> None:
    import aiohttp

    address = (await web.users_info(user="U0ALICE"))["user"]["profile"]["image_72"]
    async with aiohttp.ClientSession() as session, session.get(address) as picture:
        assert (picture.status, picture.content_type) == (200, "image/svg+xml")


# -- scheduled messages


class Later:
    """The time of day, ahead of the machine's."""

    ahead = 0.0

    def __call__(self) -> float:
        import time

        return time.time() + self.ahead


async def test_a_scheduled_message_is_posted_when_it_is_due(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    """Under its own new ts, with its blocks, in its thread; then it does not wait any more."""
    root = await slack.conversations.say("alice", "general", "remind us")
    section = {"type": "section", "text": {"type": "mrkdwn", "text": "*now*"}}
    due = int(slack.workspace.clock()) + 2
    made = await web.chat_scheduleMessage(
        channel="#general", text="now", post_at=due, thread_ts=root, blocks=[section]
    )
    waiting = (await web.chat_scheduledMessages_list(channel=GENERAL))["scheduled_messages"]
    assert [each["id"] for each in waiting] == [made["scheduled_message_id"]]
    message = await slack.until(lambda: slack.workspace.thread("general", root)[1])
    assert (message.text, message.blocks[0]["type"]) == ("*now*", "section")
    assert float(message.ts) >= due
    assert (await web.chat_scheduledMessages_list())["scheduled_messages"] == []


@pytest.mark.parametrize(
    ("seconds", "error"),
    [(-5, "time_in_past"), (121 * 86_400, "time_too_far"), (None, "invalid_time")],
)
async def test_times_out_of_range_are_refused(
    slack: Sandbox, web: AsyncWebClient, seconds: int | None, error: str
) -> None:
    when = "soon" if seconds is None else str(int(slack.workspace.clock()) + seconds)
    call = web.api_call(
        "chat.scheduleMessage", json={"channel": GENERAL, "text": "x", "post_at": when}
    )
    assert await refusal(call) == error


async def test_a_deleted_scheduled_message_is_not_posted(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    due = int(slack.workspace.clock()) + 2
    first = await web.chat_scheduleMessage(channel=GENERAL, text="never", post_at=due)
    await web.chat_scheduleMessage(channel=GENERAL, text="later", post_at=due)
    taken = {"channel": GENERAL, "scheduled_message_id": first["scheduled_message_id"]}
    await web.chat_deleteScheduledMessage(**taken)
    gone = await refusal(web.chat_deleteScheduledMessage(**taken))
    assert gone == "invalid_scheduled_message_id"
    await slack.until(lambda: slack.workspace.messages("general"))
    assert [message.text for message in slack.workspace.messages("general")] == ["later"]


async def test_what_came_due_while_the_sandbox_was_closed_is_posted_at_the_next_start(
    tmp_path: Path,
) -> None:
    """With everything else that was kept: pins, bookmarks, new channels."""
    path, clock = tmp_path / "workspace.sqlite3", Later()
    async with Sandbox(file=WorkspaceFile.open(path), scopes=SCOPES, clock=clock) as slack:
        web = client_of(slack, None)
        made = (await web.conversations_create(name="plans"))["channel"]["id"]
        await web.chat_scheduleMessage(channel=made, text="hello", post_at=int(clock()) + 3600)
        await web.bookmarks_add(channel_id=made, title="x", type="link", link="https://x.example")
        pinned = await web.chat_postMessage(channel=made, text="pinned")
        await web.pins_add(channel=made, timestamp=pinned["ts"])
        await asyncio.sleep(0)
    clock.ahead = 7200
    async with Sandbox(file=WorkspaceFile.open(path), scopes=SCOPES, clock=clock) as slack:
        await slack.until(lambda: len(slack.workspace.messages("plans")) == 2)
        assert [message.text for message in slack.workspace.messages("plans")] == [
            "pinned",
            "hello",
        ]
        web = client_of(slack, None)
        assert len((await web.pins_list(channel=made))["items"]) == 1
        assert len((await web.bookmarks_list(channel_id=made))["bookmarks"]) == 1
        assert (await web.chat_scheduledMessages_list())["scheduled_messages"] == []


def test_no_two_tables_have_the_same_method() -> None:
    from bot.sandbox.web_api import other_methods

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


async def test_links_are_told_and_unfurled(slack: Sandbox, web: AsyncWebClient) -> None:
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


async def test_what_is_chosen_beside_the_inputs_is_in_a_views_state(
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

"""Channels, and what is attached to them and to messages: pins, bookmarks, reactions, files; and who people are."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox import Sandbox
from tests.sandbox.conftest import client_of, refusal
from tests.sandbox.web_api.conftest import GENERAL


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


async def test_pins_are_listed_and_announced(slack: Sandbox, web: AsyncWebClient) -> None:
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

"""`/chats`: the caller's own chats, privately, page by page and found by their words."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import strings
from bot.domain import Chat, ModelRef, TitleBy
from bot.sandbox.limits import Limits
from bot.sandbox.state.records import Ephemeral
from handlers.views.chat_list import ListQuery, chat_row
from tests.handlers import bulk_chats
from tests.handlers.conftest import WorldFactory
from tests.handlers.test_dialogs import field_values, wait_for_dialog, wait_for_question
from tests.handlers.test_never_stuck import direct_messages
from tests.handlers.world import World
from tests.local_http import local_client
from tests.slow import slow_after


async def listed(
    world: World, text: str = "", user: str = "alice", channel: str = "general"
) -> Ephemeral:
    """What `/chats` shows this person."""
    (shown,) = await world.slack.interactions.command(user, channel, "/chats", text)
    return shown


def rows(shown: Any) -> list[str]:
    """The chats on a page, as text."""
    sections = [block["text"]["text"] for block in shown.blocks if block["type"] == "section"]
    return [text for text in sections if re.search(r"\n.+ · .+ · \d+ messages?$", text)]


def titles(shown: Any) -> list[str]:
    return [
        found[1] for text in rows(shown) if (found := re.match(r"\*(?:<[^|]*\|)?([^>*]*)", text))
    ]


def note(shown: Any) -> str:
    """Which part of how many a page is."""
    notes = [
        e["text"] for block in shown.blocks if block["type"] == "context" for e in block["elements"]
    ]
    return next((text for text in notes if re.fullmatch(r"\d+–\d+ of \d+\+?", text)), "")


def buttons(shown: Any) -> dict[str, str]:
    """The buttons that lead to other pages: label and action id."""
    every = [e for block in shown.blocks if block["type"] == "actions" for e in block["elements"]]
    found = {e["text"]["text"]: e["action_id"] for e in every if e["type"] == "button"}
    others = (strings.CHATS_REFRESH, strings.NEW_CHAT)
    return {label: action for label, action in found.items() if label not in others}


async def refresh(world: World, shown: Ephemeral, user: str = "alice") -> None:
    before = shown.blocks
    await world.slack.interactions.press(user, shown, "chats_page.again")
    await world.until(lambda: shown.blocks is not before, "the list anew")


async def turn(world: World, shown: Ephemeral, label: str, user: str = "alice") -> None:
    """Press Newer or Older, and wait until the page has changed."""
    before = shown.blocks
    await world.slack.interactions.press(user, shown, buttons(shown)[label])
    await world.until(lambda: shown.blocks is not before, "another page")


async def test_a_chat_is_listed_with_model_channel_age_count_and_link(
    world: World,
) -> None:
    world.entitle("Sky and Colour")
    thread = await world.start("Why is the sky blue?")
    await world.answered(thread)
    await world.until(lambda: world.chats()[0]["title"] == "Sky and Colour", "the title")

    shown = await listed(world)

    link = f"{world.slack.url}/archives/C0GENERAL/p{thread.replace('.', '')}?thread_ts={thread}&amp;cid=C0GENERAL"
    facts = "Demo: Quick · <#C0GENERAL> · just now · 2 messages"
    assert rows(shown) == [f"*<{link}|Sky and Colour>*\n{facts}"]
    assert (shown.viewer, buttons(shown)) == ("U0ALICE", {})


async def test_a_row_names_the_place_of_its_chat(world: World) -> None:
    direct = world.slack.workspace.dm("alice")
    await world.answered(await world.start("In a room?"))
    await world.answered(
        await world.start("In a closed one?", channel="leads", user="bob"), channel="leads"
    )
    await world.answered(await world.start("In private?", channel=direct), channel=direct)
    leads = world.slack.workspace.channel_for("U0BOB", "leads").id

    places = [row.split(" · ")[1] for row in rows(await listed(world))]
    closed = [row.split(" · ")[1] for row in rows(await listed(world, user="bob"))]

    assert (places, closed) == (["direct messages", "<#C0GENERAL>"], [f"<#{leads}>"])


def test_a_chat_without_a_thread_is_listed_as_one_of_the_api() -> None:
    now = datetime.now(UTC)
    model = ModelRef("openai", "quick")
    chat = Chat("1", "T1", "U1", "A title", TitleBy.MODEL, model, 2, now, now)
    assert chat_row(chat, "Quick", None, now)["text"]["text"] == (
        "*A title*\nQuick · API · just now · 2 messages"
    )


@pytest.mark.parametrize("has_chats", [True, False])
async def test_new_chat_under_the_list_opens_the_dialog_for_its_channel(
    world: World, has_chats: bool
) -> None:
    if has_chats:
        await world.answered(await world.start("One before?"))
    shown = await listed(world)

    await world.slack.interactions.press("alice", shown, "new_chat")
    await wait_for_dialog(world)
    await world.slack.views.submit("alice", field_values("From the list?"))

    question = await wait_for_question(world)
    await world.answered(question.ts)
    assert len(rows(await listed(world))) == 1 + has_chats


async def test_the_list_holds_the_chats_a_person_started_or_took_part_in(
    world: World,
) -> None:
    thread = await world.start("The first question.")
    await world.answered(thread)
    await world.slack.conversations.say("bob", "general", "May I join in?", thread)
    await world.answered(thread, 2)
    await bulk_chats.insert_chats(world, 3, team="T0OTHER", prefix="o")

    assert [len(rows(await listed(world, user=user))) for user in ("alice", "bob")] == [1, 1]
    nothing = await listed(world, user="carol")
    assert (rows(nothing), nothing.text) == ([], strings.CHATS_NONE)


async def test_pages_of_ten_lead_to_the_last_and_back(world: World) -> None:
    await bulk_chats.insert_chats(world, 23)
    shown = await listed(world)
    assert titles(shown) == [f"Chat {n}" for n in range(22, 12, -1)]
    assert (note(shown), set(buttons(shown))) == ("1–10 of 23", {"Older"})

    await turn(world, shown, "Older")
    assert (note(shown), set(buttons(shown))) == ("11–20 of 23", {"Older", "Newer"})
    await turn(world, shown, "Older")
    assert (titles(shown), note(shown)) == (["Chat 2", "Chat 1", "Chat 0"], "21–23 of 23")
    assert set(buttons(shown)) == {"Newer"}

    await turn(world, shown, "Newer")
    assert note(shown) == "11–20 of 23"
    await turn(world, shown, "Newer")
    assert (note(shown), set(buttons(shown))) == ("1–10 of 23", {"Older"})


@pytest.mark.parametrize("pages", slow_after(1, [15, 60]))
async def test_hundreds_of_pages_are_correct_in_both_directions(world: World, pages: int) -> None:
    """5,000 chats of one person: no button ever carries more, and no address is used up."""
    await bulk_chats.insert_chats(world, 5_000)
    shown = await listed(world)
    seen = titles(shown)
    for _ in range(pages):
        await turn(world, shown, "Older")
        seen += titles(shown)
    assert seen == [f"Chat {n}" for n in range(4999, 4999 - 10 * (pages + 1), -1)]
    assert note(shown) == f"{pages}1–{pages + 1}0 of 1000+"

    for _ in range(pages):
        await turn(world, shown, "Newer")
    assert (titles(shown), note(shown)) == (seen[:10], "1–10 of 1000+")
    values = [
        e["value"] for block in shown.blocks for e in block.get("elements", ()) if "value" in e
    ]
    assert max(map(len, values)) < 400


async def test_paging_back_reaches_the_first_page_despite_new_chats(
    world: World,
) -> None:
    await bulk_chats.insert_chats(world, 15)
    shown = await listed(world)
    await turn(world, shown, "Older")
    thread = await world.start("Something new.")
    await world.answered(thread)

    await turn(world, shown, "Newer")

    assert len(rows(shown)) == 10
    await turn(world, shown, "Newer") if "Newer" in buttons(shown) else None
    assert "just now" in rows(shown)[0]
    assert note(shown) == "1–10 of 16"


async def test_titles_and_texts_are_searched(world: World) -> None:
    await bulk_chats.insert_chats(
        world, 30, title=lambda n: f"Chat {n}", text=lambda n: "a lighthouse" if n % 2 else "a boat"
    )

    shown = await listed(world, "LIGHTHOUSE")
    assert note(shown) == "1–10 of 15"
    await turn(world, shown, "Older")
    assert titles(shown) == ["Chat 9", "Chat 7", "Chat 5", "Chat 3", "Chat 1"]

    assert titles(await listed(world, "lighthouse chat 29")) == ["Chat 29"]
    assert rows(await listed(world, "lighthouse boat")) == []


@pytest.mark.parametrize(
    "text", ["zebra", "<!channel> & co", "%", "tokens", "helpful", "newt", "'; drop table chats"]
)
async def test_other_words_are_a_search_and_an_empty_result_says_so(
    world: World, text: str
) -> None:
    await bulk_chats.insert_chats(world, 3)

    shown = await listed(world, text)

    assert shown.text == strings.CHATS_NOT_FOUND.format(
        words=text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    )


async def test_a_search_of_the_maximum_length_works(world: World) -> None:
    await bulk_chats.insert_chats(world, 12, text=lambda n: "very " * 500)

    shown = await listed(world, "very " * 1000)
    await turn(world, shown, "Older")

    assert len(rows(shown)) == 2


async def test_help_names_the_command_under_which_it_was_called(world: World) -> None:
    (shown,) = await world.slack.interactions.command("alice", "general", "/chats", " HELP ")
    assert shown.text == strings.CHATS_HELP.format(command="/chats")


async def test_the_list_works_in_channels_without_the_bot(world: World) -> None:
    await bulk_chats.insert_chats(world, 12)
    shown = await listed(world, channel="watercooler")
    await turn(world, shown, "Older")
    assert len(rows(shown)) == 2


async def test_markup_in_titles_is_escaped(world: World) -> None:
    await bulk_chats.insert_chats(
        world, 1, title=lambda n: "<!channel> *bold* <https://evil.example|here> & " + "long " * 100
    )

    (row,) = rows(await listed(world))

    assert "<!" not in row
    assert row.replace("<#C0GENERAL>", "").count("<") == 1  # our own link


# -- private channels ----------------------------------------------------------------------------------------------


async def test_leaving_a_private_channel_hides_its_chats(world: World) -> None:
    thread = await world.start("Among us leads.", channel="leads")
    await world.answered(thread, channel="leads")
    await world.slack.conversations.say("bob", "leads", "I take part.", thread)
    await world.answered(thread, 2, channel="leads")

    await world.slack.conversations.leave("bob", "leads")
    await world.idle()

    assert len(rows(await listed(world))) == 1
    assert (
        rows(await listed(world, user="bob"))
        == rows(await listed(world, "take part", user="bob"))
        == []
    )

    await world.slack.conversations.join("bob", "leads")
    await world.idle()
    assert len(rows(await listed(world, user="bob"))) == 1


async def test_hidden_chats_cannot_be_opened_through_the_api(world: World) -> None:
    """By a user who had its id, in Slack or in a program, before leaving."""
    thread = await world.start("Among us leads.", channel="leads")
    await world.answered(thread, channel="leads")
    await world.slack.conversations.say("bob", "leads", "I take part.", thread)
    await world.answered(thread, 2, channel="leads")
    (reply,) = await world.slack.interactions.command("bob", "general", "/chats", "token")
    key = re.search(r"```(.+?)```", reply.text)
    assert key is not None
    assert world.bot is not None
    path = f"{world.bot.url}/chat/conversations/{world.chats()[0]['id']}"
    headers = {"Authorization": f"Bearer {key[1]}"}
    async with local_client(headers=headers) as bob:
        assert (await bob.get(path)).status_code == 200
        await world.slack.conversations.leave("bob", "leads")
        await world.idle()
        assert (await bob.get(path)).status_code == 404
        assert (
            await bob.post(f"{path}/messages", json={"content": "Still me?"})
        ).status_code == 404


async def test_leaving_a_public_channel_hides_nothing(world: World) -> None:
    await world.answered(await world.start("In public."))
    await world.slack.conversations.leave("alice", "general")
    await world.idle()
    assert len(rows(await listed(world, channel="random"))) == 1


async def test_showing_the_list_detects_a_missed_departure(world: World) -> None:
    """The bot was down for longer than Slack repeats events."""
    await world.answered(
        await world.start("Among us leads.", user="bob", channel="leads"), channel="leads"
    )
    await world.stop_bot()
    world.slack.subscriptions.event_types -= {"member_left_channel"}
    await world.slack.conversations.leave("bob", "leads")
    await world.start_bot()

    await listed(world, user="bob")
    await world.until(
        lambda: world.rows("SELECT 1 FROM participants WHERE away"), "the look at the channel"
    )

    assert rows(await listed(world, user="bob")) == []


async def test_each_channel_of_a_page_is_checked_once(worlds: WorldFactory) -> None:
    async with worlds() as world:
        await bulk_chats.insert_chats(world, 10)
        await bulk_chats.insert_chats(world, 10, channel="C0LEADS", prefix="l")
        for _ in range(4):
            await turn(world, await listed(world), "Older")
        await world.idle()

        asked = [
            call.method for call in world.slack.calls if call.method.startswith("conversations.")
        ]
        assert sorted(asked) == [
            "conversations.info",
            "conversations.info",
            "conversations.members",
        ]


# -- what buttons carry --------------------------------------------------------------------------------------------


@given(st.text(), st.one_of(st.none(), st.text(max_size=200)), st.booleans(), st.integers(1, 10**9))
def test_a_query_survives_its_button(
    search: str, cursor: str | None, newer: bool, first: int
) -> None:
    query = ListQuery(ListQuery.for_search(search).search, cursor, newer, first)

    assert ListQuery.load(query.dump()) == query
    assert ListQuery.for_search(query.search) == ListQuery(query.search)


@given(
    st.one_of(
        st.text(), st.from_regex(r'\["?\w*"?(, (null|true|"\w*"|-?\d+)){0,4}\]', fullmatch=True)
    )
)
def test_any_invalid_button_value_is_a_first_page(value: str) -> None:
    assert ListQuery.load(value).first >= 1


async def test_a_press_whose_effect_slack_rejects_is_answered(
    worlds: WorldFactory,
) -> None:
    async with worlds(limits=replace(Limits.off(), response_url_uses=0)) as world:
        world.forgive("used_url")
        await world.answered(await world.start("A question."))
        await world.slack.interactions.press("alice", await listed(world), "chats_page.again")
        await world.until(lambda: direct_messages(world, "alice"), "the notice")
        assert direct_messages(world, "alice") == [strings.LIST_NOT_UPDATED]

"""The Home tab: a user's chats and model, always up to date."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from bot import strings
from bot.sandbox.state.records import View
from tests.handlers import bulk_chats
from tests.handlers.conftest import WorldFactory
from tests.handlers.test_dialogs import (
    field,
    field_values,
    posted_questions,
    wait_for_dialog,
    wait_for_question,
)
from tests.handlers.test_lists import buttons, note, rows, titles
from tests.handlers.test_never_stuck import direct_messages
from tests.handlers.test_start import many_models
from tests.handlers.world import MODEL, World, elements, options_of

STORY = {
    "text": {"type": "plain_text", "text": "Demo: Storyteller"},
    "value": "openai:demo/storyteller",
}


async def home(world: World, user: str = "alice") -> View:
    """Open the Home tab, and wait until it is published (again)."""
    before = world.slack.views.home(user)
    old = before and before.hash
    await world.slack.views.open_home(user)
    await world.until(
        lambda: (now := world.slack.views.home(user)) and now.hash != old, "the Home tab"
    )
    view = world.slack.views.home(user)
    assert view is not None
    return view


async def acted(world: World, view: View, action: dict[str, Any], user: str = "alice") -> None:
    """Use an element of the Home tab, and wait until it is published again."""
    before = view.hash
    await world.slack.interactions.act(user, view, action)
    await world.until(lambda: view.hash != before, "the Home tab anew")


async def search(world: World, view: View, text: str | None) -> None:
    await acted(world, view, {"action_id": "home_search", "value": text})


async def turn(world: World, view: View, label: str) -> None:
    before = view.hash
    await world.slack.interactions.press("alice", view, buttons(view)[label])
    await world.until(lambda: view.hash != before, "another page")


def element(view: View, action_id: str) -> dict[str, Any]:
    found = elements(view, action_id)  # type: ignore[arg-type]  # a view has blocks as a message has
    return dict(found[0])


def count(view: View) -> str:
    """How many chats it says there are."""
    notes = [
        e["text"] for block in view.blocks if block["type"] == "context" for e in block["elements"]
    ]
    return next((text for text in notes if "chat" in text), "")


async def prefer(world: World, view: View, model: dict[str, Any], user: str = "alice") -> None:
    await acted(world, view, {"action_id": "home_model", "selected_option": model}, user)


async def tick(world: World, view: View, on: bool = True) -> None:
    box = element(view, "home_always")["options"][0]
    await acted(world, view, {"action_id": "home_always", "selected_options": [box] if on else []})


# -- what the tab shows ----------------------------------------------------------------------------------------------


async def test_an_empty_home_tab_says_how_to_begin(world: World) -> None:
    view = await home(world)

    texts = [block["text"]["text"] for block in view.blocks if block["type"] == "section"]
    assert strings.HOME_INTRO in texts
    assert strings.CHATS_NONE in texts
    assert element(view, "home_model")["initial_option"]["value"] == f"openai:{MODEL}"
    assert "initial_options" not in element(view, "home_always")


async def test_5000_chats_are_paged_counted_and_searched(world: World) -> None:
    await bulk_chats.insert_chats(
        world, 5_000, text=lambda n: "a lighthouse" if n % 500 == 7 else "a boat"
    )
    view = await home(world)
    assert (titles(view), note(view)) == (
        [f"Chat {n}" for n in range(4999, 4989, -1)],
        "1–10 of 1000+",
    )
    assert (count(view), len(view.blocks) <= 100) == ("1,000+ chats", True)

    await turn(world, view, "Older")
    assert note(view) == "11–20 of 1000+"
    await turn(world, view, "Newer")
    assert note(view) == "1–10 of 1000+"

    await search(world, view, " lighthouse ")
    assert (len(rows(view)), count(view)) == (10, "10 chats")
    assert (
        field(view, next(b["block_id"] for b in view.blocks if b["type"] == "input"))[
            "initial_value"
        ]
        == "lighthouse"
    )
    await search(world, view, "zebra")
    assert rows(view) == []
    await world.slack.interactions.press("alice", view, buttons(view)["Show all"])
    await world.until(lambda: note(view) == "1–10 of 1000+", "all of them")
    await search(world, view, "lighthouse")
    await search(world, view, None)
    assert note(view) == "1–10 of 1000+"


async def test_each_person_sees_only_their_own_chats(world: World) -> None:
    await bulk_chats.insert_chats(world, 3, user="U0ALICE")

    assert [len(rows(await home(world, user))) for user in ("alice", "bob")] == [3, 0]


async def test_the_messages_tab_publishes_nothing(world: World) -> None:
    await world.slack.views.open_home("alice", "messages")
    await world.idle()
    assert world.slack.views.home("alice") is None


# -- the dialog ----------------------------------------------------------------------------------------------------


async def test_new_chat_opens_a_dialog_whose_chat_starts_in_direct_messages(
    world: World,
) -> None:
    view = await home(world)
    await world.slack.interactions.press("alice", view, "new_chat")
    await wait_for_dialog(world)
    await world.slack.views.submit("alice", field_values("From my Home tab."))

    channel = world.slack.workspace.dm("alice")
    await world.answered((await wait_for_question(world, channel)).ts, channel=channel)

    assert posted_questions(world) == []
    await world.until(
        lambda: len(rows(world.slack.views.home("alice"))) == 1, "the chat in the Home tab"
    )


# -- the own model -------------------------------------------------------------------------------------------------


async def test_a_preferred_model_is_found_among_420_and_preselected(
    worlds: WorldFactory,
) -> None:
    async with worlds(models=many_models(420)) as world:
        view = await home(world)
        assert (
            len(options_of(await world.slack.interactions.menu("alice", view, "home_model"))) == 100
        )
        (found,) = options_of(
            await world.slack.interactions.menu("alice", view, "home_model", "model 417")
        )

        await prefer(world, view, dict(found))

        assert element(view, "home_model")["initial_option"] == found
        thread = await world.ask("Which one is mine?")
        assert elements(world.menus(thread)[0], "model_menu")[0]["initial_option"] == found
        theirs = await world.ask("And mine?", user="bob")
        assert elements(world.menus(theirs)[0], "model_menu")[0]["initial_option"] != found


async def test_always_use_it_skips_the_menu_until_it_is_unticked(world: World) -> None:
    view = await home(world)
    await prefer(world, view, STORY)
    await tick(world, view)
    assert element(view, "home_always")["initial_options"]

    thread = await world.slack.conversations.say(
        "alice", "general", f"<@{world.slack.bot_user.id}> No menu, please."
    )
    await world.answered(thread)
    await world.until(lambda: world.headers(thread), "the header")
    assert strings.HEADER_ALWAYS in str(world.header(thread).blocks)
    assert world.menus(thread) == []
    assert world.models.requests()[0].model == "demo/storyteller"
    assert "You always use this model." in world.header(thread).text

    await world.slack.interactions.press(
        "alice", view, "new_chat"
    )  # chosen in the dialog, it needs no explanation
    await wait_for_dialog(world)
    await world.slack.views.submit("alice", field_values("Chosen.", STORY))
    channel = world.slack.workspace.dm("alice")
    root = await wait_for_question(world, channel)
    await world.answered(root.ts, channel=channel)
    await world.until(lambda: world.headers(root.ts, channel), "the header")
    assert "You always use this model." not in world.header(root.ts, channel).text

    await tick(world, view, on=False)
    assert "initial_options" not in element(view, "home_always")
    thread = await world.start("A menu again.", model="demo/storyteller")
    await world.answered(thread)
    await world.until(lambda: world.headers(thread), "the header")
    assert "You always use this model." not in world.header(thread).text
    assert world.rows("SELECT default_model, always FROM people WHERE user = 'U0ALICE'") == [
        {"default_model": "openai:demo/storyteller", "always": 0}
    ]


async def test_concurrent_changes_of_both_preferences_are_both_kept(world: World) -> None:
    """Neither press may undo the other, whichever of them is stored first."""
    for user in ("alice", "bob", "carol", "dan"):
        view = await home(world, user)
        box = element(view, "home_always")["options"][0]
        presses = (
            {"action_id": "home_model", "selected_option": STORY},
            {"action_id": "home_always", "selected_options": [box]},
        )
        await asyncio.gather(
            *(world.slack.interactions.act(user, view, press) for press in presses)
        )
    kept = world.rows("SELECT default_model, always FROM people WHERE default_model IS NOT NULL")
    assert [(row["default_model"], bool(row["always"])) for row in kept] == [
        ("openai:demo/storyteller", True)
    ] * 4


async def test_always_use_it_without_a_choice_uses_the_model_shown(world: World) -> None:
    await tick(world, await home(world))

    thread = await world.slack.conversations.say(
        "alice", "general", f"<@{world.slack.bot_user.id}> No menu, please."
    )
    await world.answered(thread)

    assert world.models.requests()[0].model == MODEL


async def test_an_empty_mention_with_always_use_it_asks_for_a_question(world: World) -> None:
    await tick(world, await home(world))
    thread = await world.slack.conversations.say(
        "alice", "general", f"<@{world.slack.bot_user.id}>"
    )
    (waiting,) = await world.until(lambda: world.replies(thread), "the request for a question")
    assert strings.WAITING_FOR_TEXT in waiting.text
    await world.idle()

    await world.slack.conversations.say("alice", "general", "Here it is, the question.", thread)
    await world.answered(thread)
    await world.idle()

    assert world.requests()[0][-1] == ("user", "Here it is, the question.")
    assert [m.ts for m in world.headers(thread)] == [waiting.ts]


async def test_a_preferred_model_that_is_gone_is_named_and_the_menu_returns(world: World) -> None:
    view = await home(world)
    await prefer(world, view, STORY)
    await tick(world, view)
    await world.execute("UPDATE people SET default_model = 'openai:demo/of-old'")

    view = await home(world)

    assert any(
        "demo/of-old isn't offered any more" in b["text"]["text"]
        for b in view.blocks
        if b["type"] == "section"
    )
    assert element(view, "home_model")["initial_option"]["value"] != "openai:demo/of-old"
    assert world.menus(await world.ask("And now?"))


async def test_a_model_that_is_not_offered_cannot_be_preferred(world: World) -> None:
    view = await home(world)
    await prefer(world, view, {"text": STORY["text"], "value": "openai:demo/none"})
    assert world.rows("SELECT 1 FROM people WHERE default_model IS NOT NULL") == []


@pytest.mark.parametrize("fault", [{"mode": "hang"}, {"mode": "status", "status": 503}])
async def test_a_press_that_slack_cannot_show_is_answered(
    world: World, fault: dict[str, Any]
) -> None:
    view = await home(world)
    world.timing = replace(world.timing, home_tab_timeout=0.2)
    await world.restart()
    world.slack.faults.add("views.publish", times=-1, **fault)
    searched = {"action_id": "home_search", "value": "words"}
    await world.slack.interactions.act("alice", view, searched)
    await world.until(lambda: direct_messages(world, "alice"), "the notice")
    world.slack.faults.clear()
    assert direct_messages(world, "alice") == [strings.HOME_NOT_SHOWN]

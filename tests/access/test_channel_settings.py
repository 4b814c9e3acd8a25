"""`/chats here`: the settings of a channel, and the chats that start there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.config.chats import DEFAULT_SYSTEM_PROMPT
from bot.sandbox.state.records import View
from handlers.views.channel_settings import NO_DEFAULT
from tests.access.conftest import WorldFactory
from tests.access.scene import stored, told
from tests.handlers.test_never_stuck import chat_with_failed_answer
from tests.handlers.world import MODEL, World, elements, options_of

OTHER = "demo/storyteller"
RULES = "Answer like a pirate.\n\nNever mention parrots."
ADMINS = {"bobbin_admins": ("U0ALICE",)}


async def open_dialog(world: World, user: str = "alice", channel: str = "general") -> View:
    await world.slack.interactions.command(user, channel, "/chats", "here")
    view = await world.until(lambda: world.slack.views.modal(user), "the dialog")
    assert view is not None
    return view


async def save(
    world: World,
    text: str = "",
    model: str | None = None,
    *,
    skip: bool = False,
    channel: str = "general",
) -> dict[str, str]:
    """Submits the dialog as alice with all fields set; returns the errors."""
    await open_dialog(world, channel=channel)
    values: dict[str, Any] = {"bobbin.instructions": {"channel_instructions": text}}
    if model is not None:
        option = {"text": {"type": "plain_text", "text": model}, "value": model}
        values["bobbin.channel_model"] = {
            "channel_model": {"type": "external_select", "selected_option": option}
        }
    option = {"text": {"type": "plain_text", "text": "Skip the menu here"}, "value": "skip"}
    values["bobbin.skip_menu"] = {
        "channel_skip_menu": {"type": "checkboxes", "selected_options": [option] if skip else []}
    }
    errors = await world.slack.views.submit("alice", values)
    await world.idle()
    return errors


def system_prompts(world: World) -> list[str]:
    """The system prompt of each answer."""
    return [said[0][1] for said in world.requests() if said[0][0] == "system"]


def preselected(world: World, thread: str, channel: str = "general") -> str:
    (menu,) = elements(world.menus(thread, channel)[-1], "model_menu")
    return str(menu["initial_option"]["value"])


async def test_instructions_follow_the_fixed_prompt_in_chats_that_start_there(
    worlds: WorldFactory,
) -> None:
    """A chat keeps the instructions it started with."""
    async with worlds(**ADMINS) as world:
        before = await world.start("Before?")
        await world.answered(before)
        assert await save(world, RULES) == {}
        await world.slack.conversations.say("alice", "general", "Still as before?", before)
        await world.answered(before, 2)
        after = await world.start("After?")
        await world.answered(after)
        assert await save(world, "Be brief.") == {}
        await world.slack.conversations.say("alice", "general", "Still a pirate?", after)
        await world.answered(after, 2)
        elsewhere = await world.start("Elsewhere?", channel="random")
        await world.answered(elsewhere, channel="random")
        await world.idle()

        plain, pirate = DEFAULT_SYSTEM_PROMPT, f"{DEFAULT_SYSTEM_PROMPT}\n\n{RULES}"
        assert system_prompts(world) == [plain, plain, pirate, pirate, plain]
        shown = [str(world.header(thread).blocks) for thread in (before, after)]
        assert ["with this channel's instructions" in each for each in shown] == [False, True]


async def test_the_dialog_shows_what_is_set_and_removes_it(worlds: WorldFactory) -> None:
    async with worlds(**ADMINS) as world:
        await save(world, RULES, f"openai:{OTHER}", skip=True)
        view = await open_dialog(world)
        shown = {block["block_id"]: block.get("element", {}) for block in view.blocks}
        assert shown["bobbin.instructions"]["initial_value"] == RULES
        assert shown["bobbin.channel_model"]["initial_option"]["value"] == f"openai:{OTHER}"
        assert len(shown["bobbin.skip_menu"]["initial_options"]) == 1
        offered = options_of(await world.slack.interactions.menu("alice", view, "channel_model"))
        assert offered[0]["value"] == NO_DEFAULT
        await world.slack.views.close("alice")
        await save(world, "", NO_DEFAULT)
        (row,) = world.rows("SELECT * FROM channel_settings")
        assert (row["instructions"], row["default_model"], row["skip_menu"]) == ("", None, 0)
        assert row["changed_by"] == "U0ALICE"


async def test_the_channels_model_is_preselected_after_ones_own(worlds: WorldFactory) -> None:
    async with worlds(**ADMINS, bobbin_default_model=f"openai:{MODEL}") as world:
        await save(world, model=f"openai:{OTHER}")
        assert preselected(world, await world.ask("Which?", "bob")) == f"openai:{OTHER}"
        thread = await world.ask("And here?", "bob", "random")
        assert preselected(world, thread, "random") == f"openai:{MODEL}"
        assert world.bot is not None
        from bot.domain import User

        team = world.slack.workspace.team_id
        own = "openai:demo/markdown"
        await world.bot.service.set_default_model(User(team, "U0CAROL"), own)
        assert preselected(world, await world.ask("Mine?", "carol")) == own


@pytest.mark.parametrize("model", [None, f"openai:{OTHER}"])
async def test_the_menu_is_skipped_where_admins_say_so(
    worlds: WorldFactory, model: str | None
) -> None:
    async with worlds(**ADMINS) as world:
        await save(world, model=model, skip=True)
        bot = world.slack.bot_user.id
        thread = await world.slack.conversations.say("bob", "general", f"<@{bot}> At once?")
        await world.answered(thread)
        await world.idle()
        assert world.menus(thread) == []
        (chat,) = world.chats()
        assert model is None or f"openai:{chat['model']}" == model
        assert await world.ask("With a menu?", "bob", "random")


async def test_only_admins_change_settings(worlds: WorldFactory) -> None:
    """Others are told privately who may."""
    async with worlds(**ADMINS) as world:
        before = stored(world)
        await world.slack.interactions.command("bob", "general", "/chats", "here")
        await world.idle()
        assert world.slack.views.modal("bob") is None
        (text,) = told(world, "bob")
        assert "admins and owners" in text
        assert "<@U0ALICE>" in text
        after = stored(world)
        (bob,) = map(json.loads, after.pop("people"))
        assert before.pop("people") == []
        # His name and language were looked up in order to tell him.
        assert (bob["default_model"], bob["last_model"], bob["always"]) == (None, None, 0)
        assert after == before


@pytest.mark.parametrize("by", ["workspace", "setting"])
async def test_admins_are_those_of_the_workspace_and_those_that_are_set(
    worlds: WorldFactory, by: str
) -> None:
    async with worlds(**(ADMINS if by == "setting" else {})) as world:
        world.slack.workspace.user("alice").is_admin = by == "workspace"
        assert await save(world, RULES) == {}
        assert len(world.rows("SELECT 1 FROM channel_settings")) == 1
        (entry,) = [line for line in world.lines() if line["event"] == "audit"]
        assert (entry["action"], entry["actor"], entry["target"]) == (
            "channel_settings_changed",
            "U0ALICE",
            world.slack.workspace.channel("general").id,
        )
        assert RULES not in world.log.getvalue()


async def test_a_former_admin_cannot_save(worlds: WorldFactory) -> None:
    async with worlds(**ADMINS) as world:
        await open_dialog(world)
        await world.restart(bobbin_admins=())
        values = {"bobbin.instructions": {"channel_instructions": RULES}}
        errors = await world.slack.views.submit("alice", values)
        assert list(errors) == ["bobbin.instructions"]
        assert world.rows("SELECT 1 FROM channel_settings") == []


async def test_direct_messages_have_no_settings(worlds: WorldFactory) -> None:
    async with worlds(**ADMINS) as world:
        place = world.slack.workspace.dm("alice")
        (answer,) = await world.slack.interactions.command("alice", place, "/chats", "here")
        assert "Only channels" in answer.text


async def test_a_dialogs_chat_and_a_continuation_have_the_instructions_too(
    worlds: WorldFactory,
) -> None:
    async with worlds(**ADMINS) as world:
        await save(world, RULES)
        await world.slack.interactions.command("alice", "general", "/chats", "new")
        await world.until(lambda: world.slack.views.modal("alice"), "the dialog")
        values = {"bobbin.text": {"dialog_text": "From the dialog?"}}
        assert await world.slack.views.submit("alice", values) == {}
        await world.until(lambda: world.chats(), "the chat")
        await world.idle()
        assert [chat["instructions"] for chat in world.chats()] == [RULES]


async def test_retry_sends_the_same_instructions(worlds: WorldFactory) -> None:
    async with worlds(**ADMINS) as world:
        await save(world, RULES)
        thread, _ = await chat_with_failed_answer(world, "otherwise")
        await save(world, "")
        await world.slack.interactions.press("alice", world.answers(thread)[1], "retry_answer")
        await world.until(lambda: world.messages(thread)[3]["status"] == "done", "the answer")
        await world.idle()
        assert set(system_prompts(world)) == {f"{DEFAULT_SYSTEM_PROMPT}\n\n{RULES}"}

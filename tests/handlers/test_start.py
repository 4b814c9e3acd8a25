"""From the mention to the menu, and from the choice of a model to the chat."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import SecretStr

from bot import strings
from bot.sandbox.models.demo import DEMO_MODELS, DemoModel, quick
from bot.sandbox.models.server import ModelServer
from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.world import MODEL, World, below, elements, methods, options_of


async def test_a_mention_gets_a_menu_and_a_choice_gets_an_answer(world: World) -> None:
    """No chat exists before the choice."""
    world.say("Forty-two, of course.")
    thread = await world.ask("What is the answer to everything?")
    assert world.chats() == []

    await world.choose(thread)

    assert await world.answered(thread) == ["Forty-two, of course."]
    chat = world.chats()[0]
    assert (chat["owner"], chat["channel"], chat["thread"]) == ("U0ALICE", "C0GENERAL", thread)
    assert [(m["number"], m["role"], m["text"]) for m in world.messages(thread)] == [
        (1, "user", "What is the answer to everything?"),
        (2, "assistant", "Forty-two, of course."),
    ]


async def test_the_menu_lists_the_models_grouped_by_provider(world: World) -> None:
    """The select needs no typing, and the button names the preselected model."""
    thread = await world.ask("Which ones are there?")
    menu = world.menus(thread)[0]

    (select,) = elements(menu, "model_menu")
    assert (select["type"], select["min_query_length"]) == ("external_select", 0)
    assert select["initial_option"]["value"] == f"openai:{MODEL}"
    assert elements(menu, "start_chat")[0]["text"]["text"] == "Start with Demo: Quick"
    groups = (await world.slack.interactions.menu("alice", menu, "model_menu"))["option_groups"]
    assert [group["label"]["text"] for group in groups] == ["OpenAI-compatible"]
    assert [option["text"]["text"] for option in groups[0]["options"]] == [
        model.label for model in DEMO_MODELS
    ]


def many_models(count: int) -> ModelServer:
    named = [
        DemoModel(f"maker{n % 7}/model-{n:03}", f"Maker {n % 7}: Model {n:03}", quick)
        for n in range(count)
    ]
    longest = DemoModel(
        "maker/" + "very-" * 40 + "long", "A name " + "that goes on and on " * 8, quick
    )
    return ModelServer([*named, longest], words_per_second=5000.0)


async def test_any_of_420_models_is_found_by_typing(worlds: WorldFactory) -> None:
    """The menu shows at most 100 models at once; typing searches all of them."""
    async with worlds(models=many_models(420)) as world:
        thread = await world.ask("Find me one.")
        menu = world.menus(thread)[0]

        everything = options_of(await world.slack.interactions.menu("alice", menu, "model_menu"))
        assert len(everything) == 100
        found = options_of(
            await world.slack.interactions.menu("alice", menu, "model_menu", "model 417")
        )
        assert [option["text"]["text"] for option in found] == ["Maker 4: Model 417"]
        assert (
            options_of(
                await world.slack.interactions.menu("alice", menu, "model_menu", "nothing like it")
            )
            == []
        )

        await world.slack.interactions.choose(
            "alice", menu, "model_menu", "openai:maker4/model-417", "417"
        )
        await world.answered(thread)
        assert world.models.requests()[0].model == "maker4/model-417"


async def test_a_model_whose_name_is_longer_than_slack_allows_can_be_chosen(
    worlds: WorldFactory,
) -> None:
    async with worlds(models=many_models(3)) as world:
        thread = await world.ask("The long one, please.")
        menu = world.menus(thread)[0]
        (option,) = options_of(
            await world.slack.interactions.menu("alice", menu, "model_menu", "goes on")
        )

        await world.slack.interactions.choose("alice", menu, "model_menu", option["value"])

        await world.answered(thread)
        assert world.models.requests()[0].model == "maker/" + "very-" * 40 + "long"


async def test_the_button_starts_with_the_preselected_model(world: World) -> None:
    thread = await world.ask("Go on.")

    await world.slack.interactions.press("alice", world.menus(thread)[0], "start_chat")

    await world.answered(thread)
    assert [asked.model for asked in world.models.requests()] == [MODEL]


async def test_only_the_person_who_asked_may_choose(world: World) -> None:
    """Others get a private notice that they may not."""
    thread = await world.ask("A private matter.")
    menu = world.menus(thread)[0]

    await world.slack.interactions.choose("bob", menu, "model_menu", f"openai:{MODEL}")
    await world.slack.interactions.press("carol", menu, "start_chat")

    said = strings.ONLY_ASKER_CHOOSES.format(user="U0ALICE")
    await world.until(lambda: world.whispers("bob") == [said], "the word to Bob")
    await world.until(lambda: world.whispers("carol") == [said], "the word to Carol")
    assert world.whispers("alice") == []
    assert world.chats() == []
    assert world.models.requests() == []

    await world.choose(thread)
    assert len(await world.answered(thread)) == 1


async def test_a_menu_without_a_choice_leaves_no_chat(world: World) -> None:
    thread = await world.ask("Never mind.")
    await world.slack.conversations.say("bob", "general", "What is this?", thread)
    await world.slack.conversations.say("alice", "general", "I have changed my mind.", thread)
    await world.idle()

    assert (world.chats(), world.models.requests(), len(world.replies(thread))) == ([], [], 1)


async def test_the_menu_becomes_the_header_and_the_answer_has_its_own_message(
    world: World,
) -> None:
    world.entitle(None)
    world.say("Short and sweet.")
    thread = await world.ask("Say something.")
    menu = world.menus(thread)[0]
    await world.choose(thread)
    await world.answered(thread)
    await world.idle()

    header, answer = world.replies(thread)
    assert header.ts == menu.ts
    assert elements(header, "model_menu") == []
    assert header.text == "*New conversation*\nDemo: Quick · started by <@U0ALICE>"
    assert elements(header, "stop_answer") == []
    stops = [
        element["text"]["text"]
        for revision in header.revisions
        for block in revision.blocks
        for element in block.get("elements", ())
        if element.get("action_id") == "stop_answer"
    ]
    assert stops[0] == "Stop"
    assert answer.text == "Short and sweet."
    assert below(answer).startswith("Demo: Quick · ")
    assert " s · " in below(answer)
    assert below(answer).endswith(" tokens")
    assert elements(answer, "feedback")


async def test_the_answer_is_streamed_natively_in_chunks(world: World) -> None:
    """The stream starts with the first words and stops with the last; its recipient is the asker."""
    text = " ".join(f"word{n}" for n in range(60))
    world.say(text, rate=60)
    thread = await world.start("Count to sixty.")
    await world.answered(thread)

    (answer,) = world.answers(thread)
    calls = [call for call in world.slack.calls if call.method.endswith("Stream")]
    assert methods(calls)[0] == "chat.startStream"
    assert methods(calls)[-1] == "chat.stopStream"
    assert set(methods(calls)[1:-1]) == {"chat.appendStream"}
    assert all("markdown_text" not in call.args for call in calls)
    start = calls[0].args
    assert (start["recipient_user_id"], start["recipient_team_id"]) == (
        "U0ALICE",
        world.slack.workspace.team_id,
    )
    chunks = [chunk for call in calls for chunk in call.args.get("chunks", ())]
    assert "".join(chunk["text"] for chunk in chunks) == text == answer.text
    assert len(answer.states) >= 4


async def test_pressing_start_twice_starts_one_chat(world: World) -> None:
    world.say("Once.", rate=20)
    thread = await world.ask("Only once, please.")
    menu = world.menus(thread)[0]

    await asyncio.gather(
        *(world.slack.interactions.press("alice", menu, "start_chat") for _ in range(3))
    )

    assert await world.answered(thread) == ["Once."]
    await world.idle()
    assert (len(world.chats()), len(world.models.requests())) == (1, 1)


# -- in a thread of people -----------------------------------------------------------------------------------------


async def test_a_mention_in_a_thread_of_people_includes_the_thread(world: World) -> None:
    """Earlier messages are sent as context, with names; later ones are messages of the chat."""
    thread = await world.slack.conversations.say("bob", "general", "The boiler is broken again.")
    await world.slack.conversations.say("carol", "general", "It drips since Monday.", thread)
    mention = await world.ask("what should we do?", user="alice", thread=thread)
    await world.choose(thread)
    await world.answered(thread)

    assert mention != thread
    request = world.requests()[0]
    assert [role for role, _ in request] == ["system", "user"]
    prompt = request[1][1]
    assert prompt.index("bob: The boiler is broken again.") < prompt.index(
        "carol: It drips since Monday."
    )
    assert prompt.index("carol") < prompt.index("what should we do?")

    await world.slack.conversations.say("bob", "general", "And who pays?", thread)
    await world.answered(thread, 2)
    assert [role for role, _ in world.requests()[1]] == ["system", "user", "assistant", "user"]
    assert world.requests()[1][3][1] == "bob: And who pays?"


async def test_two_people_ask_in_one_thread_and_both_are_answered_in_one_chat(world: World) -> None:
    thread = await world.slack.conversations.say("dan", "general", "Discuss.")
    await world.ask("first question of the two", user="alice", thread=thread)
    await world.slack.conversations.say(
        "bob", "general", f"<@{world.slack.bot_user.id}> second question of the two", thread
    )
    await world.until(lambda: len(world.menus(thread)) == 2, "a menu for each")
    first, second = world.menus(thread)

    await world.slack.interactions.press("alice", first, "start_chat")
    await world.slack.interactions.press("bob", second, "start_chat")
    await world.answered(thread, 2)

    assert len(world.chats()) == 1
    assert [m["text"] for m in world.messages(thread) if m["role"] == "user"] == [
        "first question of the two",
        "second question of the two",
    ]


# -- where ---------------------------------------------------------------------------------------------------------


async def test_a_direct_message_starts_a_chat_in_its_thread(world: World) -> None:
    channel = world.slack.workspace.dm("alice")
    thread = await world.slack.conversations.say("alice", channel, "Between the two of us.")
    await world.until(lambda: world.menus(thread, channel), "the menu")

    await world.choose(thread, channel=channel)
    await world.answered(thread, channel=channel)
    await world.slack.conversations.say("alice", channel, "And one more thing.", thread)
    await world.answered(thread, 2, channel)

    assert [len(request) for request in world.requests()] == [2, 4]


@pytest.mark.parametrize("kind", ["group", "mpim"])
async def test_private_channels_and_group_messages_work_like_channels(
    world: World, kind: str
) -> None:
    bot = world.slack.bot_user.id
    if kind == "group":
        channel = "leads"
    else:
        people = [world.slack.workspace.user(name).id for name in ("alice", "bob")]
        channel = world.slack.workspace.open_dm([*people, bot]).id
    unasked = await world.slack.conversations.say("bob", channel, "Just between us people.")
    thread = await world.ask("And now with you.", channel=channel)
    await world.choose(thread, channel=channel)
    await world.answered(thread, channel=channel)
    await world.slack.conversations.say("bob", channel, "I reply without a mention.", thread)
    await world.answered(thread, 2, channel)

    assert world.replies(unasked, channel) == []
    assert len(world.answers(thread, channel)) == 2


# -- many providers ------------------------------------------------------------------------------------------------


async def test_the_menu_works_while_a_provider_is_down(worlds: WorldFactory) -> None:
    """The models of the other providers are offered, and answer."""
    async with worlds(
        venice_api_key=SecretStr("sk-of-nobody"), venice_base_url="http://127.0.0.1:9/v1"
    ) as world:
        thread = await world.ask("Is anybody there?")
        groups = (
            await world.slack.interactions.menu("alice", world.menus(thread)[0], "model_menu")
        )["option_groups"]
        assert "OpenAI-compatible" in [group["label"]["text"] for group in groups]

        await world.choose(thread)
        assert len(await world.answered(thread)) == 1


async def test_bolt_does_not_read_slack_variables_from_the_environment(
    worlds: WorldFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bolt would warn about one of them, and store installations in files because of the others."""
    for name in (
        "SLACK_BOT_TOKEN",
        "SLACK_CLIENT_ID",
        "SLACK_CLIENT_SECRET",
        "SLACK_SIGNING_SECRET",
    ):
        monkeypatch.setenv(name, "something-else")
    async with worlds() as world:
        await world.answered(await world.start("Hello"))
        assert [line for line in world.lines() if line["logger"].startswith("slack_bolt")] == []


async def test_a_menu_left_by_a_killed_process_becomes_the_header(
    worlds: WorldFactory,
) -> None:
    """It was killed between storing the chat and drawing its header, and no title update draws it later."""
    async with worlds(timing=patient_timing(header_min_age=0.0)) as world:
        world.entitle(None)
        world.say("The answer.")
        thread = await world.ask("Who turns my menu into a header?")
        world.slack.faults.add("chat.update", "status", status=503, times=-1)
        await world.choose(thread)
        await world.answered(thread)
        await world.stop_bot()
        assert (len(world.menus(thread)), world.headers(thread)) == (1, [])

        world.slack.faults.clear()
        await world.start_bot()
        await world.until(lambda: world.headers(thread), "the header")
        await world.idle()
        assert (len(world.menus(thread)), len(world.headers(thread))) == (0, 1)
        assert [row["state"] for row in world.rows("SELECT state FROM questions")] == ["shown"]
        drawn = len(world.slack.calls_of("chat.update"))
        await world.restart()
        await world.idle()
        assert len(world.slack.calls_of("chat.update")) == drawn

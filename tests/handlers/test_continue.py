"""A reply in a chat's thread is the next message: from anyone, once, and in order."""

from __future__ import annotations

import asyncio

from bot import strings
from bot.config import DEFAULT_SYSTEM_PROMPT
from bot.sandbox.models.scripts import ModelScript
from tests.handlers.conftest import WorldFactory
from tests.handlers.world import World, below

LONG = "The quick brown fox jumps over the lazy dog and then takes a nap in the shade of the old oak tree."


async def test_the_model_is_sent_the_system_prompt_and_the_whole_chat_in_order(
    world: World,
) -> None:
    world.say("One apple.", "Two pears.", "Three plums.")
    thread = await world.start("How many apples?")
    await world.answered(thread)
    await world.slack.conversations.say("alice", "general", "How many pears?", thread)
    await world.answered(thread, 2)
    await world.slack.conversations.say(
        "alice", "general", f"<@{world.slack.bot_user.id}> How many plums?", thread
    )
    await world.answered(thread, 3)

    assert world.requests()[-1] == [
        ("system", DEFAULT_SYSTEM_PROMPT),
        ("user", "How many apples?"),
        ("assistant", "One apple."),
        ("user", "How many pears?"),
        ("assistant", "Two pears."),
        ("user", "How many plums?"),
    ]
    assert [message.text for message in world.answers(thread)] == [
        "One apple.",
        "Two pears.",
        "Three plums.",
    ]


async def test_the_operators_system_prompt_is_sent_first(worlds: WorldFactory) -> None:
    async with worlds(bobbin_system_prompt="Speak like a pirate.") as world:
        thread = await world.start("Where is the ship?")
        await world.answered(thread)
        assert world.requests()[0][0] == ("system", "Speak like a pirate.")


async def test_with_several_people_each_message_names_its_author(world: World) -> None:
    """The answer is live for all of them, by edits, since Slack shows a native stream to one person only."""
    world.say("Hello.", LONG)
    thread = await world.start("I prefer tea.")
    await world.answered(thread)
    await world.slack.conversations.say("bob", "general", "I prefer coffee.", thread)
    await world.answered(thread, 2)

    said = [text for role, text in world.requests()[1] if role == "user"]
    assert said == ["alice: I prefer tea.", "bob: I prefer coffee."]
    first, second = world.answers(thread)
    assert (first.stream is not None, second.stream is not None) == (True, False)


async def test_messages_that_are_not_for_bobbin_are_ignored(world: World) -> None:
    """Other bots, edits, deletions, joins, other threads, and replies that begin by mentioning another user."""
    thread = await world.start("Are you listening?")
    await world.answered(thread)
    bot = world.slack.bot_user.id

    await world.slack.conversations.say(
        "weatherbot", "general", "It will rain tomorrow, says the bot.", thread
    )
    await world.slack.conversations.say(
        "weatherbot", "general", f"<@{bot}> and the bot insists on rain."
    )
    await world.slack.conversations.say(
        "bob", "general", "<@U0CAROL> shall we have lunch today?", thread
    )
    await world.slack.conversations.say("bob", "general", "Nobody mentioned anybody here.")
    other = await world.slack.conversations.say("bob", "general", "A thread among people.")
    await world.slack.conversations.say("carol", "general", "Quite so, among people.", other)
    own = await world.slack.conversations.say("bob", "random", "A message that will change.")
    await world.slack.conversations.edit("bob", "random", own, f"<@{bot}> now it mentions the bot.")
    await world.slack.conversations.edit(
        "alice", "general", thread, f"<@{bot}> Are you still listening?"
    )
    await world.slack.conversations.delete("bob", "random", own)
    world.slack.workspace.add_channel("newroom", ["U0ALICE", bot])
    await world.slack.conversations.join("bob", "newroom")
    await world.idle()

    assert len(world.models.requests()) == 1
    assert [m["text"] for m in world.messages(thread) if m["role"] == "user"] == [
        "Are you listening?"
    ]
    assert len(world.rows("SELECT * FROM questions")) == 1


async def test_a_reply_to_another_user_that_mentions_bobbin_too_is_answered(world: World) -> None:
    thread = await world.start("Lunch?")
    await world.answered(thread)
    await world.slack.conversations.say(
        "bob", "general", f"<@U0CAROL> and <@{world.slack.bot_user.id}>, what about soup?", thread
    )
    await world.answered(thread, 2)
    assert "what about soup?" in world.requests()[1][-1][1]


async def test_a_message_delivered_four_times_is_answered_once(world: World) -> None:
    world.slack.faults.copies = 4
    world.say("First answer.", "Second answer.", "Third answer.")
    thread = await world.start("First question?")
    await world.answered(thread)
    await world.slack.conversations.say(
        "alice", "general", f"<@{world.slack.bot_user.id}> Second question?", thread
    )
    await world.slack.conversations.say("alice", "general", "Third question?", thread)
    await world.answered(thread, 3)
    await world.idle()

    assert [message.text for message in world.answers(thread)] == [
        "First answer.",
        "Second answer.",
        "Third answer.",
    ]
    assert (len(world.headers(thread)), len(world.menus(thread)), len(world.models.requests())) == (
        1,
        0,
        3,
    )
    assert len(world.messages(thread)) == 6
    assert not any(m.reactions for m in world.slack.workspace.thread("general", thread))


async def test_a_mention_without_text_delivered_four_times_has_one_menu_and_one_question(
    world: World,
) -> None:
    world.slack.faults.copies = 4
    thread = await world.ask("")
    await world.choose(thread)
    await world.slack.conversations.say("alice", "general", "What is the time in Lima?", thread)
    await world.answered(thread)
    await world.idle()

    assert (len(world.headers(thread)), len(world.menus(thread)), len(world.models.requests())) == (
        1,
        0,
        1,
    )
    assert len(world.messages(thread)) == 2


# -- one at a time -------------------------------------------------------------------------------------------------


def is_marked_waiting(world: World, ts: str) -> bool:
    return "hourglass_flowing_sand" in world.slack.workspace.message("general", ts).reactions


async def test_messages_during_an_answer_are_marked_and_answered_in_order(world: World) -> None:
    world.say(LONG, rate=25)
    world.say("Second answer.", "Third answer.", "Fourth answer.")
    thread = await world.start("Take your time.")
    await world.until(lambda: world.answers(thread), "the first words")
    late = [
        await world.slack.conversations.say(who, "general", f"From {who}, meanwhile.", thread)
        for who in ("bob", "carol", "bob")
    ]
    await world.until(lambda: all(is_marked_waiting(world, ts) for ts in late), "the marks")
    assert len(world.models.requests()) == 1

    await world.answered(thread, 4)
    await world.idle()

    assert [m.text if m.stream else m.blocks[0]["text"] for m in world.answers(thread)] == [
        LONG,
        "Second answer.",
        "Third answer.",
        "Fourth answer.",
    ]
    assert not any(is_marked_waiting(world, ts) for ts in late)
    asked = [request[-1][1] for request in world.requests()]
    assert asked == ["Take your time.", "bob: From bob, meanwhile.", "carol: From carol, meanwhile.",
                     "bob: From bob, meanwhile."]  # fmt: skip
    assert [len(request) for request in world.requests()] == [2, 4, 6, 8]


async def test_the_queue_survives_a_restart(world: World) -> None:
    """The interrupted answer is finished in its message, then the others follow without their reactions."""
    world.reply_to(
        {
            "Take your time.": LONG,
            "Two, meanwhile.": "Second answer.",
            "Three, meanwhile.": "Third.",
        },
        5,
    )
    thread = await world.start("Take your time.")
    await world.until(lambda: world.answers(thread), "the first words")
    late = [
        await world.slack.conversations.say("alice", "general", f"{n}, meanwhile.", thread)
        for n in ("Two", "Three")
    ]
    await world.until(lambda: all(is_marked_waiting(world, ts) for ts in late), "the marks")

    await world.restart(bobbin_grace=0.0)
    shown = await world.answered(thread, 3)
    await world.idle()

    assert shown == [LONG, "Second answer.", "Third."]
    assert not any(is_marked_waiting(world, ts) for ts in late)
    assert [m["status"] for m in world.messages(thread) if m["role"] == "assistant"] == ["done"] * 3


async def test_the_thinking_status_shows_at_once(world: World) -> None:
    world.models.queue("demo/quick", ModelScript(["At", " last."], times=(0.6, 0.6)))
    thread = await world.start("Think it over.")
    await world.until(
        lambda: world.slack.agent_sessions.status("general", thread) == strings.THINKING,
        "is thinking…",
    )
    assert await world.answered(thread) == ["At last."]
    await world.until(
        lambda: world.slack.agent_sessions.status("general", thread) == "", "the status goes out"
    )


# -- restarts ------------------------------------------------------------------------------------------------------


async def test_a_menu_works_after_a_restart(world: World) -> None:
    thread = await world.ask("Will you remember me?")
    await world.restart()
    await world.choose(thread)
    assert len(await world.answered(thread)) == 1
    assert (len(world.headers(thread)), len(world.menus(thread))) == (1, 0)


async def test_a_chat_continues_after_a_restart(world: World) -> None:
    world.say("Before.", "After.")
    thread = await world.start("First one.")
    await world.answered(thread)
    await world.restart()
    await world.slack.conversations.say("alice", "general", "Second one.", thread)
    await world.answered(thread, 2)
    assert [text for role, text in world.requests()[-1] if role != "system"] == [
        "First one.",
        "Before.",
        "Second one.",
    ]


async def test_messages_sent_while_the_bot_is_down_are_answered_at_its_start(
    world: World,
) -> None:
    world.allow_redelivery()
    thread = await world.start("Do not go away.")
    await world.answered(thread)
    await world.stop_bot()
    mention = await world.slack.conversations.say(
        "bob", "general", f"<@{world.slack.bot_user.id}> anybody at home?"
    )
    await world.slack.conversations.say("alice", "general", "Where are you?", thread)

    await world.start_bot()
    await world.answered(thread, 2)
    await world.until(lambda: world.menus(mention), "the menu")
    await world.idle()
    assert len(world.menus(mention)) == 1


async def test_an_answer_interrupted_by_a_restart_is_finished_in_the_same_message(
    world: World,
) -> None:
    """Nothing is repeated, and nothing is missing."""
    world.reply_to({"Say it all.": LONG}, rate=8)
    thread = await world.start("Say it all.")
    begun = await world.until(lambda: world.answers(thread), "the first words")

    await world.restart(bobbin_grace=0.0)

    assert await world.answered(thread) == [LONG]
    await world.idle()
    (answer,) = world.answers(thread)
    assert answer.ts == begun[0].ts
    assert "Demo: Quick · " in below(answer)
    assert len(world.messages(thread)) == 2


async def test_running_answers_are_finished_within_the_grace_period(world: World) -> None:
    world.say(LONG, rate=30)
    thread = await world.start("Quickly, before you go.")
    await world.until(lambda: world.answers(thread), "the first words")
    await world.stop_bot()
    assert [m["status"] for m in world.messages(thread)] == ["done", "done"]
    assert [m.text for m in world.answers(thread)] == [LONG]


# -- when the database fails ---------------------------------------------------------------------------------------


async def test_a_message_that_could_not_be_stored_is_stored_when_slack_redelivers_it(
    worlds: WorldFactory,
) -> None:
    """An event is acknowledged only once it is stored, so the second delivery is not a duplicate."""
    async with worlds(deadline_scale=1.0) as world:
        world.allow_redelivery()
        thread = await world.start("First one.")
        await world.answered(thread)
        await world.idle()

        await world.execute("ALTER TABLE messages RENAME TO messages_away")
        failed = await world.slack.conversations.say(
            "alice", "general", "Second one, in hard times.", thread
        )
        mention = await world.slack.conversations.say(
            "bob", "general", f"<@{world.slack.bot_user.id}> me too, in hard times."
        )
        await world.until(
            lambda: any(line["event"] == "not_stored" for line in world.lines()), "it is noticed"
        )
        await world.execute("ALTER TABLE messages_away RENAME TO messages")

        await world.answered(thread, 2)
        await world.until(lambda: world.menus(mention), "the menu")
        await world.idle()
        assert [m["source"] for m in world.messages(thread) if m["role"] == "user"] == [
            thread,
            failed,
        ]
        assert len(world.menus(mention)) == 1


async def test_a_reaction_added_during_a_database_failure_is_removed(world: World) -> None:
    world.say(LONG, rate=25)
    world.say("Second answer.")
    thread = await world.start("Take your time.")
    await world.until(lambda: world.answers(thread), "the first words")
    slow = world.slack.faults.add("reactions.add", "slow", seconds=0.4)
    late = await world.slack.conversations.say("bob", "general", "Meanwhile.", thread)
    await world.until(lambda: slow.hits, "the mark is on its way")
    await world.execute("ALTER TABLE answers RENAME TO answers_away")
    await world.until(lambda: is_marked_waiting(world, late), "the mark")
    await asyncio.sleep(0.2)  # it is looked whether it is still right
    await world.execute("ALTER TABLE answers_away RENAME TO answers")

    await world.answered(thread, 2)
    await world.idle()
    assert not is_marked_waiting(world, late)


# -- the limit -----------------------------------------------------------------------------------------------------


async def test_the_last_exchange_fits_and_the_next_is_refused_privately(
    worlds: WorldFactory,
) -> None:
    """Nothing is stored, no model is called, and a button offers a new chat."""
    async with worlds(bobbin_max_messages=4) as world:
        world.slack.variants.mention_order = "message_first"
        thread = await world.start("One and two.")
        await world.answered(thread)
        await world.slack.conversations.say("alice", "general", "Three and four.", thread)
        await world.answered(thread, 2)
        await world.slack.conversations.say(
            "bob", "general", f"<@{world.slack.bot_user.id}> Five is too many.", thread
        )
        await world.until(lambda: world.whispers("bob"), "the private words")
        await world.idle()

        (whisper,) = world.slack.workspace.ephemerals("bob", "general")
        assert whisper.text.startswith(strings.LIMIT_REACHED)
        assert whisper.thread_ts == thread
        assert [
            b["elements"][0]["text"]["text"] for b in whisper.blocks if b["type"] == "actions"
        ] == ["New chat"]
        assert world.whispers("alice") == []
        assert (len(world.messages(thread)), len(world.models.requests())) == (4, 2)


async def test_a_message_fits_at_98_messages_and_is_refused_at_99(world: World) -> None:
    thread = await world.start("The first of many.")
    await world.answered(thread)
    await world.idle()
    await world.execute("UPDATE chats SET message_count = 99")
    await world.execute("UPDATE messages SET number = number + 97")
    await world.execute("UPDATE answers SET number = number + 97")
    await world.slack.conversations.say("alice", "general", "The hundredth and one more.", thread)
    await world.until(lambda: world.whispers("alice"), "the private words")
    assert len(world.models.requests()) == 1

    await world.execute("UPDATE chats SET message_count = 98")
    await world.execute("UPDATE messages SET number = number - 1")
    await world.execute("UPDATE answers SET number = number - 1")
    await world.slack.conversations.say("alice", "general", "The last one that fits.", thread)
    await world.answered(thread, 2)
    assert world.chats()[0]["message_count"] == 100
    assert "0 messages left" in below(world.answers(thread)[-1])


async def test_the_limit_holds_for_concurrent_messages(worlds: WorldFactory) -> None:
    async with worlds(bobbin_max_messages=6) as world:
        thread = await world.start("The first of them.")
        await world.answered(thread)
        await asyncio.gather(
            *(
                world.slack.conversations.say(who, "general", "Me as well!", thread)
                for who in ("bob", "carol", "dan")
            )
        )
        await world.answered(thread, 3)
        await world.idle()
        assert (
            world.chats()[0]["message_count"],
            len(world.messages(thread)),
            len(world.models.requests()),
        ) == (6, 6, 3)
        assert sum(len(world.whispers(who)) for who in ("bob", "carol", "dan")) == 1


# -- titles --------------------------------------------------------------------------------------------------------


async def test_the_model_gives_the_chat_a_title_after_the_first_exchange(world: World) -> None:
    world.entitle('"Pears and Apples Compared."')
    thread = await world.start("Compare pears and apples.")
    await world.until(
        lambda: world.header(thread).text.startswith("*Pears and Apples Compared*"), "the title"
    )
    await world.slack.conversations.say("alice", "general", "And plums, please.", thread)
    await world.answered(thread, 2)
    await world.idle()
    assert world.chats()[0]["title"] == "Pears and Apples Compared"
    titles = [a for a in world.models.journal if a not in world.models.requests()]
    assert len(titles) == 1


async def test_a_failed_title_changes_nothing_else(world: World) -> None:
    world.entitle(None)
    world.say("Fine.")
    thread = await world.start("How are you today?")
    assert await world.answered(thread) == ["Fine."]
    await world.idle()
    assert world.header(thread).text.startswith("*New conversation*")


async def test_a_title_that_a_person_gives_in_slack_is_kept(world: World) -> None:
    world.say(LONG, rate=40)
    thread = await world.start("Give me time to name you.")
    await world.until(lambda: world.answers(thread), "the first words")
    await world.slack.agent_sessions.rename("alice", "general", thread, "My very own title")
    await world.until(
        lambda: world.header(thread).text.startswith("*My very own title*"), "the title"
    )
    await world.answered(thread)
    await world.idle()
    assert (world.chats()[0]["title"], world.chats()[0]["title_by"]) == (
        "My very own title",
        "person",
    )
    assert world.header(thread).text.startswith("*My very own title*")


async def test_a_title_cannot_ping_anybody(world: World) -> None:
    world.entitle("Hello <!channel> and <@U0BOB> there")
    thread = await world.start("Name this dangerously.")
    await world.until(
        lambda: world.chats() and world.chats()[0]["title"] != strings.DEFAULT_TITLE, "the title"
    )
    await world.idle()
    header = world.header(thread).text
    assert "<!channel>" not in header
    assert "<@U0BOB>" not in header


# -- lists ---------------------------------------------------------------------------------------------------------


async def test_the_command_lists_the_callers_own_chats_privately_newest_first(world: World) -> None:
    older = await world.start("About the harbour lights.")
    newer = await world.start("About the mountain huts.")
    foreign = await world.start("About secret gardens.", user="bob")
    for thread in (older, newer, foreign):
        await world.answered(thread)
    await world.slack.conversations.say("alice", "general", "More about the harbour.", older)
    await world.answered(older, 2)
    await world.idle()

    (listed,) = await world.slack.interactions.command("alice", "general", "/chats")
    links = [block["text"]["text"] for block in listed.blocks if block["type"] == "section"]
    assert [thread in text for thread, text in zip((older, newer), links, strict=True)] == [
        True,
        True,
    ]
    assert "4 messages" in links[0]
    assert "Demo: Quick" in links[0]
    assert [row for row in world.whispers("bob") if "chats" in row] == []

    (none,) = await world.slack.interactions.command("dan", "general", "/chats")
    assert none.text == strings.CHATS_NONE


async def test_a_participants_list_includes_the_chat(world: World) -> None:
    thread = await world.start("Open to all of you.")
    await world.answered(thread)
    await world.slack.conversations.say("carol", "general", "I take part.", thread)
    await world.answered(thread, 2)
    (listed,) = await world.slack.interactions.command("carol", "general", "/chats")
    assert thread in listed.text

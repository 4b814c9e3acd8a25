"""A reply in a chat's thread is the next message: from anyone, once, and in order."""

from __future__ import annotations

from bot import strings
from bot.config.chats import DEFAULT_SYSTEM_PROMPT
from bot.domain import DEFAULT_TITLE
from bot.sandbox.models.scripts import ModelScript
from tests.handlers.conftest import WorldFactory
from tests.handlers.world import World

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
    await world.slack.conversations.edit("bob", "random", own, "A message that has changed.")
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
        lambda: world.chats() and world.chats()[0]["title"] != DEFAULT_TITLE, "the title"
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

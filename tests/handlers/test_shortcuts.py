"""The shortcuts: a new chat from anywhere, and a question about a message, in its thread."""

from __future__ import annotations

from typing import Any

from bot import sentences, strings
from bot.sandbox.state.records import Message, View
from handlers.views.modals import quoted_message
from tests.handlers.conftest import WorldFactory
from tests.handlers.shared_files import (
    MOVIE,
    NOTES,
    VISION_MODEL,
    image_file,
    say_with_files,
    sent_images,
    sent_text,
)
from tests.handlers.test_dialogs import (
    field,
    field_values,
    posted_questions,
    wait_for_dialog,
    wait_for_question,
)
from tests.handlers.world import MODEL, World


async def open_on_message(world: World, message: Message, user: str = "alice") -> View:
    """Use "Ask Bobbin about this" on a message; returns the dialog."""
    await world.slack.interactions.shortcut(user, "ask_bobbin", message)
    return await wait_for_dialog(world, user)


def text_of(view: View) -> str:
    return str(field(view, "bobbin.text").get("initial_value", ""))


def quote_of(view: View) -> str:
    return quoted_message(view.blocks)


def notes_of(view: View) -> list[str]:
    return [
        e["text"] for block in view.blocks if block["type"] == "context" for e in block["elements"]
    ]


def text_only(text: str) -> dict[str, Any]:
    """The fields of a dialog for a chat that has a model already."""
    return {"bobbin.text": field_values(text)["bobbin.text"]}


async def test_the_global_shortcut_starts_a_chat_in_the_direct_messages(world: World) -> None:
    await world.slack.interactions.shortcut("alice", "new_chat")
    view = await wait_for_dialog(world)
    assert text_of(view) == ""
    assert field(view, "bobbin.model")["initial_option"]["value"] == f"openai:{MODEL}"

    await world.slack.views.submit("alice", field_values("From anywhere."))

    channel = world.slack.workspace.dm("alice")
    root = await wait_for_question(world, channel)
    await world.answered(root.ts, channel=channel)
    assert world.slack.workspace.ephemerals("alice") == []


async def test_a_question_about_a_message_is_asked_in_its_thread_and_quotes_it(
    world: World,
) -> None:
    ts = await world.slack.conversations.say(
        "bob", "general", "The deploy failed at 3 o'clock.\nAgain."
    )
    view = await open_on_message(world, world.slack.workspace.message("general", ts))
    assert quote_of(view) == "The deploy failed at 3 o'clock.\nAgain."
    assert text_of(view) == ""
    assert field(view, "bobbin.text")["focus_on_load"]

    await world.slack.views.submit("alice", field_values("Why might that be?"))
    await world.answered(ts)

    (question,) = posted_questions(world)
    assert question.thread_ts == ts
    chat = world.chats()[0]
    assert (chat["owner"], chat["thread"]) == ("U0ALICE", ts)
    role, sent = world.requests()[0][-1]
    assert role == "user"
    assert "bob: The deploy failed at 3 o'clock.\n  Again." in sent
    assert sent.endswith("> The deploy failed at 3 o'clock.\n> Again.\n\nWhy might that be?")

    await world.slack.conversations.say("bob", "general", "And now?", ts)
    await world.answered(ts, 2)


async def test_mentions_in_the_quote_are_replaced_by_names(world: World) -> None:
    ts = await world.slack.conversations.say(
        "bob", "general", "@carol said so, and <@U0ALICE> too."
    )

    view = await open_on_message(world, world.slack.workspace.message("general", ts))

    assert quote_of(view) == "@carol said so, and @alice too."


async def test_a_message_without_text_leaves_the_field_empty(world: World) -> None:
    ts = await world.slack.conversations.say("bob", "general", " ")
    view = await open_on_message(world, world.slack.workspace.message("general", ts))
    assert (view.definition["title"]["text"], text_of(view)) == (strings.DIALOG_TITLE_ABOUT, "")


async def test_a_question_about_a_reply_includes_the_whole_thread(
    world: World,
) -> None:
    root = await world.slack.conversations.say("bob", "general", "Shall we move on Thursday?")
    reply = await world.slack.conversations.say(
        "carol", "general", "Friday is better for me.", root
    )
    await open_on_message(world, world.slack.workspace.message("general", reply))
    await world.slack.views.submit("alice", field_values("What do they want?"))
    await world.answered(root)

    assert world.chats()[0]["thread"] == root
    sent = world.requests()[0][-1][1]
    assert sent.index("Shall we move on Thursday?") < sent.index("Friday is better for me.")


async def test_a_question_in_a_chats_thread_is_the_chats_next_message(
    world: World,
) -> None:
    thread = await world.start("What is a loom?", user="bob", model="demo/storyteller")
    await world.answered(thread)
    view = await open_on_message(world, world.answers(thread)[0])

    assert [block["block_id"] for block in view.blocks if block["type"] == "input"] == [
        "bobbin.text"
    ]
    await world.slack.views.submit("alice", text_only("And who invented it?"))
    await world.answered(thread, 2)
    await world.idle()

    assert len(world.chats()) == len(world.headers(thread)) == 1
    assert [m["author"] for m in world.messages(thread) if m["role"] == "user"] == [
        "U0BOB",
        "U0ALICE",
    ]
    assert {a.model for a in world.models.requests()} == {"demo/storyteller"}


async def test_the_dialog_reports_that_the_chat_is_full(worlds: WorldFactory) -> None:
    async with worlds(bobbin_max_messages=2) as world:
        thread = await world.start("The first and last.")
        await world.answered(thread)
        await open_on_message(world, world.answers(thread)[0])

        assert await world.slack.views.submit("alice", text_only("More?")) == {
            "bobbin.text": strings.CHAT_FULL.format(count=2)
        }
        assert posted_questions(world) == []


async def test_a_chat_that_starts_while_the_dialog_is_open_gets_the_question(world: World) -> None:
    root = await world.slack.conversations.say("bob", "general", "Something to talk about.")
    await open_on_message(world, world.slack.workspace.message("general", root))
    await world.ask("I was first.", user="bob", thread=root)
    await world.choose(root, "bob", "demo/storyteller")
    await world.answered(root)

    assert await world.slack.views.submit("alice", field_values("I was second.")) == {}
    await world.answered(root, 2)

    assert len(world.chats()) == 1
    assert {a.model for a in world.models.requests()} == {"demo/storyteller"}


async def test_a_message_sent_while_the_question_is_being_posted_is_answered_too(
    world: World,
) -> None:
    root = await world.slack.conversations.say("bob", "general", "Something to talk about.")
    await open_on_message(world, world.slack.workspace.message("general", root))
    posting = world.slack.faults.add("chat.postMessage", "slow", seconds=0.7)
    await world.slack.views.submit("alice", field_values("From the dialog."))
    await world.until(lambda: posting.hits, "the question is on its way")
    await world.slack.conversations.say(
        "alice", "general", f"<@{world.slack.bot_user.id}> From the thread.", root
    )
    await world.answered(root, 2)
    await world.until(lambda: world.headers(root), "the header")
    await world.idle()

    assert len(world.chats()) == len(world.headers(root)) == 1
    said = [m["text"] for m in world.messages(root) if m["role"] == "user"]
    assert sorted(said) == ["> Something to talk about.\n\nFrom the dialog.", "From the thread."]


async def test_in_a_channel_without_the_bot_the_quote_is_asked_in_the_direct_messages(
    world: World,
) -> None:
    world.forgive("not_in_channel")
    ts = await world.slack.conversations.say("bob", "watercooler", "The coffee machine is broken.")
    await open_on_message(world, world.slack.workspace.message("watercooler", ts))

    await world.slack.views.submit("alice", field_values("What now?"))

    channel = world.slack.workspace.dm("alice")
    root = await wait_for_question(world, channel)
    await world.answered(root.ts, channel=channel)
    assert world.requests()[0][-1] == ("user", "> The coffee machine is broken.\n\nWhat now?")
    assert [m.user for m in world.slack.workspace.thread("watercooler", ts)] == ["U0BOB"]


async def test_the_files_of_the_message_are_included(world: World) -> None:
    ts = await say_with_files(world, "Who is that?", image_file("cat.png"), NOTES, user="bob")
    view = await open_on_message(world, world.slack.workspace.message("general", ts))
    assert strings.DIALOG_FILES.format(names="cat.png and notes.txt") in notes_of(view)

    eye = {"text": {"type": "plain_text", "text": "Demo: Eye"}, "value": f"openai:{VISION_MODEL}"}
    await world.slack.views.submit("alice", field_values("Who is it?", eye))
    await world.answered(ts)

    (question,) = posted_questions(world)
    assert strings.ASKED_WITH.format(names="cat.png and notes.txt") in question.text
    assert sent_images(world) == [("PNG", (60, 40))]
    assert sent_text(world).endswith(
        "Who is it?\n\nAttached: notes.txt\n```txt\nGrüße\nline two\n```"
    )


async def test_files_are_included_in_an_existing_chat_and_reported_where_slack_withholds_them(
    world: World,
) -> None:
    thread = await world.start("The first question.", model=VISION_MODEL)
    await world.answered(thread)
    ts = await say_with_files(
        world,
        f"<@{world.slack.workspace.user('carol').id}> look",
        image_file(),
        thread=thread,
        user="bob",
    )
    await open_on_message(world, world.slack.workspace.message("general", ts))
    await world.slack.views.submit("alice", text_only("What is on it?"))
    await world.answered(thread, 2)
    assert sent_images(world) == [("PNG", (60, 40))]

    world.forgive("not_in_channel", "file_not_found")
    ts = await world.slack.conversations.say("bob", "watercooler", "And this?", files=[NOTES])
    await open_on_message(world, world.slack.workspace.message("watercooler", ts))
    await world.slack.views.submit("alice", field_values("What is it?"))
    channel = world.slack.workspace.dm("alice")
    root = await wait_for_question(world, channel)
    await world.answered(root.ts, channel=channel)
    unseen = sentences.file_problem(
        "gone", "notes.txt"
    )  # Slack provides no files of channels that the bot is not in
    await world.until(
        lambda: world.whispers("alice", channel) == [unseen], "the word about the file"
    )


async def test_an_unusable_file_of_the_message_is_reported_and_the_question_answered(
    world: World,
) -> None:
    ts = await say_with_files(world, "The report.", MOVIE, user="bob")
    await open_on_message(world, world.slack.workspace.message("general", ts))
    await world.slack.views.submit("alice", field_values("What does it say?"))
    await world.answered(ts)
    await world.until(
        lambda: world.whispers("alice") == [sentences.file_problem("kind", "clip.mp4")], "the word"
    )


async def test_a_long_message_is_quoted_in_part(
    world: World,
) -> None:
    ts = await world.slack.conversations.say("bob", "general", "A very long story. " * 500)

    view = await open_on_message(world, world.slack.workspace.message("general", ts))

    assert len(quote_of(view)) < 2100
    assert quote_of(view).endswith("…")


async def test_the_question_is_asked_even_if_the_message_has_been_deleted(world: World) -> None:
    world.forgive(
        "thread_not_found", "message_not_found", "invalid_thread_ts", "cannot_reply_to_message"
    )
    ts = await world.slack.conversations.say("bob", "general", "Soon I shall be gone.")
    await open_on_message(world, world.slack.workspace.message("general", ts))
    await world.slack.conversations.delete("bob", "general", ts)

    await world.slack.views.submit("alice", field_values("Where has it gone?"))

    await world.until(
        lambda: len(world.rows("SELECT 1 FROM answers WHERE state = 'ended'")) == 1, "an answer"
    )

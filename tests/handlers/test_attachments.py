"""Images, texts and everything else that people share, from the message to what the model is sent."""

from __future__ import annotations

from typing import Any

import pytest

from bot import sentences, strings
from bot.chats.attachments.rules import ATTACHED_TEXT_CUT, MAX_TEXT_BYTES
from bot.chats.prompt_turns import ATTACHED_EARLIER, ATTACHED_UNREADABLE, ATTACHED_UNSEEN
from bot.sandbox.user_actions.conversations import Upload
from tests.handlers.conftest import WorldFactory
from tests.handlers.shared_files import (
    MOVIE,
    NOTES,
    TEXT_MODEL,
    VISION_MODEL,
    ask_with_files,
    image_file,
    say_with_files,
    sent_images,
    sent_text,
)
from tests.handlers.world import World
from tests.slow import slow_after


@pytest.mark.parametrize("form", slow_after(2, ["PNG", "WEBP", "JPEG", "GIF"]))
async def test_images_of_all_four_formats_reach_a_vision_model(world: World, form: str) -> None:
    thread = await ask_with_files(world, "What is this?", image_file(f"cat.{form.lower()}", form))

    (answer,) = await world.answered(thread)
    assert f"a {form} picture, 60 × 40 pixels" in answer
    assert (sent_images(world), sent_text(world)) == ([(form, (60, 40))], "What is this?")
    assert world.whispers("alice") == []


async def test_an_image_without_text_is_a_question(world: World) -> None:
    thread = await ask_with_files(world, "", image_file())

    assert "a PNG picture" in (await world.answered(thread))[0]
    assert world.messages(thread)[0]["text"] == ""


async def test_images_are_sent_again_with_later_messages(world: World) -> None:
    """The second prompt includes the first image, which is not fetched again."""
    thread = await ask_with_files(world, "Look.", image_file("a.png", size=(30, 30)))
    await world.answered(thread)
    await say_with_files(world, "And this?", image_file("b.jpg", "JPEG", (20, 20)), thread=thread)
    await world.answered(thread, 2)

    assert sent_images(world) == [("PNG", (30, 30)), ("JPEG", (20, 20))]
    assert world.rows("SELECT count(*) AS n FROM messages WHERE files IS NOT NULL") == [{"n": 0}]


async def test_older_images_are_replaced_by_a_note(world: World) -> None:
    """Those of whole messages, until half of what may be sent is free: the prompt begins the same for many turns."""
    thread = await ask_with_files(world, "The first.", *[image_file(f"{n}.png") for n in range(8)])
    await world.answered(thread)
    for turn in (2, 3):
        await say_with_files(
            world,
            "More.",
            *[image_file(f"{turn}-{n}.png", size=(10, 10)) for n in range(8)],
            thread=thread,
        )
        await world.answered(thread, turn)

    assert len(sent_images(world)) == 8
    said = [m["content"] for m in world.models.requests()[-1].messages if m["role"] == "user"]
    assert ATTACHED_EARLIER.format(name="7.png") in said[0]
    assert ATTACHED_EARLIER.format(name="2-7.png") in said[1]
    assert len([part for part in said[2] if part["type"] == "image_url"]) == 8


@pytest.mark.parametrize("skew", ["", "a"])
async def test_a_text_is_read_though_its_limit_falls_within_a_character(
    world: World, skew: str
) -> None:
    data = (skew + "é" * MAX_TEXT_BYTES).encode()
    thread = await ask_with_files(world, "Read.", Upload("long.txt", data, "text/plain"))
    await world.answered(thread)

    assert f"{skew}{'é' * 1_000}" in sent_text(world)


async def test_texts_become_part_of_the_message(world: World) -> None:
    code = Upload("run.py", b"print('```')\n", "text/x-python")
    thread = await ask_with_files(world, "What do they say?", NOTES, code, model=TEXT_MODEL)

    await world.answered(thread)
    whole = "What do they say?\n\nAttached: notes.txt\n```txt\nGrüße\nline two\n```"
    whole += "\n\nAttached: run.py\n````py\nprint('```')\n\n````"
    assert sent_text(world) == whole
    assert world.messages(thread)[0]["text"] == whole


async def test_a_text_that_is_too_long_is_cut_and_its_author_notified(world: World) -> None:
    long = Upload("log.txt", b"0123456789" * 30_000, "text/plain")
    thread = await ask_with_files(world, "Sum it up.", long, NOTES, model=TEXT_MODEL)

    await world.answered(thread)
    sent = sent_text(world)
    assert sent.count("0123456789") == 20_000
    assert ATTACHED_TEXT_CUT.format(count=200_000) in sent
    notice = strings.FILES_CUT.format(names="log.txt and notes.txt", count=200_000)
    await world.until(lambda: world.whispers("alice") == [notice], "the notice")


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-16", "Żółw"),
        ("cp1252", "Grüße aus Köln"),
        ("shift_jis", "こんにちは世界。テストです。"),
        ("utf-8-sig", "é"),
    ],
)
async def test_texts_are_decoded_by_their_own_encoding(
    world: World, encoding: str, text: str
) -> None:
    thread = await ask_with_files(
        world, "Read.", Upload("a.csv", text.encode(encoding), "text/csv"), model=TEXT_MODEL
    )

    await world.answered(thread)
    assert text in sent_text(world)


async def test_an_unreadable_file_is_reported_privately_and_the_rest_answered(world: World) -> None:
    thread = await ask_with_files(world, "What is in these?", MOVIE, NOTES, model=TEXT_MODEL)

    (answer,) = await world.answered(thread)
    assert "What is in these?" in answer
    assert "Grüße" in sent_text(world)
    assert ATTACHED_UNREADABLE.format(name="clip.mp4") in sent_text(world)
    assert world.whispers("alice") == [sentences.file_problem("kind", "clip.mp4")]
    assert world.whispers("bob") == []


async def test_a_message_of_unreadable_files_starts_nothing(world: World) -> None:
    """It gets no menu, and is not stored in a chat."""
    await say_with_files(world, f"<@{world.slack.bot_user.id}>", MOVIE)
    await world.until(lambda: world.whispers("alice"), "the notice")
    await world.idle()
    assert (world.whispers("alice"), world.chats()) == (
        [sentences.file_problem("kind", "clip.mp4")],
        [],
    )
    assert world.slack.count("chat.postMessage") == 0

    thread = await world.start("Hello.")
    await world.answered(thread)
    await say_with_files(world, "", MOVIE, thread=thread)
    await world.until(lambda: len(world.whispers("alice")) == 2, "the second word")
    await world.idle()
    assert len(world.messages(thread)) == 2


async def test_files_that_are_not_for_bobbin_are_ignored(world: World) -> None:
    ts = await say_with_files(world, "See attached.", MOVIE, image_file())
    await say_with_files(world, "", MOVIE, thread=ts)
    await world.idle()

    assert (
        world.replies(ts),
        world.whispers("alice"),
        world.slack.count("chat.postEphemeral"),
    ) == ([], [], 0)


async def test_a_message_may_carry_ten_files(world: World) -> None:
    files = [Upload(f"{n}.txt", f"text {n}".encode(), "text/plain") for n in range(1, 13)]
    thread = await ask_with_files(world, "All?", *files, model=TEXT_MODEL)

    await world.answered(thread)
    assert "text 10" in sent_text(world)
    assert "text 11" not in sent_text(world)
    assert world.whispers("alice") == [sentences.file_problem("too_many", "11.txt and 12.txt")]


# -- models that cannot see --------------------------------------------------------------------------------------------


async def test_a_text_model_answers_the_text_and_the_user_learns_which_models_can_see(
    world: World,
) -> None:
    thread = await ask_with_files(world, "What is this?", image_file("cat.png"), model=TEXT_MODEL)

    (answer,) = await world.answered(thread)
    assert "What is this?" in answer
    assert ATTACHED_UNSEEN.format(name="cat.png") in sent_text(world)
    (notice,) = await world.until(lambda: world.whispers("alice"), "the notice")
    assert notice.startswith(
        "Demo: Quick can't see images, so it answers without cat.png. Models that can: Demo: Eye"
    )


async def test_a_text_model_cannot_be_chosen_for_an_image_alone(world: World) -> None:
    """The menu stays, and another choice starts the chat."""
    thread = await ask_with_files(world, "", image_file(), model=TEXT_MODEL)
    (notice,) = await world.until(lambda: world.whispers("alice"), "the notice")
    await world.idle()
    assert notice.startswith(strings.NO_VISION_AND_NO_TEXT.format(model="Demo: Quick"))
    assert "Demo: Eye" in notice
    assert (world.chats(), len(world.menus(thread))) == ([], 1)

    await world.choose(thread, model=VISION_MODEL)
    assert "a PNG picture" in (await world.answered(thread))[0]


async def test_an_image_alone_is_refused_in_the_chat_of_a_text_model(world: World) -> None:
    thread = await world.start("Hello.", model=TEXT_MODEL)
    await world.answered(thread)
    await say_with_files(world, "", image_file(), thread=thread)

    (notice,) = await world.until(lambda: world.whispers("alice"), "the notice")
    await world.idle()
    assert notice.startswith(strings.NO_VISION_AND_NO_TEXT.format(model="Demo: Quick"))
    assert len(world.messages(thread)) == 2


async def test_a_person_who_always_uses_a_text_model_gets_the_menu_for_an_image_alone(
    world: World,
) -> None:
    thread = await world.start("Hello.", model=TEXT_MODEL)
    await world.answered(thread)
    await world.execute("UPDATE people SET always = 1, default_model = ?", f"openai:{TEXT_MODEL}")

    thread = await ask_with_files(world, "", image_file(), model=VISION_MODEL)
    assert "a PNG picture" in (await world.answered(thread))[0]


# -- files that come later, twice, or to somebody who dies -------------------------------------------------------------


async def test_a_file_that_follows_the_question_belongs_to_it(world: World) -> None:
    thread = await world.ask("What is this?")
    await say_with_files(world, "", image_file("cat.png"), thread=thread)
    await say_with_files(
        world, "the second is older", image_file("dog.png", size=(9, 9)), thread=thread
    )
    await say_with_files(world, "", image_file("bobs.png", size=(7, 7)), thread=thread, user="bob")
    await world.idle()
    await world.choose(thread, model=VISION_MODEL)

    await world.answered(thread)
    assert sent_text(world) == "What is this?\nthe second is older\nbob: [shared: bobs.png]"
    assert sent_images(world) == [("PNG", (60, 40)), ("PNG", (9, 9)), ("PNG", (7, 7))]


async def test_an_image_is_the_question_of_a_mention_without_text(world: World) -> None:
    thread = await world.ask("")
    await say_with_files(world, "", image_file(), thread=thread)
    await world.idle()
    await world.choose(thread, model=VISION_MODEL)

    assert "a PNG picture" in (await world.answered(thread))[0]


@pytest.mark.parametrize("order", ["mention_first", "message_first"])
async def test_files_are_stored_once_however_often_they_are_delivered(
    worlds: WorldFactory, order: Any
) -> None:
    async with worlds() as world:
        world.slack.variants.mention_order = order
        world.slack.faults.copies = 3
        thread = await ask_with_files(world, "Once.", image_file(), MOVIE)
        await world.answered(thread)
        await say_with_files(
            world, "Again.", image_file("b.png", size=(9, 9)), MOVIE, thread=thread
        )
        await world.answered(thread, 2)
        await world.idle()

        assert sent_images(world) == [("PNG", (60, 40)), ("PNG", (9, 9))]
        assert world.whispers("alice") == [sentences.file_problem("kind", "clip.mp4")] * 2


async def test_a_mention_delivered_only_as_a_message_is_answered(world: World) -> None:
    world.slack.variants.file_mention_as_message_only = True
    thread = await ask_with_files(world, "Look.", image_file())

    await world.answered(thread)
    assert sent_images(world) == [("PNG", (60, 40))]


async def test_files_are_fetched_after_a_restart(worlds: WorldFactory) -> None:
    """The bot ends while it waits for the file; after the restart only stored data is left."""
    async with worlds(bobbin_grace=0) as world:
        file = world.slack.conversations.upload("alice", image_file("cat.png"))
        file.json_overrides = {"url_private": None, "url_private_download": None}
        thread = await ask_with_files(world, "What is this?", file)
        await world.until(lambda: world.slack.count("files.info") >= 1, "the first look")
        await world.stop_bot()
        assert [row["complete"] for row in world.rows("SELECT complete FROM answers")] == [0]
        file.json_overrides = {}

        await world.start_bot()
        assert "a PNG picture" in (await world.answered(thread))[0]


async def test_file_names_ping_no_one(world: World) -> None:
    nasty = Upload("<!channel> & <@U0BOB>.mp4", b"ftyp", "video/mp4")
    await say_with_files(world, f"<@{world.slack.bot_user.id}>", nasty)

    (notice,) = await world.until(lambda: world.whispers("alice"), "the notice")
    assert "<!" not in notice
    assert "<@" not in notice


# -- what was shared in the thread before ------------------------------------------------------------------------------


async def ask_below_files(world: World, *shared: Upload, model: str = VISION_MODEL) -> str:
    """People share these files in a thread one by one, then Alice asks there. Gives the thread, once it is answered."""
    thread = await world.slack.conversations.say("bob", "general", "Look what I have got.")
    for upload in shared:
        await say_with_files(world, "Here.", upload, thread=thread, user="bob")
    await world.ask("what do you make of it?", thread=thread)
    await world.until(
        lambda: world.rows("SELECT 1 FROM questions WHERE context IS NOT NULL"), "the thread so far"
    )
    await world.choose(thread, model=model)
    await world.answered(thread)
    return thread


async def test_earlier_images_and_texts_of_the_thread_are_sent_to_the_model(world: World) -> None:
    thread = await ask_below_files(world, image_file(), NOTES, MOVIE)
    assert sent_images(world) == [("PNG", (60, 40))]
    sent = sent_text(world)
    assert "bob: Here. [shared: cat.png]" in sent
    assert (
        "alice: what do you make of it?\n\nShared in this thread before: notes.txt\n```txt\nGrüße"
        in sent
    )
    assert (world.whispers("alice"), world.whispers("bob")) == ([], [])

    await world.slack.conversations.say("bob", "general", "Tell me more.", thread)
    await world.answered(thread, 2)
    assert sent_images(world) == [("PNG", (60, 40))]


async def test_the_newest_of_many_earlier_images_are_sent(world: World) -> None:
    await ask_below_files(world, *(image_file(f"{n}.png", size=(10 + n, 10)) for n in range(8)))
    assert [size for _, size in sent_images(world)] == [(10 + n, 10) for n in range(3, 8)]


async def test_unusable_files_of_the_earlier_thread_are_not_reported(world: World) -> None:
    """Alice gets no notice about images for a model that cannot see, or about broken or long files of others."""
    long = Upload("long.txt", b"word " * 10_000, "text/plain")
    broken = Upload("broken.png", b"no image at all \x00\x01", "image/png")
    await ask_below_files(world, image_file(), broken, long, model=TEXT_MODEL)
    await world.idle()
    assert sent_images(world) == []
    sent = sent_text(world)
    assert "[Attached: cat.png, an image that you cannot see]" in sent
    assert len(sent) < 25_000
    assert (world.whispers("alice"), world.whispers("bob")) == ([], [])


async def test_a_mention_without_text_below_files_asks_for_the_question(
    world: World,
) -> None:
    thread = await say_with_files(world, "Here.", image_file(), user="bob")
    await world.ask("", thread=thread)
    await world.until(
        lambda: world.rows("SELECT 1 FROM questions WHERE context IS NOT NULL"), "the thread so far"
    )
    await world.choose(thread, model=VISION_MODEL)
    await world.idle()
    assert world.chats() == []
    await world.slack.conversations.say("alice", "general", "Who is it?", thread)
    await world.answered(thread)
    assert sent_images(world) == [("PNG", (60, 40))]

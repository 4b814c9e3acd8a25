"""Images, texts and everything else that people share, from the message to what the model is sent."""

from __future__ import annotations

from typing import Any

import pytest

from bot import strings
from bot.sandbox.user_actions.conversations import Upload
from tests.handlers.conftest import WorldFactory
from tests.handlers.shared_files import BLIND, EYE, NOTES, PDF, picture, put, seen, share, text_sent
from tests.handlers.world import World


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP"])
async def test_images_of_all_four_kinds_reach_a_model_that_sees(world: World, form: str) -> None:
    thread = await share(world, "What is this?", picture(f"cat.{form.lower()}", form))

    (answer,) = await world.answered(thread)
    assert f"a {form} picture, 60 × 40 pixels" in answer
    assert (seen(world), text_sent(world)) == ([(form, (60, 40))], "What is this?")
    assert world.whispers("alice") == []


async def test_an_image_without_a_word_is_a_question(world: World) -> None:
    thread = await share(world, "", picture())

    assert "a PNG picture" in (await world.answered(thread))[0]
    assert world.messages(thread)[0]["text"] == ""


async def test_images_stay_in_the_conversation(world: World) -> None:
    """The second answer is asked for with the first image too, which is not fetched again."""
    thread = await share(world, "Look.", picture("a.png", size=(30, 30)))
    await world.answered(thread)
    await put(world, "And this?", picture("b.jpg", "JPEG", (20, 20)), thread=thread)
    await world.answered(thread, 2)

    assert seen(world) == [("PNG", (30, 30)), ("JPEG", (20, 20))]
    assert world.rows("SELECT count(*) AS n FROM messages WHERE files IS NOT NULL") == [{"n": 0}]


async def test_older_images_give_way_to_a_note(world: World) -> None:
    thread = await share(world, "The first.", *[picture(f"{n}.png") for n in range(8)])
    await world.answered(thread)
    for turn in (2, 3):
        await put(
            world,
            "More.",
            *[picture(f"{turn}-{n}.png", size=(10, 10)) for n in range(8)],
            thread=thread,
        )
        await world.answered(thread, turn)

    assert len(seen(world)) == 20
    first = next(m for m in world.models.requests()[-1].messages if m["role"] == "user")["content"]
    assert strings.ATTACHED_EARLIER.format(name="7.png") in first[0]["text"]
    assert len([part for part in first if part["type"] == "image_url"]) == 4


async def test_texts_become_part_of_the_message(world: World) -> None:
    code = Upload("run.py", b"print('```')\n", "text/x-python")
    thread = await share(world, "What do they say?", NOTES, code, model=BLIND)

    await world.answered(thread)
    whole = "What do they say?\n\nAttached: notes.txt\n```txt\nGrüße\nline two\n```"
    whole += "\n\nAttached: run.py\n````py\nprint('```')\n\n````"
    assert text_sent(world) == whole
    assert world.messages(thread)[0]["text"] == whole


async def test_a_text_that_is_too_long_is_cut_and_its_owner_told(world: World) -> None:
    long = Upload("log.txt", b"0123456789" * 30_000, "text/plain")
    thread = await share(world, "Sum it up.", long, NOTES, model=BLIND)

    await world.answered(thread)
    sent = text_sent(world)
    assert sent.count("0123456789") == 20_000
    assert strings.ATTACHED_TEXT_CUT.format(count=200_000) in sent
    told = strings.FILES_CUT.format(names="log.txt and notes.txt", count=200_000)
    await world.until(lambda: world.whispers("alice") == [told], "the word about it")


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-16", "Żółw"),
        ("cp1252", "Grüße aus Köln"),
        ("shift_jis", "こんにちは世界。テストです。"),
        ("utf-8-sig", "é"),
    ],
)
async def test_texts_are_read_in_their_own_encoding(world: World, encoding: str, text: str) -> None:
    thread = await share(
        world, "Read.", Upload("a.csv", text.encode(encoding), "text/csv"), model=BLIND
    )

    await world.answered(thread)
    assert text in text_sent(world)


async def test_a_file_nobody_can_read_is_told_privately_and_the_rest_answered(world: World) -> None:
    thread = await share(world, "What is in these?", PDF, NOTES, model=BLIND)

    (answer,) = await world.answered(thread)
    assert "What is in these?" in answer
    assert "Grüße" in text_sent(world)
    assert strings.ATTACHED_UNREADABLE.format(name="report.pdf") in text_sent(world)
    assert world.whispers("alice") == [strings.file_problem("kind", "report.pdf")]
    assert world.whispers("bob") == []


async def test_nothing_but_a_file_nobody_can_read_starts_nothing(world: World) -> None:
    """Neither a menu in the channel nor a turn in a chat."""
    await put(world, f"<@{world.slack.bot_user.id}>", PDF)
    await world.until(lambda: world.whispers("alice"), "the word about it")
    await world.idle()
    assert (world.whispers("alice"), world.chats()) == (
        [strings.file_problem("kind", "report.pdf")],
        [],
    )
    assert world.slack.count("chat.postMessage") == 0

    thread = await world.start("Hello.")
    await world.answered(thread)
    await put(world, "", PDF, thread=thread)
    await world.until(lambda: len(world.whispers("alice")) == 2, "the second word")
    await world.idle()
    assert len(world.messages(thread)) == 2


async def test_files_that_are_not_for_bobbin_are_left_alone(world: World) -> None:
    ts = await put(world, "See attached.", PDF, picture())
    await put(world, "", PDF, thread=ts)
    await world.idle()

    assert (
        world.replies(ts),
        world.whispers("alice"),
        world.slack.count("chat.postEphemeral"),
    ) == ([], [], 0)


async def test_a_message_may_carry_ten_files(world: World) -> None:
    files = [Upload(f"{n}.txt", f"text {n}".encode(), "text/plain") for n in range(1, 13)]
    thread = await share(world, "All?", *files, model=BLIND)

    await world.answered(thread)
    assert "text 10" in text_sent(world)
    assert "text 11" not in text_sent(world)
    assert world.whispers("alice") == [strings.file_problem("too_many", "11.txt and 12.txt")]


# -- models that cannot see --------------------------------------------------------------------------------------------


async def test_a_blind_model_answers_the_text_and_the_person_learns_which_models_see(
    world: World,
) -> None:
    thread = await share(world, "What is this?", picture("cat.png"), model=BLIND)

    (answer,) = await world.answered(thread)
    assert "What is this?" in answer
    assert strings.ATTACHED_UNSEEN.format(name="cat.png") in text_sent(world)
    (told,) = await world.until(lambda: world.whispers("alice"), "the word about it")
    assert told.startswith(
        "Demo: Quick cannot see images, so it answers without cat.png. Models that can: Demo: Eye"
    )


async def test_a_blind_model_cannot_be_chosen_for_a_picture_alone(world: World) -> None:
    """The menu stays, and the next choice starts."""
    thread = await share(world, "", picture(), model=BLIND)
    (told,) = await world.until(lambda: world.whispers("alice"), "the word about it")
    await world.idle()
    assert told.startswith(strings.SEES_NOT_ALONE.format(model="Demo: Quick"))
    assert "Demo: Eye" in told
    assert (world.chats(), len(world.menus(thread))) == ([], 1)

    await world.choose(thread, model=EYE)
    assert "a PNG picture" in (await world.answered(thread))[0]


async def test_a_picture_alone_in_the_chat_of_a_blind_model_is_not_taken(world: World) -> None:
    thread = await world.start("Hello.", model=BLIND)
    await world.answered(thread)
    await put(world, "", picture(), thread=thread)

    (told,) = await world.until(lambda: world.whispers("alice"), "the word about it")
    await world.idle()
    assert told.startswith(strings.SEES_NOT_ALONE.format(model="Demo: Quick"))
    assert len(world.messages(thread)) == 2


async def test_who_always_uses_a_blind_model_gets_the_menu_for_a_picture_alone(
    world: World,
) -> None:
    thread = await world.start("Hello.", model=BLIND)
    await world.answered(thread)
    await world.execute("UPDATE people SET always = 1, default_model = ?", f"openai:{BLIND}")

    thread = await share(world, "", picture(), model=EYE)
    assert "a PNG picture" in (await world.answered(thread))[0]


# -- files that come later, twice, or to somebody who dies -------------------------------------------------------------


async def test_a_file_that_follows_the_question_belongs_to_it(world: World) -> None:
    thread = await world.ask("What is this?")
    await put(world, "", picture("cat.png"), thread=thread)
    await put(world, "the second is older", picture("dog.png", size=(9, 9)), thread=thread)
    await put(world, "", picture("no.png"), thread=thread, user="bob")
    await world.idle()
    await world.choose(thread, model=EYE)

    await world.answered(thread)
    assert text_sent(world) == "What is this?\nthe second is older"
    assert seen(world) == [("PNG", (60, 40)), ("PNG", (9, 9))]


async def test_a_mention_without_text_is_filled_by_a_picture(world: World) -> None:
    thread = await world.ask("")
    await put(world, "", picture(), thread=thread)
    await world.idle()
    await world.choose(thread, model=EYE)

    assert "a PNG picture" in (await world.answered(thread))[0]


@pytest.mark.parametrize("order", ["mention_first", "message_first"])
async def test_however_often_it_is_delivered_files_come_once(
    worlds: WorldFactory, order: Any
) -> None:
    async with worlds() as world:
        world.slack.variants.mention_order = order
        world.slack.faults.copies = 3
        thread = await share(world, "Once.", picture(), PDF)
        await world.answered(thread)
        await put(world, "Again.", picture("b.png", size=(9, 9)), PDF, thread=thread)
        await world.answered(thread, 2)
        await world.idle()

        assert seen(world) == [("PNG", (60, 40)), ("PNG", (9, 9))]
        assert world.whispers("alice") == [strings.file_problem("kind", "report.pdf")] * 2


async def test_a_mention_that_slack_tells_only_as_a_message_is_heard(world: World) -> None:
    world.slack.variants.file_mention_as_message_only = True
    thread = await share(world, "Look.", picture())

    await world.answered(thread)
    assert seen(world) == [("PNG", (60, 40))]


async def test_the_successor_of_a_killed_process_fetches_the_files(worlds: WorldFactory) -> None:
    """The bot ends while the file is being waited for; the next one has only what is stored."""
    async with worlds(bobbin_grace=0) as world:
        file = world.slack.conversations.upload("alice", picture("cat.png"))
        file.json_overrides = {"url_private": None, "url_private_download": None}
        thread = await share(world, "What is this?", file)
        await world.until(lambda: world.slack.count("files.info") >= 1, "the first look")
        await world.stop_bot()
        assert [row["complete"] for row in world.rows("SELECT complete FROM answers")] == [0]
        file.json_overrides = {}

        await world.start_bot()
        assert "a PNG picture" in (await world.answered(thread))[0]


async def test_names_of_files_ping_nobody(world: World) -> None:
    nasty = Upload("<!channel> & <@U0BOB>.pdf", b"%PDF", "application/pdf")
    await put(world, f"<@{world.slack.bot_user.id}>", nasty)

    (told,) = await world.until(lambda: world.whispers("alice"), "the word about it")
    assert "<!" not in told
    assert "<@" not in told


# -- what was shared in the thread before ------------------------------------------------------------------------------


async def before(world: World, *shared: Upload, model: str = EYE) -> str:
    """People share these in a thread, one by one; then Alice asks there. Gives the thread, once it is answered."""
    thread = await world.slack.conversations.say("bob", "general", "Look what I have got.")
    for upload in shared:
        await put(world, "Here.", upload, thread=thread, user="bob")
    await world.ask("what do you make of it?", thread=thread)
    await world.until(
        lambda: world.rows("SELECT 1 FROM questions WHERE context IS NOT NULL"), "the thread so far"
    )
    await world.choose(thread, model=model)
    await world.answered(thread)
    return thread


async def test_images_and_texts_of_the_thread_before_are_there_for_the_model(world: World) -> None:
    thread = await before(world, picture(), NOTES, PDF)
    assert seen(world) == [("PNG", (60, 40))]
    told = text_sent(world)
    assert "bob: Here. [shared: cat.png]" in told
    assert (
        "alice: what do you make of it?\n\nShared in this thread before: notes.txt\n```txt\nGrüße"
        in told
    )
    assert (world.whispers("alice"), world.whispers("bob")) == ([], [])

    await world.slack.conversations.say("bob", "general", "Tell me more.", thread)
    await world.answered(thread, 2)
    assert seen(world) == [("PNG", (60, 40))]


async def test_of_many_images_before_the_newest_are_sent(world: World) -> None:
    await before(world, *(picture(f"{n}.png", size=(10 + n, 10)) for n in range(8)))
    assert [size for _, size in seen(world)] == [(10 + n, 10) for n in range(3, 8)]


async def test_what_was_shared_before_bothers_nobody_when_it_cannot_be_used(world: World) -> None:
    """Neither a model that cannot see nor a file that is broken or too long is Alice's affair."""
    long = Upload("long.txt", b"word " * 10_000, "text/plain")
    broken = Upload("broken.png", b"no image at all \x00\x01", "image/png")
    await before(world, picture(), broken, long, model=BLIND)
    await world.idle()
    assert seen(world) == []
    told = text_sent(world)
    assert "[Attached: cat.png, an image that you cannot see]" in told
    assert len(told) < 25_000
    assert (world.whispers("alice"), world.whispers("bob")) == ([], [])


async def test_a_mention_without_words_below_files_still_asks_for_the_question(
    world: World,
) -> None:
    thread = await put(world, "Here.", picture(), user="bob")
    await world.ask("", thread=thread)
    await world.until(
        lambda: world.rows("SELECT 1 FROM questions WHERE context IS NOT NULL"), "the thread so far"
    )
    await world.choose(thread, model=EYE)
    await world.idle()
    assert world.chats() == []
    await world.slack.conversations.say("alice", "general", "Who is it?", thread)
    await world.answered(thread)
    assert seen(world) == [("PNG", (60, 40))]

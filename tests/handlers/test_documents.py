"""Documents that people share: the model reads their text, and the author is told when there is none."""

from __future__ import annotations

import pytest

from bot import sentences, strings
from bot.chats.attachments.rules import ATTACHED_TEXT_CUT, MAX_TEXT_LENGTH
from bot.sandbox.user_actions.conversations import Upload
from tests.documents import samples
from tests.documents.test_formats import CONTENT
from tests.handlers.shared_files import TEXT_MODEL, ask_with_files, say_with_files, sent_text
from tests.handlers.world import World
from tests.slow import slow_after

PDF = Upload("prices.pdf", samples.pdf("Bobbins cost three euros."), "application/pdf")
SCAN = Upload("scan.pdf", samples.pdf(""), "application/pdf")


@pytest.mark.parametrize("mime", slow_after(1, ["", "application/octet-stream"]))
async def test_every_kind_of_document_reaches_the_model_as_text(world: World, mime: str) -> None:
    uploads = [Upload(f"prices.{suffix}", make(), mime) for suffix, (make, _) in CONTENT.items()]
    await ask_with_files(world, "What do they cost?", *uploads, model=TEXT_MODEL)
    await world.until(lambda: world.models.requests(), "the model is asked")

    sent = sent_text(world)
    assert sent.startswith("What do they cost?\n\nAttached: prices.pdf\n```markdown\n### Page 1")
    for suffix, (_, pieces) in CONTENT.items():
        assert f"Attached: prices.{suffix}\n```markdown\n" in sent
        assert all(piece in sent for piece in pieces)
    assert world.whispers("alice") == []


async def test_a_scan_beside_a_question_is_reported_to_the_author_and_the_model(
    world: World,
) -> None:
    thread = await ask_with_files(world, "What is in it?", SCAN, model=TEXT_MODEL)
    await world.answered(thread)

    assert world.whispers("alice") == [sentences.file_problem("scan", "scan.pdf")]
    assert "scan.pdf" in sent_text(world)


async def test_what_is_written_upon_a_scan_is_read_where_the_scan_is_not(world: World) -> None:
    scan = Upload("scan.pdf", samples.commented_scan(), "application/pdf")
    thread = await ask_with_files(world, "What is in it?", scan, model=TEXT_MODEL)
    await world.answered(thread)
    assert "### Page 1\n\nComment: paid" in sent_text(world)
    assert world.whispers("alice") == []

    long = Upload("long.pdf", samples.commented_scan(*["a" * 19_000] * 11), "application/pdf")
    await say_with_files(world, "And in this?", long, thread=thread)
    await world.answered(thread, 2)
    assert ATTACHED_TEXT_CUT.partition("{")[0] in sent_text(world).rpartition("```")[2]
    told = strings.FILES_CUT.format(names="long.pdf", count=MAX_TEXT_LENGTH)
    assert world.whispers("alice") == [told]


async def test_a_document_alone_that_has_no_text_fails_the_answer_and_stores_nothing_else(
    world: World,
) -> None:
    thread = await ask_with_files(world, "Hello.", model=TEXT_MODEL)
    await world.answered(thread)
    asked = len(world.models.requests())

    await say_with_files(world, "", SCAN, thread=thread)
    sentence = sentences.file_problem("scan", "scan.pdf")
    await world.until(
        lambda: sentence in str([message.text for message in world.replies(thread)]), "the sentence"
    )
    assert len(world.models.requests()) == asked


async def test_a_document_shared_before_the_chat_is_read_too(world: World) -> None:
    thread = await world.slack.conversations.say("bob", "general", "The prices.", None, [PDF])
    await world.ask("what do they cost?", thread=thread)
    await world.until(
        lambda: world.rows("SELECT 1 FROM questions WHERE context IS NOT NULL"), "the thread so far"
    )
    await world.choose(thread, model=TEXT_MODEL)
    await world.answered(thread)
    assert "Shared in this thread before: prices.pdf" in sent_text(world)
    assert "Bobbins cost three euros." in sent_text(world)

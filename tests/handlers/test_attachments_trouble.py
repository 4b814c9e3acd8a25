"""Images that are too large or broken, files that Slack cannot provide, and hosts that are not Slack's."""

from __future__ import annotations

import asyncio
import io
import random
import zlib
from typing import Any

import pytest
from PIL import Image

from bot import sentences, strings
from bot.chats.prompt_turns import ATTACHED_UNREADABLE
from bot.sandbox.state.records import File
from bot.sandbox.user_actions.conversations import Upload
from tests.deadlines import WAIT_TIMEOUT, patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.shared_files import (
    NOTES,
    TEXT_MODEL,
    VISION_MODEL,
    ask_with_files,
    image_bytes,
    image_file,
    say_with_files,
    sent_content,
    sent_images,
    sent_text,
)
from tests.handlers.world import World, below, elements


async def test_large_images_are_scaled_down(world: World) -> None:
    thread = await ask_with_files(
        world,
        "Big.",
        image_file("photo.jpg", "JPEG", (6000, 3000)),
        image_file("w.webp", "WEBP", (40, 3000)),
    )

    await world.answered(thread)
    assert sent_images(world) == [("JPEG", (1568, 784)), ("PNG", (21, 1568))]


async def test_an_images_content_decides_its_format_not_its_name(world: World) -> None:
    mistaken = Upload("shot.png", image_bytes("JPEG"), "image/png")
    nameless = Upload("blob", image_bytes("GIF"), "application/octet-stream")
    thread = await ask_with_files(world, "Both.", mistaken, nameless)

    await world.answered(thread)
    assert sent_images(world) == [("JPEG", (60, 40)), ("GIF", (60, 40))]


async def test_incompressible_images_of_any_size_are_made_to_fit(world: World) -> None:
    """An image of noise is scaled down until it is small enough to be sent."""
    noise = random.Random(7).randbytes(1800 * 1800 * 3)
    written = io.BytesIO()
    Image.frombytes("RGB", (1800, 1800), noise).save(written, "PNG", compress_level=0)
    thread = await ask_with_files(
        world, "Noise.", Upload("noise.png", written.getvalue(), "image/png")
    )

    await world.answered(thread)
    assert sent_images(world) == [("JPEG", (1568, 1568))]
    assert len(sent_content(world)[1]["image_url"]["url"]) < 4_000_000 * 4 // 3 + 100


async def test_broken_images_and_decompression_bombs_are_reported(world: World) -> None:
    """A decompression bomb is a file of a few kilobytes with 400 megapixels."""
    rows = zlib.compress(bytes(20_000 // 8 + 1) * 20_000, 9)
    header = b"\x00\x00\x4e\x20\x00\x00\x4e\x20\x01\x00\x00\x00\x00"
    bomb = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )
    assert len(bomb) < 100_000
    broken = Upload("half.jpg", image_bytes("JPEG", (500, 500))[:700], "image/jpeg")
    thread = await ask_with_files(world, "What now?", Upload("bomb.png", bomb, "image/png"), broken)

    await world.answered(thread)
    assert sent_images(world) == []
    notices = [
        sentences.file_problem("too_large", "bomb.png"),
        sentences.file_problem("broken", "half.jpg"),
    ]
    await world.until(lambda: world.whispers("alice") == ["\n".join(notices)], "the notice")


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


async def test_slacks_thumbnail_replaces_an_image_that_only_slack_can_open(world: World) -> None:
    """HEIC images, and images beyond the size limit."""
    small = world.slack.conversations.upload("alice", image_file("thumb.png", size=(100, 75)))
    heic = world.slack.conversations.upload(
        "alice", Upload("IMG_1.HEIC", b"\0\0\0\x18ftypheic and more", "image/heic")
    )
    huge = world.slack.conversations.upload(
        "alice", Upload("huge.png", b"\x89PNG\r\n\x1a\n", "image/png")
    )
    thumb = f"{world.slack.url}/files/T-{small.id}/thumb.png"
    heic.json_overrides = {"thumb_360": f"{world.slack.url}/nowhere", "thumb_1024": thumb}
    huge.json_overrides = {"thumb_720": thumb, "size": 30_000_000}
    thread = await ask_with_files(world, "What is it?", heic, huge)

    await world.answered(thread)
    assert sent_images(world) == [("PNG", (100, 75))] * 2
    assert world.whispers("alice") == []


async def test_a_heic_image_without_a_thumbnail_is_reported(worlds: WorldFactory) -> None:
    async with worlds(timing=patient_timing(file_retry_delays=(0.05, 0.1, 0.2))) as world:
        thread = await ask_with_files(
            world, "What is it?", Upload("IMG_1.HEIC", b"\0\0\0\x18ftypheic", "image/heic")
        )

        await world.answered(thread)
        await world.until(
            lambda: world.whispers("alice") == [sentences.file_problem("kind", "IMG_1.HEIC")],
            "the word",
        )


# -- what Slack does with files ----------------------------------------------------------------------------------------


async def test_a_file_that_is_still_being_uploaded_is_waited_for(world: World) -> None:
    file = world.slack.conversations.upload("alice", NOTES)
    file.json_overrides = {
        "url_private": None,
        "url_private_download": None,
        "mimetype": None,
        "size": None,
    }
    thread = await ask_with_files(world, "Read it.", file, model=TEXT_MODEL)
    await world.until(lambda: world.slack.count("files.info") >= 1, "the first look")
    file.json_overrides = {}

    await world.answered(thread)
    assert "Grüße" in sent_text(world)


async def test_one_persons_unfinished_uploads_do_not_delay_anothers_picture(
    worlds: WorldFactory,
) -> None:
    """The first message waits for its files until the test ends."""
    async with worlds(
        bobbin_grace=0, timing=patient_timing(file_retry_delays=(WAIT_TIMEOUT,))
    ) as world:
        waiting = await ask_with_files(world, "Look at mine.", *unfinished(world, 6))
        await world.until(lambda: world.slack.count("files.info") >= 6, "the first look")

        thread = await ask_with_files(world, "And mine.", image_file("cat.png"), user="bob")
        await world.answered(thread)
        assert sent_images(world) == [("PNG", (60, 40))]
        assert not world.answers(waiting)
        world.leave_unfinished()


async def test_all_files_that_an_answer_needs_are_waited_for_together(worlds: WorldFactory) -> None:
    """Also those of earlier messages whose answers were stopped. The waits between two looks outlast the test."""
    timing = patient_timing(files_timeout=2 * WAIT_TIMEOUT, file_retry_delays=(WAIT_TIMEOUT,))
    async with worlds(bobbin_grace=0, timing=timing) as world:
        thread = await ask_with_files(world, "Look.", *unfinished(world, 6))
        await world.until(lambda: world.slack.count("files.info") >= 6, "the first looks")
        await world.slack.conversations.say("alice", "general", "stop", thread)
        await world.answered(thread)
        await say_with_files(world, "And these.", *unfinished(world, 6), thread=thread)
        await world.until(lambda: world.slack.count("files.info") >= 6 + 12, "all looks")
        world.leave_unfinished()


async def test_a_late_file_is_reported_and_read_on_retry(worlds: WorldFactory) -> None:
    """The deadline is one for all files; the answer goes on without those that are late."""
    timing = patient_timing(files_timeout=0.5, file_retry_delays=(WAIT_TIMEOUT,))
    async with worlds(timing=timing) as world:
        world.fail("http", status=400, model=TEXT_MODEL)
        late = unfinished(world, 2, NOTES)
        thread = await ask_with_files(world, "Read them.", *late, model=TEXT_MODEL)
        await world.answered(thread)
        notice = sentences.file_problem("unreachable", "notes.txt and notes.txt")
        await world.until(lambda: world.whispers("alice") == [notice], "the notice")
        assert ATTACHED_UNREADABLE.format(name="notes.txt") in sent_text(world)

        for file in late:
            file.json_overrides = {}
        world.say("Two notes.", model=TEXT_MODEL)
        failed = world.answers(thread)[-1]
        await world.slack.interactions.press("alice", failed, "retry_answer")
        await world.until(lambda: "Two notes." in world.answers(thread)[-1].text, "the answer")
        assert sent_text(world).count("Grüße") == 2


def unfinished(world: World, count: int, upload: Upload | None = None) -> list[File]:
    """Files of which Slack has not told yet where they are."""
    files = [
        world.slack.conversations.upload("alice", upload or image_file(f"{number}.png"))
        for number in range(count)
    ]
    for file in files:
        file.json_overrides = {"url_private": None, "url_private_download": None}
    return files


async def test_file_details_that_an_event_lacks_are_asked_for(world: World) -> None:
    """In shared channels the event contains only the file's id."""
    file = world.slack.conversations.upload("alice", image_file("cat.png"))
    usual = dict.fromkeys(
        ("name", "title", "mimetype", "size", "url_private", "url_private_download", "mode")
    )
    file.json_overrides = {**usual, "file_access": "check_file_info"}
    ts = await say_with_files(world, f"<@{world.slack.bot_user.id}> Look.", file)
    file.json_overrides = {}
    await world.until(lambda: world.menus(ts), "the menu")
    await world.choose(ts, model=VISION_MODEL)

    await world.answered(ts)
    assert (sent_images(world), world.slack.count("files.info")) == ([("PNG", (60, 40))], 1)


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        ({"mode": "tombstone"}, "gone"),
        ({"mode": "hidden_by_limit"}, "hidden"),
        ({"is_external": True}, "external"),
    ],
)
async def test_files_that_slack_cannot_provide_are_reported(
    world: World, overrides: dict[str, Any], problem: str
) -> None:
    file = world.slack.conversations.upload("alice", NOTES)
    file.json_overrides = overrides
    thread = await ask_with_files(world, "Read it.", file, model=TEXT_MODEL)

    await world.answered(thread)
    assert world.whispers("alice") == [sentences.file_problem(problem, "notes.txt")]
    assert ATTACHED_UNREADABLE.format(name="notes.txt") in sent_text(world)


async def test_a_sign_in_page_in_place_of_a_file_is_reported(world: World) -> None:
    file = world.slack.conversations.upload("alice", NOTES)
    file.json_overrides = {"url_private": f"{world.slack.url}/", "url_private_download": None}
    thread = await ask_with_files(world, "Read it.", file, model=TEXT_MODEL)

    await world.answered(thread)
    notices = [sentences.file_problem("no_access", "notes.txt")]
    await world.until(lambda: world.whispers("alice") == notices, "the notice")
    assert "Sandbox" not in sent_text(world)


async def test_nothing_is_fetched_from_hosts_other_than_slacks(world: World) -> None:
    asked: list[bytes] = []

    async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(1000))
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(record, "127.0.0.1", 0)
    file = world.slack.conversations.upload("alice", NOTES)
    port = server.sockets[0].getsockname()[1]
    file.json_overrides = {
        "url_private": f"http://127.0.0.1:{port}/secret",
        "url_private_download": None,
    }
    thread = await ask_with_files(world, "Read it.", file, model=TEXT_MODEL)

    await world.answered(thread)
    await world.until(
        lambda: world.whispers("alice") == [sentences.file_problem("external", "notes.txt")],
        "the word",
    )
    assert asked == []
    server.close()
    await server.wait_closed()


# -- nothing else to answer --------------------------------------------------------------------------------------------


async def test_a_message_of_unavailable_files_fails_with_retry(world: World) -> None:
    """Retry fetches it again."""
    world.forgive("file_not_found")
    file = world.slack.conversations.upload("alice", image_file("cat.png"))
    file.json_overrides = {"url_private": f"{world.slack.url}/", "url_private_download": None}
    thread = await ask_with_files(world, "", file)

    await world.answered(thread)
    message = world.answers(thread)[-1]
    assert "I couldn't read what you attached" in below(message)
    assert "cat.png" in below(message)
    assert [e["text"]["text"] for e in elements(message, "retry_answer")] == [strings.RETRY_BUTTON]
    assert world.models.requests() == []

    stored = world.rows("SELECT files FROM messages WHERE files IS NOT NULL")[0]["files"]
    mended = stored.replace(f"{world.slack.url}/", f"{world.slack.url}/files/T-{file.id}/cat.png")
    await world.execute("UPDATE messages SET files = ? WHERE files IS NOT NULL", mended)
    await world.slack.interactions.press("alice", message, "retry_answer")
    await world.until(lambda: "a PNG picture" in world.answers(thread)[-1].text, "the answer")

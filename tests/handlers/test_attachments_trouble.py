"""Pictures that do not fit, files that Slack does not have (yet), and places where nothing is fetched from."""

from __future__ import annotations

import asyncio
import io
import random
import zlib
from typing import Any

import pytest
from PIL import Image

from bot import strings
from bot.sandbox.user_actions.conversations import Upload
from tests.handlers.shared_files import (
    BLIND,
    EYE,
    NOTES,
    content,
    drawn,
    picture,
    put,
    seen,
    share,
    text_sent,
)
from tests.handlers.world import World, below, elements


async def test_large_images_are_scaled_down(world: World) -> None:
    thread = await share(
        world,
        "Big.",
        picture("photo.jpg", "JPEG", (6000, 3000)),
        picture("w.webp", "WEBP", (40, 3000)),
    )

    await world.answered(thread)
    assert seen(world) == [("JPEG", (1568, 784)), ("PNG", (21, 1568))]


async def test_what_a_picture_is_decides_not_what_it_is_called(world: World) -> None:
    mistaken = Upload("shot.png", drawn("JPEG"), "image/png")
    nameless = Upload("blob", drawn("GIF"), "application/octet-stream")
    thread = await share(world, "Both.", mistaken, nameless)

    await world.answered(thread)
    assert seen(world) == [("JPEG", (60, 40)), ("GIF", (60, 40))]


async def test_noise_of_every_size_fits(world: World) -> None:
    """A picture that cannot be compressed still becomes small enough to be sent."""
    noise = random.Random(7).randbytes(1800 * 1800 * 3)
    written = io.BytesIO()
    Image.frombytes("RGB", (1800, 1800), noise).save(written, "PNG", compress_level=0)
    thread = await share(world, "Noise.", Upload("noise.png", written.getvalue(), "image/png"))

    await world.answered(thread)
    assert seen(world) == [("JPEG", (1568, 1568))]
    assert len(content(world)[1]["image_url"]["url"]) < 4_000_000 * 4 // 3 + 100


async def test_broken_pictures_and_decompression_bombs_are_told(world: World) -> None:
    """A bomb: a few kilobytes that would unfold to 400 megapixels."""
    rows = zlib.compress(bytes(20_000 // 8 + 1) * 20_000, 9)
    header = b"\x00\x00\x4e\x20\x00\x00\x4e\x20\x01\x00\x00\x00\x00"
    bomb = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )
    assert len(bomb) < 100_000
    broken = Upload("half.jpg", drawn("JPEG", (500, 500))[:700], "image/jpeg")
    thread = await share(world, "What now?", Upload("bomb.png", bomb, "image/png"), broken)

    await world.answered(thread)
    assert seen(world) == []
    told = [
        strings.file_problem("too_large", "bomb.png"),
        strings.file_problem("broken", "half.jpg"),
    ]
    await world.until(lambda: world.whispers("alice") == ["\n".join(told)], "the word about it")


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


async def test_a_picture_that_only_slack_can_open_is_taken_as_slack_shows_it(world: World) -> None:
    """HEIC, and a picture beyond the size limit."""
    small = world.slack.conversations.upload("alice", picture("thumb.png", size=(100, 75)))
    heic = world.slack.conversations.upload(
        "alice", Upload("IMG_1.HEIC", b"\0\0\0\x18ftypheic and more", "image/heic")
    )
    huge = world.slack.conversations.upload(
        "alice", Upload("huge.png", b"\x89PNG\r\n\x1a\n", "image/png")
    )
    thumb = f"{world.slack.url}/files/T-{small.id}/thumb.png"
    heic.json_overrides = {"thumb_360": f"{world.slack.url}/nowhere", "thumb_1024": thumb}
    huge.json_overrides = {"thumb_720": thumb, "size": 30_000_000}
    thread = await share(world, "What is it?", heic, huge)

    await world.answered(thread)
    assert seen(world) == [("PNG", (100, 75))] * 2
    assert world.whispers("alice") == []


async def test_a_heic_without_slacks_picture_is_told(world: World) -> None:
    thread = await share(
        world, "What is it?", Upload("IMG_1.HEIC", b"\0\0\0\x18ftypheic", "image/heic")
    )

    await world.answered(thread)
    await world.until(
        lambda: world.whispers("alice") == [strings.file_problem("kind", "IMG_1.HEIC")], "the word"
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
    thread = await share(world, "Read it.", file, model=BLIND)
    await world.until(lambda: world.slack.count("files.info") >= 1, "the first look")
    file.json_overrides = {}

    await world.answered(thread)
    assert "Grüße" in text_sent(world)


async def test_slack_is_asked_about_files_it_only_hints_at(world: World) -> None:
    """In shared channels the event tells nothing but the file's id."""
    file = world.slack.conversations.upload("alice", picture("cat.png"))
    usual = dict.fromkeys(
        ("name", "title", "mimetype", "size", "url_private", "url_private_download", "mode")
    )
    file.json_overrides = {**usual, "file_access": "check_file_info"}
    ts = await put(world, f"<@{world.slack.bot_user.id}> Look.", file)
    file.json_overrides = {}
    await world.until(lambda: world.menus(ts), "the menu")
    await world.choose(ts, model=EYE)

    await world.answered(ts)
    assert (seen(world), world.slack.count("files.info")) == ([("PNG", (60, 40))], 1)


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ({"mode": "tombstone"}, "gone"),
        ({"mode": "hidden_by_limit"}, "hidden"),
        ({"is_external": True}, "external"),
    ],
)
async def test_files_that_slack_does_not_have_are_told(
    world: World, told: dict[str, Any], problem: str
) -> None:
    file = world.slack.conversations.upload("alice", NOTES)
    file.json_overrides = told
    thread = await share(world, "Read it.", file, model=BLIND)

    await world.answered(thread)
    assert world.whispers("alice") == [strings.file_problem(problem, "notes.txt")]
    assert strings.ATTACHED_UNREADABLE.format(name="notes.txt") in text_sent(world)


async def test_a_page_to_sign_in_instead_of_the_file_is_told(world: World) -> None:
    file = world.slack.conversations.upload("alice", NOTES)
    file.json_overrides = {"url_private": f"{world.slack.url}/", "url_private_download": None}
    thread = await share(world, "Read it.", file, model=BLIND)

    await world.answered(thread)
    told = [strings.file_problem("no_access", "notes.txt")]
    await world.until(lambda: world.whispers("alice") == told, "the word about it")
    assert "Sandbox" not in text_sent(world)


async def test_nothing_is_fetched_from_elsewhere(world: World) -> None:
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
    thread = await share(world, "Read it.", file, model=BLIND)

    await world.answered(thread)
    await world.until(
        lambda: world.whispers("alice") == [strings.file_problem("external", "notes.txt")],
        "the word",
    )
    assert asked == []
    server.close()
    await server.wait_closed()


# -- nothing else to answer --------------------------------------------------------------------------------------------


async def test_nothing_but_a_file_that_cannot_be_had_fails_with_retry(world: World) -> None:
    """Retry fetches it again."""
    world.forgive("file_not_found")
    file = world.slack.conversations.upload("alice", picture("cat.png"))
    file.json_overrides = {"url_private": f"{world.slack.url}/", "url_private_download": None}
    thread = await share(world, "", file)

    await world.answered(thread)
    message = world.answers(thread)[-1]
    assert "I could not read what you attached" in below(message)
    assert "cat.png" in below(message)
    assert [e["text"]["text"] for e in elements(message, "retry_answer")] == [strings.RETRY_BUTTON]
    assert world.models.requests() == []

    stored = world.rows("SELECT files FROM messages WHERE files IS NOT NULL")[0]["files"]
    mended = stored.replace(f"{world.slack.url}/", f"{world.slack.url}/files/T-{file.id}/cat.png")
    await world.execute("UPDATE messages SET files = ? WHERE files IS NOT NULL", mended)
    await world.slack.interactions.press("alice", message, "retry_answer")
    await world.until(lambda: "a PNG picture" in world.answers(thread)[-1].text, "the answer")

"""Sharing files in tests, and what models are sent of them."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

from PIL import Image

from bot.sandbox.state.records import File
from bot.sandbox.user_actions.conversations import Upload
from tests.handlers.world import World

VISION_MODEL = "demo/eye"
TEXT_MODEL = "demo/quick"
MOVIE = Upload("clip.mp4", b"\0\0\0\x18ftypmp42", "video/mp4")
NOTES = Upload("notes.txt", "Grüße\nline two".encode(), "text/plain")


def image_bytes(form: str = "PNG", size: tuple[int, int] = (60, 40), colour: str = "teal") -> bytes:
    written = io.BytesIO()
    Image.new("RGB", size, colour).save(written, form)
    return written.getvalue()


def image_file(
    name: str = "cat.png", form: str = "PNG", size: tuple[int, int] = (60, 40), mime: str = ""
) -> Upload:
    return Upload(name, image_bytes(form, size), mime or f"image/{form.lower()}")


async def ask_with_files(
    world: World, text: str, *files: Upload | File, model: str = VISION_MODEL, user: str = "alice"
) -> str:
    """Mention Bobbin with files and choose a model; returns the thread."""
    ts = await say_with_files(
        world, f"<@{world.slack.bot_user.id}> {text}".strip(), *files, user=user
    )
    await world.until(lambda: world.menus(ts), "the menu")
    await world.choose(ts, user, model)
    return ts


async def say_with_files(
    world: World, text: str, *files: Upload | File, thread: str | None = None, user: str = "alice"
) -> str:
    return await world.slack.conversations.say(user, "general", text, thread, files)


def sent_content(world: World, nth: int = -1) -> list[Mapping[str, Any]]:
    """The parts of the newest user message of a request to a model."""
    last = [m for m in world.models.requests()[nth].messages if m["role"] == "user"][-1]["content"]
    return last if isinstance(last, list) else [{"type": "text", "text": last}]


def sent_text(world: World, nth: int = -1) -> str:
    return "".join(part["text"] for part in sent_content(world, nth) if part["type"] == "text")


def sent_images(world: World, nth: int = -1) -> list[tuple[str, tuple[int, int]]]:
    """Kind and size of every image in a request to a model, oldest first."""
    parts = [
        p
        for m in world.models.requests()[nth].messages
        if isinstance(m["content"], list)
        for p in m["content"]
    ]
    found = []
    for part in parts:
        if part["type"] == "image_url":
            head, _, data = part["image_url"]["url"].partition(",")
            with Image.open(io.BytesIO(base64.b64decode(data))) as image:
                assert head == f"data:{Image.MIME[image.format or '']};base64"
                found.append((image.format or "", image.size))
    return found

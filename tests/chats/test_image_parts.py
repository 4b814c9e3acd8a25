"""Images with so many parts that reading them would block everybody are refused before they are read."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable

import pytest
from PIL import Image as Pillow

from bot.chats.attachments.image_parts import MAX_PARTS
from bot.chats.attachments.images import decoding_bytes, fit_image
from bot.errors import FileProblem


def picture(form: str) -> bytes:
    file = io.BytesIO()
    Pillow.linear_gradient("L").save(file, form)
    return file.getvalue()


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    return len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4)


def png_with(kind: bytes, before: bytes) -> Callable[[int], bytes]:
    def make(count: int) -> bytes:
        data = picture("PNG")
        at = data.index(before) - 4
        return data[:at] + chunk(kind) * count + data[at:]

    return make


def jpeg_with(part: bytes) -> Callable[[int], bytes]:
    def make(count: int) -> bytes:
        data = picture("JPEG")
        at = 4 + int.from_bytes(data[4:6])  # after the first segment
        return data[:at] + part * count + data[at:]

    return make


def gif_with_comments(count: int) -> bytes:
    data = picture("GIF")
    at = data.index(b",\0\0\0\0")
    return data[:at] + b"!\xfe" + b"\1." * count + b"\0" + data[at:]


WAYS: dict[str, Callable[[int], bytes]] = {
    "PNG, unknown chunks": png_with(b"abCd", b"IDAT"),
    "PNG, empty chunks of pixels": png_with(b"IDAT", b"IDAT"),
    "PNG, chunks after the pixels": png_with(b"abCd", b"IEND"),
    "JPEG, comments": jpeg_with(b"\xff\xfe\x00\x02"),
    "JPEG, bytes that belong nowhere": jpeg_with(b"\0"),
    "JPEG, bytes that only fill": jpeg_with(b"\xff"),
    "JPEG, escaped bytes": jpeg_with(b"\xff\x00"),
    "GIF, blocks of comments": gif_with_comments,
}


@pytest.mark.parametrize("way", WAYS)
def test_too_many_parts_are_refused_and_a_few_are_not(way: str) -> None:
    with pytest.raises(FileProblem, match="broken"):
        decoding_bytes(WAYS[way](MAX_PARTS))
    assert fit_image(WAYS[way](100), "a picture").data

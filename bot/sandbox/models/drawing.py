"""Pictures for the demo models that see and draw."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io

from PIL import Image, ImageDraw, UnidentifiedImageError


def describe(url: str) -> str:
    """What can be said about the picture in a data URL."""
    head, _, data = url.partition(",")
    try:
        raw = base64.b64decode(data, validate=True)
        with Image.open(io.BytesIO(raw)) as image:
            width, height = image.size
            return f"a {image.format} picture, {width} × {height} pixels, {len(raw):,} bytes"
    except (binascii.Error, UnidentifiedImageError, OSError, ValueError):
        return f"something that is no picture I can open ({head[:40] or 'nothing'})"


def painted(text: str) -> bytes:
    """A PNG of coloured circles, determined by the text."""
    seed = hashlib.sha256(text.encode()).digest()
    canvas = Image.new("RGB", (640, 420), (246, 243, 236))
    draw = ImageDraw.Draw(canvas, "RGBA")
    for at in range(0, len(seed) - 5, 3):
        x, y, size = seed[at] * 640 // 255, seed[at + 1] * 420 // 255, 30 + seed[at + 2] // 2
        colour = (seed[at + 3], seed[at + 4], seed[at + 5], 170)
        draw.ellipse((x - size, y - size, x + size, y + size), fill=colour)
    written = io.BytesIO()
    canvas.save(written, "PNG")
    return written.getvalue()

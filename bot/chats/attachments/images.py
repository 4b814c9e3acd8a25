"""Pictures as models take them: known by their bytes, seen to be whole, and no larger than of use.

This works hard on strangers' data: call it in a thread, one picture at a time.
"""

from __future__ import annotations

import io
import re

from PIL import GifImagePlugin, ImageOps, JpegImagePlugin, PngImagePlugin, WebPImagePlugin
from PIL import Image as Pillow
from PIL.ImageFile import ImageFile

from bot.domain import Image
from bot.errors import FileProblem

MAX_EDGE = 1568
"""Pixels of the longer side beyond which models see no more."""
MAX_SENT_BYTES = 4_000_000
"""Bytes of one picture as it is sent."""
MAX_PIXELS = 50_000_000
"""A picture is decoded only up to here: a small file may unfold to fill the memory."""
IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_SIGNS: tuple[tuple[str, bytes], ...] = (
    ("image/png", rb"\x89PNG\r\n\x1a\n"),
    ("image/jpeg", rb"\xff\xd8\xff"),
    ("image/gif", rb"GIF8[79]a"),
    ("image/webp", rb"RIFF.{4}WEBP"),
)
# By their classes and not by `Image.open`, which would try other formats and warn of large ones on stderr.
_DECODERS: dict[str, type[ImageFile]] = {
    "image/png": PngImagePlugin.PngImageFile,
    "image/jpeg": JpegImagePlugin.JpegImageFile,
    "image/gif": GifImagePlugin.GifImageFile,
    "image/webp": WebPImagePlugin.WebPImageFile,
}


def image_type(data: bytes) -> str | None:
    """What kind of picture these bytes are, of the kinds that models take; names and claims are not believed."""
    return next((mime for mime, sign in _SIGNS if re.match(sign, data[:16], re.DOTALL)), None)


def fit_image(data: bytes, name: str) -> Image:
    """The picture as it is sent: as it came where that will do, else upright, still, and scaled down.

    Raises FileProblem: `kind` for what is none of the four kinds, `broken`, or `too_large`.
    """
    mime = image_type(data)
    if mime is None:
        raise FileProblem("kind")
    try:
        with _DECODERS[mime](io.BytesIO(data)) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise FileProblem("too_large")
            if _fits(picture, mime, len(data)):
                picture.load()  # a broken one fails here
                return Image(name, mime, data)
            return _scaled(picture, mime, name)
    except FileProblem:
        raise
    except Exception as error:  # decoders fail in many ways on what is broken
        raise FileProblem("broken") from error


def _fits(picture: ImageFile, mime: str, size: int) -> bool:
    """Moving pictures are refused by many models, and what a camera tells of place and time is nobody's business."""
    if (
        max(picture.size) > MAX_EDGE
        or size > MAX_SENT_BYTES
        or getattr(picture, "is_animated", False)
    ):
        return False
    return mime == "image/gif" or not picture.getexif()


def _scaled(picture: ImageFile, mime: str, name: str) -> Image:
    picture.draft("RGB", (MAX_EDGE, MAX_EDGE))  # lets JPEG be decoded small; the others ignore it
    upright = ImageOps.exif_transpose(picture)
    plain = _simple(upright)
    plain.thumbnail((MAX_EDGE, MAX_EDGE), Pillow.Resampling.LANCZOS)
    if (
        mime != "image/jpeg"
        and len(data := _written(plain, "PNG", optimize=True)) <= MAX_SENT_BYTES
    ):
        return Image(name, "image/png", data)
    solid = plain
    if plain.mode == "RGBA":
        solid = Pillow.new("RGB", plain.size, "white")
        solid.paste(plain, mask=plain.getchannel("A"))
    for quality in (88, 70, 50):
        if len(data := _written(solid, "JPEG", quality=quality)) <= MAX_SENT_BYTES:
            break
    return Image(name, "image/jpeg", data)


def _simple(picture: Pillow.Image) -> Pillow.Image:
    """In grey, colours, or colours with transparency, eight bits each."""
    if picture.mode.startswith("I"):  # sixteen bits of grey
        return picture.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if picture.has_transparency_data:
        return picture.convert("RGBA")
    return picture if picture.mode in ("L", "RGB") else picture.convert("RGB")


def _written(picture: Pillow.Image, form: str, **options: int) -> bytes:
    """The file, without what the original may have told beside the picture."""
    picture.info = {}
    written = io.BytesIO()
    picture.save(written, form, **options)
    return written.getvalue()

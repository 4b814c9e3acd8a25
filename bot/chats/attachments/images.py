"""Makes images fit for models: detects the format from the bytes, checks that the image is complete, scales it down.

This decodes untrusted data and needs much processor time: call it in a thread, one image at a time.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import GifImagePlugin, ImageOps, JpegImagePlugin, PngImagePlugin, WebPImagePlugin
from PIL import Image as Pillow
from PIL.ImageFile import ImageFile

from bot.chats.attachments.image_parts import has_too_many_parts
from bot.domain import Image
from bot.errors import FileProblem

MAX_EDGE = 1568
"""Pixels of the longer side: models do not use more."""
MAX_SENT_BYTES = 4_000_000
"""Bytes of one image as it is sent to a model."""
MAX_PIXELS = 50_000_000
"""Images with more pixels are not decoded: a small file may expand to fill the memory."""
MAX_DECODED_BYTES = 220_000_000
"""Images whose decoder needs more memory than this are not decoded either; some formats need it for fewer pixels."""
_BAND_PIXELS = 1_000_000
"""How many pixels of a decoded image are converted and reduced at a time."""
IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_ORIENTATION = 0x0112
"""The EXIF tag that says how a picture must be turned."""
_SIGNATURES: tuple[tuple[str, bytes], ...] = (
    ("image/png", rb"\x89PNG\r\n\x1a\n"),
    ("image/jpeg", rb"\xff\xd8\xff"),
    ("image/gif", rb"GIF8[79]a"),
    ("image/webp", rb"RIFF.{4}WEBP"),
)
# Not `Image.open`, which would try other formats, and warn about large images on stderr.
_DECODERS: dict[str, type[ImageFile]] = {
    "image/png": PngImagePlugin.PngImageFile,
    "image/jpeg": JpegImagePlugin.JpegImageFile,
    "image/gif": GifImagePlugin.GifImageFile,
    "image/webp": WebPImagePlugin.WebPImageFile,
}


def image_type(data: bytes) -> str | None:
    """The MIME type of these bytes, if models accept it. File names and declared types are not trusted."""
    return next(
        (mime for mime, signature in _SIGNATURES if re.match(signature, data[:16], re.DOTALL)), None
    )


def decoding_bytes(data: bytes) -> int:
    """How much memory `fit_image` needs at most, according to the image's header.

    Raises FileProblem: `kind` for another format, `broken`, or `too_large`.
    """
    with _opened(data) as (picture, mime):
        return int(picture.width * picture.height * _bytes_per_pixel(picture, mime))


def fit_image(data: bytes, name: str) -> Image:
    """The image as it is sent: unchanged if it fits, else turned upright, reduced to its first frame, and scaled down.

    Raises FileProblem like `decoding_bytes`.
    """
    with _opened(data) as (picture, mime):
        if _fits(picture, mime, len(data)):
            picture.load()  # fails if the image is broken
            return Image(name, mime, data)
        return _scaled(picture, mime, name)


@contextmanager
def _opened(data: bytes) -> Iterator[tuple[ImageFile, str]]:
    """The image, not decoded yet, and its MIME type. Any problem with it is a FileProblem."""
    mime = image_type(data)
    if mime is None:
        raise FileProblem("kind")
    if has_too_many_parts(data, mime):
        raise FileProblem("broken")
    try:
        with _DECODERS[mime](io.BytesIO(data)) as picture:
            pixels = picture.width * picture.height
            needed = pixels * _bytes_per_pixel(picture, mime)
            if pixels > MAX_PIXELS or needed > MAX_DECODED_BYTES:
                raise FileProblem("too_large")
            yield picture, mime
    except FileProblem:
        raise
    except Exception as error:  # decoders raise many kinds of errors for broken images
        raise FileProblem("broken") from error


def _bytes_per_pixel(picture: ImageFile, mime: str) -> float:
    """Measured for the decoders of Pillow 12, with a small margin."""
    if mime == "image/webp":
        return 17.0  # its decoder keeps two canvases besides the image that it returns
    if mime == "image/jpeg":  # decoded at a smaller size, but a progressive one is kept whole
        return 2.0 * len(picture.getbands()) + 0.5 if "progressive" in picture.info else 1.0
    return 1.4 if picture.mode in ("1", "L", "P") else 4.4


def _fits(picture: ImageFile, mime: str, size: int) -> bool:
    """Whether the image can be sent unchanged: many models reject animations, and EXIF data may contain a location."""
    if (
        max(picture.size) > MAX_EDGE
        or size > MAX_SENT_BYTES
        or getattr(picture, "is_animated", False)
    ):
        return False
    return mime == "image/gif" or not picture.getexif()


def _scaled(picture: ImageFile, mime: str, name: str) -> Image:
    # decodes a JPEG at a smaller size; other formats ignore this
    picture.draft("RGB", (MAX_EDGE, MAX_EDGE))
    plain = _reduced(picture)
    plain.thumbnail((MAX_EDGE, MAX_EDGE), Pillow.Resampling.LANCZOS)
    plain.getexif()[_ORIENTATION] = picture.getexif().get(_ORIENTATION, 1)
    ImageOps.exif_transpose(plain, in_place=True)
    if (
        mime != "image/jpeg"
        and len(data := _encoded(plain, "PNG", optimize=True)) <= MAX_SENT_BYTES
    ):
        return Image(name, "image/png", data)
    solid = plain
    if plain.mode == "RGBA":
        solid = Pillow.new("RGB", plain.size, "white")
        solid.paste(plain, mask=plain.getchannel("A"))
    for quality in (88, 70, 50):
        if len(data := _encoded(solid, "JPEG", quality=quality)) <= MAX_SENT_BYTES:
            break
    return Image(name, "image/jpeg", data)


def _reduced(picture: ImageFile) -> Pillow.Image:
    """The image in mode L, RGB or RGBA, at most twice the final size.

    Done in bands, because converting a whole image takes as much memory as decoding it.
    """
    picture.load()
    factor = max(1, max(picture.size) // MAX_EDGE)
    width, height = picture.size
    step = max(1, _BAND_PIXELS // width // factor) * factor
    whole: Pillow.Image | None = None
    for top in range(0, height, step):
        band = picture.crop((0, top, width, min(height, top + step)))
        part = _in_plain_mode(band).reduce(factor)
        if whole is None:
            whole = Pillow.new(part.mode, (part.width, -(-height // factor)))
        whole.paste(part, (0, top // factor))
    assert whole is not None
    return whole


def _in_plain_mode(picture: Pillow.Image) -> Pillow.Image:
    """The image in mode L, RGB or RGBA."""
    if picture.mode.startswith("I"):  # 16-bit grey
        return picture.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if picture.has_transparency_data:
        return picture.convert("RGBA")
    return picture if picture.mode in ("L", "RGB") else picture.convert("RGB")


def _encoded(picture: Pillow.Image, form: str, **options: int) -> bytes:
    """The encoded file, without the original's metadata."""
    picture.info = {}
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()

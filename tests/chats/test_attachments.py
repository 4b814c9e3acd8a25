"""The rules for what may be sent with a message: descriptions, texts, images."""

from __future__ import annotations

import contextlib
import io
import re
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from bot import sentences, strings
from bot.chats.attachments import rules
from bot.chats.attachments.images import MAX_EDGE, MAX_SENT_BYTES, fit_image, image_type
from bot.chats.attachments.rules import MAX_TEXT_LENGTH, AttachmentReport, FileKind, TextFile
from bot.domain import SharedFile
from bot.errors import FileProblem
from bot.text.charsets import decode_text
from handlers.views.message_content import own_files, shared_file

URL = "https://files.slack.com/files-pri/T1-F1/a"


def file(mime: str = "", name: str = "a", **more: object) -> SharedFile:
    return replace(SharedFile("F1", name, mime, 10, URL), **more)  # type: ignore[arg-type]


# -- descriptions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mime", "kind"),
    [
        ("image/png", FileKind.IMAGE),
        ("image/heic", FileKind.IMAGE),
        ("IMAGE/JPEG", FileKind.IMAGE),
        ("image/svg+xml", FileKind.TEXT),
        ("text/plain", FileKind.TEXT),
        ("text/x-rust", FileKind.TEXT),
        ("application/json", FileKind.TEXT),
        ("application/ld+json", FileKind.TEXT),
        ("application/x-sh", FileKind.TEXT),
        ("application/octet-stream", FileKind.UNKNOWN),
        ("video/mp2t", FileKind.UNKNOWN),
        ("", FileKind.UNKNOWN),
        ("application/pdf", FileKind.DOCUMENT),
        ("application/zip", FileKind.OTHER),
        ("audio/mpeg", FileKind.AUDIO),
        ("video/mp4", FileKind.OTHER),
        (
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            FileKind.DOCUMENT,
        ),
    ],
)
def test_kind_follows_from_the_description(mime: str, kind: FileKind) -> None:
    assert rules.kind_of(file(mime)) is kind


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (file("text/plain"), None),
        (file("image/png"), None),
        (file("image/jpg"), None),
        (file("application/pdf"), None),
        (file("application/pdf", size=20_000_001), "large_document"),
        (file("video/mp4"), "kind"),
        (file("application/pdf", mode="snippet"), None),
        (file("image/tiff"), "kind"),
        (file("image/tiff", thumb=URL), None),
        (file("image/png", size=20_000_001), "too_large"),
        (file("image/png", size=20_000_001, thumb=URL), None),
        (file("text/plain", size=900_000_000), None),
        (file("text/plain", mode="tombstone"), "gone"),
        (file("image/png", mode="hidden_by_limit"), "hidden"),
        (file("image/png", mode="external"), "external"),
    ],
)
def test_problem_follows_from_the_description(given: SharedFile, problem: str | None) -> None:
    assert rules.problem_of(given) == problem


def test_files_beyond_the_limit_are_marked() -> None:
    reviewed = rules.mark_unreadable([file("text/plain")] * 12)
    assert [each.problem for each in reviewed] == [None] * 10 + ["too_many"] * 2


@pytest.mark.parametrize(
    ("text", "mimes", "sees", "unusable"),
    [
        ("", [], True, False),
        ("", ["video/mp4"], True, True),
        ("hi", ["video/mp4"], True, False),
        ("", ["video/mp4", "text/plain"], True, False),
        ("", ["image/png"], True, False),
        ("", ["image/png"], False, True),
        ("hi", ["image/png"], False, False),
        ("", ["image/png", "text/plain"], False, False),
        ("", ["application/octet-stream"], False, False),
    ],
)
def test_message_of_only_unusable_files_is_recognised(
    text: str, mimes: list[str], sees: bool, unusable: bool
) -> None:
    assert (
        rules.only_unusable_files(text, rules.mark_unreadable(map(file, mimes)), sees) is unusable
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=5,
)
KEYS = st.sampled_from(
    [
        "id",
        "name",
        "title",
        "mimetype",
        "size",
        "mode",
        "url_private",
        "thumb_1024",
        "file_access",
        "is_external",
    ]
)


@given(st.one_of(JSON, st.lists(st.dictionaries(KEYS, JSON, max_size=10))))
def test_any_file_description_from_slack_is_parsed_or_ignored(description: object) -> None:
    described = (
        [each for each in description if isinstance(each, dict)]
        if isinstance(description, list)
        else []
    )
    found = rules.mark_unreadable(own_files({"files": description}))
    assert [each.id for each in found] == [
        each["id"] for each in described if isinstance(each.get("id"), str)
    ]
    assert all(isinstance(each.name, str) and isinstance(each.mime, str) for each in found)
    assert all(each.problem is None or each.problem in strings.FILE_PROBLEMS for each in found)
    rules.report_sentences(AttachmentReport(tuple(each for each in found if each.problem)))


def test_largest_thumbnail_is_chosen() -> None:
    description = {"id": "F1", "thumb_360": "small", "thumb_960": "large", "thumb_64": "tiny"}
    found = shared_file(description)
    assert found is not None
    assert found.thumb == "large"


# -- sentences ---------------------------------------------------------------------------------------------------------


def test_files_with_the_same_problem_share_a_sentence() -> None:
    def named(name: str, problem: str) -> SharedFile:
        return file(name=name, problem=problem)

    report = AttachmentReport(
        (named("a", "kind"), named("b", "gone"), named("c", "kind"), named("d", "kind")), ("e", "f")
    )
    assert rules.report_sentences(report, shown=str.upper) == [
        sentences.file_problem("kind", "A, C and D"),
        sentences.file_problem("gone", "B"),
        strings.FILES_CUT.format(names="E and F", count=MAX_TEXT_LENGTH),
    ]


@given(st.text())
def test_short_name_is_one_short_line(name: str) -> None:
    shown = rules.short_name(name)
    assert 0 < len(shown) <= 80
    assert len(shown.splitlines()) == 1


# -- texts -------------------------------------------------------------------------------------------------------------

TEXTS = st.lists(st.text(alphabet=st.sampled_from("`ab \n"), max_size=40), max_size=5)


@given(st.text(max_size=20), TEXTS)
def test_attached_text_cannot_close_its_fence(said: str, contents: list[str]) -> None:
    """Every text is found again, unchanged, between its fences."""
    texts = [TextFile(f"{n}.txt", "txt", content) for n, content in enumerate(contents)]
    whole, cut = rules.append_texts(said, texts)
    assert cut == ()
    assert whole.startswith(said)
    for number, content in enumerate(contents):
        begin = whole.index(f"Attached: {number}.txt\n")
        fence = re.match(r"Attached: \d\.txt\n(`+)txt\n", whole[begin:])
        assert fence is not None
        inside = whole[begin + fence.end() :]
        assert inside.startswith(f"{content}\n{fence[1]}")
        assert fence[1] not in content


@given(st.lists(st.integers(0, 150_000), max_size=4), st.booleans())
def test_texts_never_exceed_the_limit(lengths: list[int], more: bool) -> None:
    texts = [TextFile(f"{n}", "", "x" * length, truncated=more) for n, length in enumerate(lengths)]
    whole, cut = rules.append_texts("", texts)
    kept = sum(len(run) for run in re.findall(r"(?<=\n)x+(?=\n)", whole))
    assert kept == min(MAX_TEXT_LENGTH, sum(lengths))
    over = [n for n, _ in enumerate(lengths) if more or sum(lengths[: n + 1]) > MAX_TEXT_LENGTH]
    assert cut == tuple(str(n) for n in over if more or lengths[n] > 0)


@given(
    st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"])),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_unicode_texts_are_decoded_unchanged(text: str, encoding: str) -> None:
    if not text.startswith("\ufeff"):
        assert decode_text(text.encode(encoding)) == text


@given(st.text(alphabet="aé漢🙂", min_size=1), st.integers(0, 3))
def test_text_cut_within_a_character_loses_only_that_character(text: str, lost: int) -> None:
    data = text.encode()[: len(text.encode()) - lost]
    assert decode_text(data, cut=True) == data.decode("utf-8", "ignore")


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
        b"PK\x03\x04\x14\x00\x00\x00\x08\x00abcdef",
        b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\x00\x01\x02\x03\x04",
        b"\x7fELF\x02\x01\x01" + bytes(60),
        bytes(range(256)) * 4,
    ],
)
def test_binary_data_is_not_decoded(data: bytes) -> None:
    assert decode_text(data) is None


@given(st.binary(max_size=300), st.booleans())
def test_decoding_never_raises(data: bytes, cut: bool) -> None:
    text = decode_text(data, cut=cut)
    assert text is None or "\x00" not in text


# -- images ------------------------------------------------------------------------------------------------------------


def drawn(form: str, size: tuple[int, int], mode: str = "RGB", **options: object) -> bytes:
    written = io.BytesIO()
    Image.new(mode, size, 120 if mode in ("L", "P", "I;16") else None).save(
        written, form, **options
    )
    return written.getvalue()


def opened(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image


@given(
    st.sampled_from(["PNG", "JPEG", "GIF", "WEBP"]),
    st.tuples(st.integers(1, 2500), st.integers(1, 400)),
    st.booleans(),
    st.sampled_from(["RGB", "L", "P", "1", "LA", "RGBA", "CMYK", "I;16"]),
)
@example("PNG", (2500, 2500), False, "RGBA")
@example("JPEG", (2500, 2500), False, "CMYK")
def test_fitted_image_is_within_the_limits(
    form: str, size: tuple[int, int], upright: bool, mode: str
) -> None:
    width, height = reversed(size) if upright else size
    try:
        data = drawn(form, (width, height), mode)
    except (OSError, ValueError):  # a format that does not know this mode
        return
    image = fit_image(data, "a")

    shown = opened(image.data)
    assert image.mime == image_type(image.data) == Image.MIME[shown.format or ""]
    assert max(shown.size) <= MAX_EDGE
    assert len(image.data) <= MAX_SENT_BYTES
    assert (
        abs(shown.width / shown.height - width / height) <= 0.5 + width / height * 0.5
        or min(shown.size) == 1
    )
    if max(width, height) <= MAX_EDGE:
        assert image.data == data


def test_photo_is_turned_upright_and_loses_its_metadata() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the photo lies on its side
    exif[0x9286] = "at home"
    image = fit_image(drawn("JPEG", (60, 40), exif=exif), "a")

    assert opened(image.data).size == (40, 60)
    assert len(opened(image.data).getexif()) == 0


@pytest.mark.parametrize("form", ["GIF", "WEBP"])
def test_animation_is_reduced_to_its_first_frame(form: str) -> None:
    written = io.BytesIO()
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(written, form, save_all=True, append_images=frames[1:])
    image = fit_image(written.getvalue(), "a")

    assert image.mime == "image/png"
    assert opened(image.data).convert("RGB").getpixel((5, 5)) == pytest.approx((255, 0, 0), abs=8)


def test_transparency_survives_scaling() -> None:
    image = fit_image(drawn("PNG", (3000, 10), "RGBA"), "a")
    assert opened(image.data).mode == "RGBA"


def test_16_bit_grey_keeps_its_shade_when_scaled() -> None:
    written = io.BytesIO()
    Image.new("I;16", (2000, 10), 0x8000).save(written, "PNG")
    assert opened(fit_image(written.getvalue(), "a").data).getpixel((5, 2)) == 128


@given(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP"]), st.data())
def test_damaged_image_is_rejected_or_decodable(form: str, data: st.DataObject) -> None:
    """Cut anywhere, or with one byte changed: no other error, and no image that cannot be opened."""
    good = bytearray(drawn(form, (70, 50)))
    if data.draw(st.booleans()):
        del good[data.draw(st.integers(0, len(good) - 1)) :]
    else:
        good[data.draw(st.integers(0, len(good) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(FileProblem):
        assert max(opened(fit_image(bytes(good), "a").data).size) <= MAX_EDGE

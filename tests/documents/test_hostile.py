"""Documents that are broken, locked or malicious: each ends with its problem, within limits, and harms nobody."""

from __future__ import annotations

import asyncio
import random
import resource
from collections.abc import Callable
from dataclasses import replace

import pytest

from bot.documents.archive import MAX_UNPACKED
from bot.documents.kinds import Container, container_of
from bot.documents.problems import DocumentError, DocumentProblem
from bot.documents.reader import DocumentBusy, DocumentReader
from bot.timing import Timing
from tests.documents import bombs, samples
from tests.documents.test_formats import CONTENT, PATIENT

ENTITIES = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)


def forged_bomb() -> bytes:
    """An archive that says it holds little, and unpacks to 300 MB."""
    bomb = samples.archive(
        {"mimetype": "application/epub+zip", "a.bin": bytes(MAX_UNPACKED + 100_000_000)}
    )
    size = (MAX_UNPACKED + 100_000_000).to_bytes(4, "little")
    return bomb.replace(size, (1000).to_bytes(4, "little"))


def self_referring_form() -> bytes:
    """A PDF whose form draws itself, so that a reader that follows it never ends."""
    form = (
        "<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /F 6 0 R >> >> /Length 11 >>\n"
        "stream\n/F Do /F Do\nendstream"
    )
    return samples.pdf("", extra=form).replace(b"/Font << /F1 3 0 R >>", b"/XObject << /F 6 0 R >>")


PROBLEMS: dict[str, tuple[Callable[[], bytes], str, set[DocumentProblem]]] = {
    "a scan": (lambda: samples.pdf("", ""), "a.pdf", {DocumentProblem.SCAN}),
    "a scan with a comment": (samples.commented_scan, "a.pdf", {DocumentProblem.SCAN}),
    "an empty letter": (lambda: samples.docx(""), "a.docx", {DocumentProblem.SCAN}),
    "a locked pdf": (samples.locked_pdf, "a.pdf", {DocumentProblem.LOCKED}),
    "a locked office file": (
        lambda: OLE + "EncryptedPackage".encode("utf-16-le"),
        "a.docx",
        {DocumentProblem.LOCKED},
    ),
    "an old format": (
        lambda: OLE + "WordDocument".encode("utf-16-le"),
        "a.doc",
        {DocumentProblem.OLD_FORMAT},
    ),
    "an archive": (lambda: samples.archive({"a.txt": "hello"}), "a.zip", {DocumentProblem.UNKNOWN}),
    "only a header": (lambda: b"%PDF-1.7\n", "a.pdf", {DocumentProblem.BROKEN}),
    "half an archive": (lambda: samples.docx()[:400], "a.docx", {DocumentProblem.BROKEN}),
    "a letter without its text": (
        lambda: samples.archive({"word/x.xml": "<x/>"}),
        "a.docx",
        {DocumentProblem.BROKEN},
    ),
    "many laughs": (
        lambda: samples.odt("<text:p>&b;</text:p>", ENTITIES),
        "a.odt",
        {DocumentProblem.BROKEN},
    ),
    "many laughs in a book": (
        lambda: bombs.with_members(
            samples.epub(), OPS__book_opf=(ENTITIES + "<x>&b;</x>").encode()
        ),
        "a.epub",
        {DocumentProblem.BROKEN},
    ),
    "a file of the server": (
        lambda: samples.odt("<text:p>&a;</text:p>", OUTSIDE),
        "a.odt",
        {DocumentProblem.BROKEN},
    ),
    "a file of the server in UTF-16": (
        lambda: samples.archive({"word/document.xml": (OUTSIDE + "<x>&a;</x>").encode("utf-16")}),
        "a.docx",
        {DocumentProblem.BROKEN},
    ),
    "a bomb": (
        lambda: samples.archive({"xl/a.bin": bytes(MAX_UNPACKED + 1)}),
        "a.xlsx",
        {DocumentProblem.TOO_COMPLEX},
    ),
    "a bomb with forged sizes": (
        forged_bomb,
        "a.epub",
        {DocumentProblem.TOO_COMPLEX, DocumentProblem.BROKEN},
    ),
    "a form within itself": (
        self_referring_form,
        "a.pdf",
        {DocumentProblem.SCAN, DocumentProblem.TOO_COMPLEX},
    ),
    "no e-mail": (lambda: b"\0\1\2 nothing", "a.eml", {DocumentProblem.BROKEN}),
}


@pytest.mark.parametrize("name", PROBLEMS)
async def test_a_hostile_document_ends_with_its_problem(name: str) -> None:
    make, file_name, expected = PROBLEMS[name]
    data = make()
    container = container_of(data, file_name)
    assert container is not None
    with pytest.raises(DocumentError) as raised:
        await DocumentReader(PATIENT).read("T1", container, data, 200_000)
    assert raised.value.problem in expected


async def test_tags_nested_without_end_are_read_as_plain_text() -> None:
    data = b"<div>" * 100_000 + b"deep" + b"</div>" * 100_000
    found = await DocumentReader(PATIENT).read("T1", Container.HTML, data, 200_000)
    assert found.text == "deep"


@pytest.mark.parametrize("suffix", ["pdf", "docx", "xlsx", "pptx", "rtf"])
async def test_damaged_documents_never_end_otherwise_than_in_text_or_a_problem(suffix: str) -> None:
    whole, chance = CONTENT[suffix][0](), random.Random(suffix)
    reader = DocumentReader(PATIENT)
    for _ in range(3):
        data = bytearray(whole)
        for _ in range(20):
            data[chance.randrange(16, len(data))] = chance.randrange(256)
        container = container_of(bytes(data), f"a.{suffix}")
        assert container is not None
        try:
            found = await reader.read("T1", container, bytes(data), 1000)
            assert len(found.text) <= 1000
        except DocumentError:
            pass


async def test_a_document_that_takes_too_long_is_ended() -> None:
    reader = DocumentReader(replace(Timing(), document_timeout=0.0))
    with pytest.raises(DocumentError) as raised:
        await reader.read("T1", Container.PDF, samples.pdf("x"), 1000)
    assert raised.value.problem is DocumentProblem.TOO_COMPLEX


async def test_a_document_that_gets_no_turn_is_reported_and_frees_its_place() -> None:
    reader = DocumentReader(replace(PATIENT, document_queue_timeout=0.05))
    first = asyncio.create_task(reader.read("T1", Container.HTML, b"<p>first</p>", 1000))
    await asyncio.sleep(0)
    with pytest.raises(DocumentBusy):
        await reader.read("T1", Container.HTML, b"<p>second</p>", 1000)
    assert (await first).text == "first"
    assert (await reader.read("T1", Container.HTML, b"<p>third</p>", 1000)).text == "third"


async def test_a_document_waits_for_a_machine_that_has_no_room_for_its_process() -> None:
    reader = DocumentReader(PATIENT)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(DocumentBusy):
            await reader.read("T1", Container.HTML, b"<p>now</p>", 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (await reader.read("T1", Container.HTML, b"<p>later</p>", 1000)).text == "later"

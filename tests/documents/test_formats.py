"""Every kind of document becomes Markdown: headings and tables, and the names of pages, sheets and slides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bot.documents.kinds import Container, container_of, is_document
from bot.documents.reader import DocumentReader, DocumentText
from bot.documents.worker import convert
from bot.timing import Timing
from tests.documents import bombs, samples
from tests.slow import slow_after

PATIENT = replace(Timing(), document_timeout=300.0, document_queue_timeout=300.0)
"""A busy machine makes no difference; the processor time that a document may take stays limited."""
TABLE = "| Thing | Price |\n| --- | --- |\n| a\\|b | 3 |"
CONTENT: dict[str, tuple[Callable[[], bytes], list[str]]] = {
    "pdf": (
        lambda: samples.pdf("Bobbins cost", "three euros"),
        ["### Page 1\n\nBobbins cost", "### Page 2\n\nthree"],
    ),
    "docx": (samples.docx, ["# Prices", "Bobbins cost three euros.", TABLE]),
    "xlsx": (
        samples.xlsx,
        [f"### Sheet: Prices\n\n{TABLE}\n| Ünï | 4.5 |", "### Sheet: Notes", "far away"],
    ),
    "pptx": (
        samples.pptx,
        ["### Slide 1\n\n**Prices**", TABLE, "Notes: Speak slowly.", "### Slide 2\n\nThe end"],
    ),
    "odt": (samples.odt, ["## Prices", "Bobbins  cost three euros.", "- one\n  - two", TABLE]),
    "ods": (samples.ods, [f"### Sheet: Prices\n\n{TABLE}"]),
    "rtf": (samples.rtf, ["Bobbins cost three euros, über all.\nThe end"]),
    "epub": (
        samples.epub,
        ["# On Bobbins\n\n", "## First\n\nBobbins cost three euros.", "## Second\n\nThe end"],
    ),
    "html": (samples.html, ["# Shop\n\n## Prices", "Bobbins cost **three** euros.", TABLE]),
    "eml": (
        samples.eml,
        [
            "From: Ada <ada@example.com>",
            "Subject: Prices für Bobbins",
            "Bobbins cost three euros.",
            "offer.pdf",
        ],
    ),
}

UNUSUAL: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "a table without the end of its row": (
        lambda: (
            rb"{\rtf1 Before\par\trowd x\cell \pard After\par More\par\trowd y\cell z\cell\row}"
        ),
        "a.rtf",
        "Before\n\n| x |\n| --- |\n\nAfter\nMore\n\n| y | z |\n| --- | --- |",
    ),
    "a page in UTF-8 that says UTF-16": (
        lambda: '<meta charset="utf-16"><p>Grüße</p>'.encode(),
        "a.html",
        "Grüße",
    ),
    "a list with a number to begin with": (
        lambda: b"<ol start=9><li>a<li><p>b<p>c<ol><li>d</ol><li></ol>",
        "a.html",
        "9. a\n10. b\n\n    c\n\n    1. d",
    ),
    "a workbook with backslashes in its names": (
        lambda: bombs.with_backslashes(
            bombs.sheet(f"<sheetData><row>{bombs.cell('A1', 'x')}</row></sheetData>")
        ),
        "a.xlsx",
        "### Sheet: Far\n\n| x |\n| --- |",
    ),
    "a book with entities and sections": (
        lambda: bombs.with_members(
            samples.epub(),
            OPS__two_xhtml=b'<!DOCTYPE html [<!ENTITY x "y">]><p>one<![CDATA[ <!ENTITY x "y"> ]]>two</p>',
        ),
        "a.epub",
        '# On Bobbins\n\n## First\n\nBobbins cost three euros.\n\none <!ENTITY x "y"> two',
    ),
    "a page with sections in scripts and without an end": (
        lambda: (
            b"<script src='x'/></script><style>/*<![CDATA[*/ p {} /*]]>*/</style><p>a</p>"
            b"<!-- <![CDATA[ --><script>//<![CDATA[\nx('<p>')\n//]]></script><p>b<![CDATA[ <c> ]]></p>"
            b"<SCRIPT>//<![CDATA[\nx()</SCRIPT><p>d <![CDATA[e]] ]]></p>"
            b"<pre>f <![CDATA[ g</pre><p>h<script>//<![CDATA[\n//]]></script></p><p>i <![CDATA[ j</p><p>k</p>"
        ),
        "a.html",
        "a\n\nb <c>\n\nd e]]\n\n```\nf <![CDATA[ g\n```\n\nh\n\ni <![CDATA[ j\n\nk",
    ),
}
"""Documents as some programs and people leave them, with the whole of their text."""


BESIDE: dict[str, tuple[Callable[[], bytes], list[str]]] = {
    "docx": (
        samples.docx,
        [
            "word/charts/chart1.xml",
            "word/diagrams/data1.xml",
            "word/header1.xml",
            "word/styles.xml",
            "word/comments.xml",
            "word/numbering.xml",
            "word/_rels/document.xml.rels",
        ],
    ),
    "xlsx": (samples.xlsx, ["xl/worksheets/_rels/sheet1.xml.rels", "docProps/app.xml"]),
    "pptx": (samples.pptx, ["ppt/notesSlides/notesSlide1.xml", "ppt/slides/_rels/slide1.xml.rels"]),
    "odt": (samples.odt, ["styles.xml", "meta.xml"]),
}
"""Parts beside the text, without which a document can be read."""


async def read(data: bytes, name: str, limit: int = 200_000) -> DocumentText:
    container = container_of(data, name)
    assert container is not None
    return await DocumentReader(PATIENT).read("T1", container, data, limit)


@pytest.mark.parametrize("suffix", CONTENT)
async def test_a_document_becomes_markdown(suffix: str) -> None:
    make, expected = CONTENT[suffix]
    found = (await read(make(), f"prices.{suffix}")).text
    for piece in expected:
        assert piece in found
    assert "evil" not in found
    assert "Empty" not in found


@pytest.mark.parametrize("name", UNUSUAL)
def test_an_unusual_document_is_read_whole(name: str) -> None:
    make, file_name, expected = UNUSUAL[name]
    data = make()
    container = container_of(data, file_name)
    assert container is not None
    assert convert(container, data, 200_000).get("text") == expected


@pytest.mark.parametrize("suffix", BESIDE)
@pytest.mark.parametrize("content", [b"", b"<half"])
def test_only_the_broken_part_beside_the_text_is_lost(suffix: str, content: bytes) -> None:
    make, parts = BESIDE[suffix]
    whole = make()
    for part in parts:
        data = bombs.with_parts(whole, {part: content})
        assert "Price" in str(convert(Container.ZIP, data, 200_000).get("text")), part


async def test_a_page_may_lack_what_a_parser_adds() -> None:
    page = b"<!DOCTYPE html><meta charset=utf-8><title>T</title><section><h2>Prices</h2>"
    page += (
        b"<table><tr><th>Thing<th>Price<tr><td>a|b<td>3</table><ul><li>one<li>two</ul></section>"
    )
    found = (await read(page, "a.html")).text
    assert found == f"# T\n\n## Prices\n\n{TABLE}\n\n- one\n- two"


@pytest.mark.parametrize("suffix", slow_after(3, CONTENT))
async def test_a_long_document_is_cut_at_the_limit(suffix: str) -> None:
    found = await read(CONTENT[suffix][0](), f"prices.{suffix}", limit=12)
    assert len(found.text) <= 12
    assert found.truncated


def test_a_document_is_recognised_by_name_or_type() -> None:
    assert is_document("Report.PDF", "")
    assert is_document("", "application/pdf")
    assert is_document("x", "Application/VND.oasis.opendocument.text")
    assert not is_document("notes.txt", "text/plain")
    assert not is_document("pdf", "application/zip")


@pytest.mark.parametrize("suffix", CONTENT)
def test_a_document_is_recognised_by_its_bytes_whatever_its_name(suffix: str) -> None:
    if suffix not in ("html", "eml"):  # these have no signature
        assert container_of(CONTENT[suffix][0]()) is not None
    assert container_of(b"just text", "notes.txt", "text/plain") is None

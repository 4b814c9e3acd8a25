"""Documents that demand too much result in text or a problem, and take no more than a worker may have."""

from __future__ import annotations

import resource
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from bot.documents.kinds import container_of
from bot.documents.problems import DocumentError, DocumentProblem
from bot.documents.reader import DocumentReader, DocumentText
from bot.documents.worker import MAX_MEMORY
from tests.documents import bombs, samples
from tests.documents.test_formats import PATIENT
from tests.slow import slow

GROWTH = 100_000_000
"""Bytes by which this process may grow while another one reads: less than any of the bombs unpacks to."""
BROKEN, TOO_COMPLEX = DocumentProblem.BROKEN, DocumentProblem.TOO_COMPLEX
SCAN, UNKNOWN = DocumentProblem.SCAN, DocumentProblem.UNKNOWN

BOMBS: dict[str, tuple[Callable[[], bytes], str, str | set[DocumentProblem]]] = {
    "archives in archives": (bombs.nested_archives, "a.docx", "Bobbins cost three euros."),
    "entities that grow with the square": (bombs.quadratic_entities, "a.odt", {BROKEN}),
    "macros in a letter": (
        lambda: bombs.with_members(samples.docx(), word__vbaProject_bin=bytes(5000)),
        "a.docm",
        "Bobbins cost three euros.",
    ),
    "macros in a workbook": (
        lambda: bombs.with_members(samples.xlsx(), xl__vbaProject_bin=bytes(5000)),
        "a.xlsm",
        "### Sheet: Prices",
    ),
    "pages without end": (bombs.pages_without_end, "a.pdf", {SCAN, BROKEN, TOO_COMPLEX}),
    "pages beyond number": (bombs.pages_beyond_number, "a.pdf", "only one"),
    "a page without measure": (bombs.page_without_measure, "a.pdf", "wide"),
    "objects that inflate": (bombs.inflating_objects, "a.pdf", "packed"),
    "a page that inflates": (bombs.inflating_page, "a.pdf", {SCAN, TOO_COMPLEX}),
    "a JBIG2 without measure": (
        lambda: bombs.picture_without_measure("JBIG2Decode"),
        "a.pdf",
        "beside",
    ),
    "a JPEG 2000 without measure": (
        lambda: bombs.picture_without_measure("JPXDecode"),
        "a.pdf",
        "beside",
    ),
    "a cell in the farthest corner": (bombs.far_corner, "a.xlsx", {TOO_COMPLEX}),
    "a dimension that lies": (bombs.lying_dimension, "a.xlsx", "near"),
    "half a million empty rows": (bombs.empty_rows, "a.xlsx", "### Sheet: Far\n\n| the last |"),
    "one long text in many cells": (bombs.one_text_many_times, "a.xlsx", {TOO_COMPLEX}),
    "tables in tables": (lambda: bombs.tables_in_tables(3000), "a.docx", {BROKEN, TOO_COMPLEX}),
    "cells that repeat": (bombs.repeated_cells, "a.odt", "| x | x |"),
    "groups in groups": (
        lambda: b"{\\rtf1 " + b"{" * 100_000 + b"deep" + b"}" * 100_001,
        "a.rtf",
        "deep",
    ),
    "a thousand mails in one another": (lambda: bombs.mails_in_mails(1000), "a.eml", {TOO_COMPLEX}),
    "a subject of encoded words": (bombs.encoded_words, "a.eml", "body"),
    "a page with a picture inside": (
        bombs.page_with_a_picture_inside,
        "a.html",
        "before\n\nafter",
    ),
    "a list of many items": (lambda: b"<ol>" + b"<li>x" * 20_000, "a.html", "\n20000. x"),
    "more tags than a page may have": (lambda: b"<p>x</p>" * 200_000, "a.html", "x\nx"),
    "cells over everything": (bombs.cells_over_everything, "a.html", "| x |"),
    "a book outside its folder": (bombs.book_outside_its_folder, "a.epub", "## Second"),
    "a link to a file of the server": (bombs.link_to_a_file, "a.epub", {BROKEN}),
    "a book that repeats itself": (bombs.book_that_repeats_itself, "a.epub", "again again"),
    "a workbook called a letter": (samples.xlsx, "a.docx", "### Sheet: Prices"),
    "a letter called a page": (samples.docx, "a.html", "Bobbins cost three euros."),
    "half a workbook": (lambda: samples.xlsx()[:2000], "a.xlsx", {BROKEN}),
    "half a PDF": (lambda: samples.pdf("first", "second")[:400], "a.pdf", {SCAN, BROKEN}),
}


LASTING = frozenset(
    {
        "a list of many items",
        "cells over everything",
        "more tags than a page may have",
        "one long text in many cells",
    }
)
"""Those that take a worker longest; only the long run tries them."""


@pytest.mark.parametrize("name", [slow(name) if name in LASTING else name for name in BOMBS])
async def test_a_bomb_ends_in_text_or_a_problem_within_its_limits(name: str) -> None:
    make, file_name, expected = BOMBS[name]
    data = make()
    container = container_of(data, file_name)
    assert container is not None
    before, peak = own_memory(), peak_of_workers()
    outcome = await outcome_of(DocumentReader(PATIENT).read("T1", container, data, 200_000))
    if isinstance(expected, str):
        assert expected in outcome
        assert "root:" not in outcome
    else:
        assert outcome in expected
    assert own_memory() - before < GROWTH
    # A process's count includes that of its parent, and other tests have parents of their own.
    assert peak_of_workers() <= max(MAX_MEMORY, before, peak)


async def outcome_of(reading: Awaitable[DocumentText]) -> str:
    """The text, or the problem."""
    try:
        return (await reading).text
    except DocumentError as error:
        return error.problem


def own_memory() -> int:
    """Bytes of memory that this process has now; nothing where the system does not tell."""
    state = Path("/proc/self/statm")
    return int(state.read_text().split()[1]) * resource.getpagesize() if state.exists() else 0


def peak_of_workers() -> int:
    """Bytes that the largest process had which has ended."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit

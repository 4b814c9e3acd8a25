"""Documents from third parties: what a person reads in them must be in the text (`strangers/SOURCES.md`)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bot.documents.kinds import container_of
from bot.documents.problems import DocumentProblem
from bot.documents.worker import convert

FOLDER = Path(__file__).parent / "strangers"
SOURCES = FOLDER / "SOURCES.md"
ANY_SIZE = 200_000

READ: dict[str, list[str]] = {
    # -- pdf
    "pdfbox-arabic.pdf": ["### Page 1\n\nHello محمد World."],
    "pdfbox-columns.pdf": ["compte des parties d'apothicaire", "Ils me laisseront ici mourir."],
    "pdfbox-four-ways.pdf": [
        "### Page 1",
        "90° text matrix",
        "### Page 4\n\nApache PDFBox ®\n180° ctm",
        "### Page 6",
    ],
    "pdfbox-openoffice.pdf": ["I am a simple pdf."],
    "pdfbox-rotation.pdf": [
        "first page with normal layout.",
        "### Page 2\n\nThis is my second page. It will have",
    ],
    "pdfbox-table.pdf": [
        "E-PRTR pollutants and their thresholds",
        "Total Phosphorus - 5 000 5 000",
    ],
    "pypdf-acrobat-form.pdf": ["Field foo: Bar"],
    "pypdf-aes256-empty-password.pdf": ["pdf encryption test\npassword: asdfzxcv"],
    "pypdf-chrome.pdf": ["Fichier : Document 1 sans titre Page 1 sur 1", "Hello World"],
    "pypdf-commented.pdf": [
        "The Crazy Ones\nOctober 14, 1998",
        "Comment: Note in second paragraph",
        "Umlaut: äöüß",
    ],
    "pypdf-libreoffice-form.pdf": [
        "Example for a Form",
        "Field First Name: Alice",
        "Field First Name_2: Bob",
    ],
    "pypdf-multilang.pdf": [
        "مرحبا بالعالم",
        "Привет, мир",
        "你好世界",
        "สวัสดีชาวโลก",
        "こんにちは世界",
    ],
    "pypdf-pdftex.pdf": ["x ∈ {3,−3}."],
    "pypdf-rc4-empty-password.pdf": ["password: asdfzxcv"],
    # -- docx
    "docxcompose-lists.docx": [
        "1. First item in an interesting list\n   1. Sub-item 1.1\n2. Another item"
    ],
    "mammoth-endnotes.docx": ["Ouch[1].[2]", "1. A tachyon walks into a bar.\n2. Fin."],
    "mammoth-text-box.docx": ["Datum plane"],
    "poi-charts.docx": [
        "|  | Series 1 | Series 2 | Series 3 |\n",
        "| Category 2 | 2.5 | 4.4 | 2 |",
    ],
    "poi-content-controls.docx": [
        "Header: This is a header header_rich_text",
        "| Rich_text_cell1 |",
        "Watermelon",
        "2. Endnote Endnote_sdt",
        "Footer: Footer_rich_text",
    ],
    "poi-footnotes.docx": ["Eto ochen prostoy[1] text so snoskoy\n\n1. snoska"],
    "poi-form-letter.docx": [
        "Du, «Fornavn» «Efternavn», tiltræder pr. 1/1-2011",
        "Allerød, 11-01-2012",
    ],
    "poi-header-footer.docx": [
        "Header: This is a simple header, with a € euro symbol in it.",
        "# Molière",
        "*Les Précieuses ridicules.* The end.",
        "Footer: The footer, with Molière, has Unicode in it.",
    ],
    "poi-ruby.docx": ["東京"],
    "poi-russian.docx": [
        "**МОНИТОРИНГ СМИ**",
        "**Евразийское водное партнерство**: от декларации стратегии",
        "Ведомости и МАЗАЙ Вкратце 13.04.2006",
    ],
    "poi-styles-without-id.docx": [
        "Header: Study Design, Objectives and Endpoints",
        "| **Protocol No. (Document ID):** | A5346 (12028) | **Version No.:** |",
        "| **LOA No.:** | LOA 1(10/08/2015) |  |  |",
        "Footer: Report Date: 5/2/2016 3:06:17 PM | Page 1 of 3",
    ],
    "poi-tracked-changes.docx": [
        "- A Nepalese name for [Tilaka]",
        "[Apache Tika](http://lucene.apache.org/tika) is a",
    ],
    "python-docx-comments.docx": [
        "Some text worthy of note.[SJC1]",
        "Comment [SJC1]\n:   Text with hyperlink <https://google.com> embedded.",
    ],
    "python-docx-merged-cells.docx": [
        "| 4 |  | 6 |\n| 7 | 8 | 9 |",
        "| 4 | 5 | 6 |\n| 7 |  | 9 |",
        "| 4 |  | 6 |\n|  |  | 9 |",
    ],
    "python-docx-table-in-table.docx": [
        "Text before\n\n| Table |\n| --- |\n| Between |\n\nText after"
    ],
    # -- xlsx, xls
    "poi-capitals.xls": [
        "### Sheet: Sheet1\n\n| Inventarliste für GALIPLAN",
        "| Fondsvermögen |  | 8182539.17 |",
    ],
    "poi-comments.xlsx": ["| 2 | two |", "Comment on B2: Yegor Kozlov: second cell"],
    "poi-dates.xlsx": [
        "### Sheet: Flags",
        "### Sheet: Tests",
        "| 01-01-2025 | dd-mm-yyyy | 2025-01-01 | Date |",
    ],
    "poi-strict.xlsx": [
        "### Sheet: First Sheet",
        "### Sheet: Sheet Number 2",
        "| cb=1 | cb=10 | cb=2 | cb=sum |",
    ],
    "poi-text-box.xlsx": ["### Sheet: Sheet1\n\nLine 1\nLine 2\nLine 3"],
    "pyexcel-hidden-sheets.xlsx": [
        "### Sheet: shown\n\n| A | B |",
        "### Sheet: hidden\n\n| a | b |",
    ],
    "pyexcel-merged.xlsx": [
        "| 1 |  | 2 | 3 | 15 | 16 | 22 |  | 24 |",
        "| 10 | 11 |  | 12 | 19 |  | 23 |  |  |",
    ],
    # -- pptx
    "poi-japanese.pptx": [
        "| Row 2 Col 1 | Row 2 Col 2 |",
        "ゾルゲと尾崎、淡々と最期\n（ＧＨＱ）",
        "𐌲𐌿𐍄𐌹𐍃𐌺",
    ],
    "poi-notes.pptx": [
        "### Slide 1\n\n**Title of the first slide**",
        "Notes: I am the notes of the first slide",
        "### Slide 2\n\n**This is the second slide**",
    ],
    "python-pptx-charts.pptx": ["Chart: On The Radar", "| 2002-01-05 | 32 | 12 |", "### Slide 2"],
    "python-pptx-group.pptx": ["Group test text\n\nBox 1\n\nBox 2", "| Col head 1 | Col head 2 |"],
    "python-pptx-scatter.pptx": ["|  | Y-Value 1 |\n| --- | --- |\n| 0.7 | 2.7 |", "### Slide 3"],
    # -- odt
    "odfdom-comments.odt": [
        "Header: ODFDOM in a header",
        "# ODFDOM in a section header",
        "(1ODFDOM in a footnote)",
        "| ODFDOM in another cell C | ODFDOM in another cell D |",
        "(Comment: ODFDOM in a note)",
        "Footer: ODFDOM in a footer",
    ],
    "odfdom-frame.odt": ["Frame Content\nPage Content"],
    "odfdom-tables.odt": [
        "| cell1 | cell2 | 0.00 |\n| --- | --- | --- |\n| Aa bb cc dd ee |",
        "sample table to delete",
    ],
    "odfpy-header-footer.odt": [
        "Header: Header\t1\tTest",
        "# Lorem ipsum",
        "Footer: Footer\t1\tBottom",
    ],
    "odfpy-poem.odt": ["The boy stood    on the burning deck,\n\tWhence all\tbut\t\thim had fled."],
    "odfpy-table.odt": ["| Cell 3 (bold) | Cell 4 (italic) |"],
    # -- ods
    "odfpy-chinese.ods": ["### Sheet: 工作表1\n\n| test | test | test |"],
    "odfpy-macro.ods": [
        "### Sheet: km\n\n| PM kilometers 72h – 78h |",
        "| L | 1.39 | 37.44 | 0 | 31.9 |",
    ],
    "pyexcel-formats.ods": ["| 2014-11-11 | 11:12:12 | TRUE | 11.11 | 1 |", "27:17:54"],
    "pyexcel-repeated.ods": ["| repeated | repeated | repeated | repeated |"],
    # -- rtf
    "poi-outlook.rtf": ["These are five files.", "Five files from Hell!  (Well Outlook actually)"],
    "rtf2text-sample.rtf": [
        "Underline,italic,bold text.",
        "| 1st column | 2nd column | 3rd column | 4th column | 5th column |\n| --- |",
        "It is the last row of the list",
        "öt árvíztűrő ütvefúrógép",
    ],
    # -- epub
    "nodepub-v2.epub": [
        "# Unnamed Document (My Series #1)",
        "All rights reserved.",
        "# About the Author",
    ],
    "nodepub-v3.epub": [
        "# Test Document (My Series #1)",
        "# Chapter Title Goes Here",
        "*Lorem ipsum dolor sit amet,",
    ],
    # -- html
    "trafilatura-apache.html": [
        "# Apache Status",
        "Server uptime: 18 minutes 33 seconds",
        "| Conn | Kilobytes",
    ],
    "trafilatura-page.html": [
        "# Herman Melville - Moby-Dick",
        "the begrimed, blistered old blacksmith",
        "- Novel",
    ],
    "trafilatura-utf8.html": ["# Unicode Demo", "∮ E⋅da = Q,  n → ∞", "⠁⠧⠑"],
    # -- eml
    "enmime-broken-content-type.eml": [
        "Subject: Welcome to Papertrail",
        "Search and tail - on the Web",
    ],
    "enmime-inline-picture.eml": ["Test of text section", "Attached to this e-mail: favicon.png"],
    "enmime-related.eml": ["Subject: Multipart Mixed", "html1\n\nhtml2"],
    "enmime-signed.eml": ["Section one\n\nSection two", "Attached to this e-mail: signature.asc"],
    "enmime-two-texts.eml": [
        "Simple text.\n\nText attachment.",
        "Attached to this e-mail: test.pdf",
    ],
    "enmime-unknown-charset.eml": ["To: greg@inbucket", "Hello World!"],
    "enmime-utf8-subject.eml": [
        "André Pirard <PIRARD@vm1.ulg.ac.be>",
        "To: Mirosław Marczak <marczak@inbucket.com>",
        "Subject: MIME UTF8 Test ¢ More Text",
    ],
    "enmime-wrong-charset.eml": ["∀x∈ℝ: ⌈x⌉ = −⌊−x⌋, α ∧ ¬β", "ði ıntəˈnæʃənəl fəˈnɛtık"],
}
REFUSED = {
    "poi-password.xlsx": DocumentProblem.LOCKED,
    "pypdf-fax.pdf": DocumentProblem.SCAN,
    "pypdf-password.pdf": DocumentProblem.LOCKED,
}


def converted(name: str) -> dict[str, object]:
    data = (FOLDER / name).read_bytes()
    container = container_of(data, name)
    assert container is not None
    return convert(container, data, ANY_SIZE)


@pytest.mark.parametrize("name", READ)
def test_the_text_contains_what_a_person_reads(name: str) -> None:
    text = str(converted(name).get("text"))
    assert [piece for piece in READ[name] if piece not in text] == []
    assert not re.search(r"[\x80-\x9f]", text)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_has_its_problem(name: str) -> None:
    assert converted(name) == {"problem": REFUSED[name].value}


def test_each_document_is_named_with_its_source_and_tried() -> None:
    present = {path.name for path in FOLDER.iterdir()} - {SOURCES.name}
    named = set(re.findall(r"^\| `([^`]+)` \|", SOURCES.read_text("utf-8"), re.MULTILINE))
    assert present == named == READ.keys() | REFUSED.keys()
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 3_000_000

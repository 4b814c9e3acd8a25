"""Small documents of every kind, each with the same content where its format can hold it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from email.message import EmailMessage

import xlsxwriter
from pptx import Presentation
from pptx.util import Inches

_WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_ODF = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"'
)


def archive(members: Mapping[str, str | bytes], compress: bool = True) -> bytes:
    written = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(written, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return written.getvalue()


def pdf(*pages: str, extra: str = "", trailer: str = "") -> bytes:
    """A PDF with a line of text on each page; a page without text is blank."""
    kids = " ".join(f"{4 + 2 * index} 0 R" for index in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for index, text in enumerate(pages):
        drawn = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET" if text else ""
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * index} 0 R"
            " /Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream")
    if extra:
        objects.append(extra)
    body = "%PDF-1.4\n"
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(body))
        body += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    end = f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R {trailer} >>\n"
    return f"{body}{end}startxref\n{len(body)}\n%%EOF\n".encode("latin-1")


def commented_scan(*comments: str) -> bytes:
    """A scanned page with comments, by default one."""
    start = "<< /Type /Annot /Subtype /Text /Rect [0 0 9 9] /Contents"
    notes = " ".join(f"{start} ({comment}) >>" for comment in comments or ("paid",))
    return pdf("").replace(b"/Contents 5 0 R", f"/Contents 5 0 R /Annots [{notes}]".encode())


def locked_pdf() -> bytes:
    """A PDF whose password nobody knows."""
    check = "00" * 32
    encryption = f"<< /Filter /Standard /V 1 /R 2 /O <{check}> /U <{check}> /P -4 >>"
    return pdf("secret", extra=encryption, trailer="/Encrypt 6 0 R /ID [<00> <00>]")


def docx(body: str | None = None) -> bytes:
    """`body`: the XML within `w:body`."""
    paragraph = (
        '<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>Prices</w:t></w:r></w:p>'
        "<w:p><w:r><w:t>Bobbins cost three euros.</w:t></w:r></w:p>"
    )
    cells = "".join(
        f"<w:tr>{''.join(f'<w:tc><w:p><w:r><w:t>{cell}</w:t></w:r></w:p></w:tc>' for cell in row)}</w:tr>"
        for row in (("Thing", "Price"), ("a|b", "3"))
    )
    content = body if body is not None else f"{paragraph}<w:tbl>{cells}</w:tbl>"
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml"
    return archive(
        {
            "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/word/document.xml" ContentType="{kind}.document.main+xml"/></Types>',
            "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            '<Relationship Id="r1" Target="word/document.xml" Type="http://schemas.openxmlformats.org/'
            'officeDocument/2006/relationships/officeDocument"/></Relationships>',
            "word/document.xml": f"<w:document {_WORD}><w:body>{content}</w:body></w:document>",
            "word/styles.xml": f'<w:styles {_WORD}><w:style w:type="paragraph" w:styleId="Heading1">'
            '<w:name w:val="heading 1"/></w:style></w:styles>',
            "word/_rels/document.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
            'relationships"><Relationship Id="r1" Target="styles.xml" Type="http://schemas.openxmlformats.org/'
            'officeDocument/2006/relationships/styles"/></Relationships>',
        }
    )


def xlsx() -> bytes:
    written = io.BytesIO()
    with xlsxwriter.Workbook(written, {"in_memory": True}) as book:
        prices = book.add_worksheet("Prices")
        for row, cells in enumerate([["Thing", "Price"], ["a|b", 3], ["Ünï", 4.5]]):
            prices.write_row(row, 0, cells)
        book.add_worksheet("Empty")
        book.add_worksheet("Notes").write(2, 1, "far away")
    return written.getvalue()


def pptx() -> bytes:
    deck = Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[5])
    slide.shapes.title.text = "Prices"
    grid = slide.shapes.add_table(2, 2, Inches(1), Inches(2), Inches(4), Inches(1)).table
    for column, cell in enumerate(("Thing", "Price")):
        grid.cell(0, column).text = cell
    grid.cell(1, 0).text, grid.cell(1, 1).text = "a|b", "3"
    slide.notes_slide.notes_text_frame.text = "Speak slowly."
    second = deck.slides.add_slide(deck.slide_layouts[6])
    second.shapes.add_textbox(
        Inches(1), Inches(1), Inches(4), Inches(1)
    ).text_frame.text = "The end"
    written = io.BytesIO()
    deck.save(written)
    return written.getvalue()


def odt(body: str | None = None, prolog: str = "") -> bytes:
    content = body or (
        '<text:h text:outline-level="2">Prices</text:h><text:p>Bobbins<text:s text:c="2"/>cost three euros.</text:p>'
        "<text:list><text:list-item><text:p>one</text:p><text:list><text:list-item><text:p>two</text:p>"
        "</text:list-item></text:list></text:list-item></text:list>"
        "<table:table><table:table-row><table:table-cell><text:p>Thing</text:p></table:table-cell>"
        "<table:table-cell><text:p>Price</text:p></table:table-cell></table:table-row>"
        "<table:table-row><table:table-cell><text:p>a|b</text:p></table:table-cell>"
        "<table:table-cell><text:p>3</text:p></table:table-cell></table:table-row></table:table>"
    )
    return archive(
        {
            "mimetype": "application/vnd.oasis.opendocument.text",
            "content.xml": f"{prolog}<office:document-content {_ODF}><office:body><office:text>{content}"
            "</office:text></office:body></office:document-content>",
        }
    )


def ods() -> bytes:
    rows = "".join(
        f"<table:table-row>{cells}</table:table-row>"
        for cells in (
            _ods_cell("Thing") + _ods_cell("Price"),
            _ods_cell("a|b") + '<table:table-cell office:value-type="float" office:value="3"/>',
        )
    )
    return archive(
        {
            "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
            "content.xml": f"<office:document-content {_ODF}><office:body><office:spreadsheet>"
            f'<table:table table:name="Prices">{rows}</table:table></office:spreadsheet></office:body>'
            "</office:document-content>",
            "META-INF/manifest.xml": "<manifest/>",
        }
    )


def _ods_cell(text: str) -> str:
    return (
        f'<table:table-cell office:value-type="string"><text:p>{text}</text:p></table:table-cell>'
    )


def rtf() -> bytes:
    return rb"{\rtf1\ansi Bobbins cost \b three\b0  euros, \u252?ber all.\par The end}"


def epub() -> bytes:
    chapter = (
        '<?xml version="1.0"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml"><head><title>x</title></head>'
        "<body><h2>{title}</h2><p>{text}</p></body></html>"
    )
    return archive(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="OPS/book.opf"/></rootfiles></container>',
            "OPS/book.opf": '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">'
            "<metadata><dc:title>On Bobbins</dc:title></metadata><manifest>"
            '<item id="b" href="two.xhtml"/><item id="a" href="one%20a.xhtml"/></manifest>'
            '<spine><itemref idref="a"/><itemref idref="b"/></spine></package>',
            "OPS/one a.xhtml": chapter.format(title="First", text="Bobbins cost three euros."),
            "OPS/two.xhtml": chapter.format(title="Second", text="The end"),
        }
    )


def html() -> bytes:
    return (
        b"<html><head><title>Shop</title><style>p{}</style></head><body><h2>Prices</h2><script>evil()</script>"
        b"<p>Bobbins cost <b>three</b> euros.</p><table><tr><th>Thing</th><th>Price</th></tr>"
        b"<tr><td>a|b</td><td>3</td></tr></table></body></html>"
    )


def eml() -> bytes:
    message = EmailMessage()
    message["From"], message["To"] = "Ada <ada@example.com>", "bob@example.com"
    message["Subject"], message["Date"] = "Prices für Bobbins", "Mon, 30 Nov 2026 10:00:00 +0000"
    message.set_content("Bobbins cost three euros.")
    message.add_attachment(b"x", maintype="application", subtype="pdf", filename="offer.pdf")
    return bytes(message)

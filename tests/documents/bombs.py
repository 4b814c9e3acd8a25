"""Small documents that demand too much: time, memory, or files of the server."""

from __future__ import annotations

import io
import re
import stat
import zipfile
import zlib

from tests.documents import samples

_SHEETS = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def with_members(document: bytes, **changed: bytes) -> bytes:
    """The archive with members added or replaced; in their names, `__` stands for a slash and `_` for a dot."""
    names = {name: name.replace("__", "/").replace("_", ".") for name in changed}
    return with_parts(document, {names[name]: content for name, content in changed.items()})


def with_parts(document: bytes, changed: dict[str, bytes]) -> bytes:
    """The archive with members added or replaced."""
    with zipfile.ZipFile(io.BytesIO(document)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return samples.archive(members | changed)


def with_backslashes(document: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(document)) as archive:
        return samples.archive(
            {name.replace("/", "\\"): archive.read(name) for name in archive.namelist()}
        )


def nested_archives() -> bytes:
    inner = samples.archive({"a.bin": bytes(50_000_000)})
    for _ in range(3):
        inner = samples.archive({f"{number}.zip": inner for number in range(10)})
    return with_members(samples.docx(), word__more_zip=inner)


def quadratic_entities() -> bytes:
    declared = f'<!DOCTYPE x [<!ENTITY a "{"a" * 50_000}">]>'
    return samples.odt(f"<text:p>{'&a;' * 50_000}</text:p>", declared)


def pages_without_end() -> bytes:
    """The folder of pages contains itself."""
    return samples.pdf("a").replace(b"/Kids [4 0 R]", b"/Kids [2 0 R 2 0 R]")


def pages_beyond_number() -> bytes:
    return samples.pdf("only one").replace(b"/Count 1", b"/Count 2147483647")


def page_without_measure() -> bytes:
    return samples.pdf("wide").replace(b"[0 0 612 792]", b"[0 0 99999999 99999999]")


def inflating_objects() -> bytes:
    packed = zlib.compress(b"0 0 " * 20_000_000, 9)
    head = f"<< /Type /ObjStm /N 999999 /First 9 /Filter /FlateDecode /Length {len(packed)} >>\nstream\n"
    return samples.pdf("packed", extra="EXTRA").replace(
        b"EXTRA", head.encode() + packed + b"\nendstream"
    )


def inflating_page() -> bytes:
    packed = zlib.compress(b"(x) Tj " * 3_000_000, 9)
    head = b"<< /Filter /FlateDecode /Length %d >>\nstream\n" % len(packed)
    stream = head + packed + b"\nendstream"
    return re.sub(rb"<< /Length.*?endstream", lambda _: stream, samples.pdf("x"), flags=re.DOTALL)


def picture_without_measure(coding: str) -> bytes:
    picture = (
        "<< /Type /XObject /Subtype /Image /Width 60000 /Height 60000 /ColorSpace /DeviceRGB"
        f" /BitsPerComponent 8 /Filter /{coding} /Length 4 >>\nstream\nabcd\nendstream"
    )
    document = samples.pdf("beside", extra=picture).replace(b" ET", b" ET /F Do")
    return document.replace(
        b"/Font << /F1 3 0 R >>", b"/Font << /F1 3 0 R >> /XObject << /F 6 0 R >>"
    )


def sheet(rows: str, shared: str = "") -> bytes:
    """An xlsx with one sheet. `rows`: the XML within `worksheet`; `shared`: that within `sst`."""
    part = f'<Relationship Id="r1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
    strings = f'<Relationship Id="r2" Type="{_OFFICE}/sharedStrings" Target="sharedStrings.xml"/>'
    return samples.archive(
        {
            "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"/>',
            "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1"'
            f' Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
            "xl/workbook.xml": f'<workbook xmlns="{_SHEETS}" xmlns:r="{_OFFICE}"><sheets>'
            '<sheet name="Far" sheetId="1" r:id="r1"/></sheets></workbook>',
            "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">{part}{strings}'
            "</Relationships>",
            "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{_SHEETS}">{rows}</worksheet>',
            "xl/sharedStrings.xml": f'<sst xmlns="{_SHEETS}">{shared}</sst>',
        }
    )


def cell(place: str, text: str) -> str:
    return f'<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>'


def far_corner() -> bytes:
    near, far = cell("A1", "near"), cell("XFD1048576", "far")
    return sheet(f'<sheetData><row r="1">{near}</row><row r="1048576">{far}</row></sheetData>')


def lying_dimension() -> bytes:
    return sheet(
        f'<dimension ref="A1:XFD1048576"/><sheetData><row r="1">{cell("A1", "near")}</row></sheetData>'
    )


def empty_rows() -> bytes:
    rows = "".join(f'<row r="{number}"/>' for number in range(1, 500_000))
    return sheet(
        f'<sheetData>{rows}<row r="500000">{cell("C500000", "the last")}</row></sheetData>'
    )


def one_text_many_times() -> bytes:
    rows = "".join(
        f'<row r="{number}"><c r="A{number}" t="s"><v>0</v></c></row>' for number in range(1, 2000)
    )
    return sheet(f"<sheetData>{rows}</sheetData>", f"<si><t>{'a' * 5_000_000}</t></si>")


def tables_in_tables(depth: int) -> bytes:
    begin, end = "<w:tbl><w:tr><w:tc>", "</w:tc></w:tr></w:tbl>"
    return samples.docx(f"{begin * depth}<w:p><w:r><w:t>deep</w:t></w:r></w:p>{end * depth}")


def repeated_cells() -> bytes:
    cells = '<table:table-cell table:number-columns-repeated="16384"><text:p>x</text:p></table:table-cell>'
    rows = f'<table:table-row table:number-rows-repeated="1048576">{cells}</table:table-row>'
    return samples.odt(f"<table:table>{rows * 50}</table:table>")


def mails_in_mails(depth: int) -> bytes:
    head = "From: a@example.com\r\nContent-Type: message/rfc822\r\n\r\n"
    return f"{head * depth}From: b@example.com\r\n\r\nthe innermost".encode()


def encoded_words() -> bytes:
    return b"From: a@example.com\r\nSubject: " + b"=?utf-8?q?x?= " * 100_000 + b"\r\n\r\nbody"


def page_with_a_picture_inside() -> bytes:
    picture = b"A" * 19_000_000
    return b"<p>before</p><img src='data:image/png;base64," + picture + b"'><p>after</p>"


def cells_over_everything() -> bytes:
    return b"<table>" + b"<tr><td colspan=99999 rowspan=99999>x</td></tr>" * 2000 + b"</table>"


def book_outside_its_folder() -> bytes:
    document = samples.epub()
    with zipfile.ZipFile(io.BytesIO(document)) as archive:
        package = archive.read("OPS/book.opf").replace(b"one%20a.xhtml", b"../../../../etc/passwd")
    return with_members(document, OPS__book_opf=package)


def link_to_a_file() -> bytes:
    """A member that is a symbolic link, where the archive is unpacked by those who follow it."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
        link = zipfile.ZipInfo("META-INF/container.xml")
        link.create_system = 3
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    return written.getvalue()


def book_that_repeats_itself() -> bytes:
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf"><manifest><item id="a" href="c"/></manifest>'
        "<spine>" + '<itemref idref="a"/>' * 100_000 + "</spine></package>"
    )
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="o"/></rootfiles></container>'
    )
    return samples.archive(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": container,
            "o": package,
            "c": f"<p>{'again ' * 20_000}</p>",
        }
    )

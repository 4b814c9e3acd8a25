"""Makes the tables of a web page, a document or an e-mail fit for Markdown, whose tables are plain grids."""

from __future__ import annotations

from typing import Any

from bot.documents.tables import MAX_COLUMNS

Soup = Any
"""A `bs4.BeautifulSoup`."""
Tag = Any
"""A `bs4.Tag`."""
MAX_ROWS = 1000
"""How many rows one cell may span."""
MAX_FILLED = 20_000
"""How many cells may be added to a document's tables in place of those that span several."""
_SECTIONS = ("thead", "tbody", "tfoot")
_CELLS = ("td", "th")
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")


def make_tables_plain(soup: Soup) -> None:
    """Turns layout tables into blocks, and all others into grids: each cell in its column, in one section."""
    room = MAX_FILLED
    for table in reversed(soup.find_all("table")):  # nested tables first
        for caption in _own(table, "caption"):
            caption.name = "p"
            table.insert_before(caption.extract())
        for part in _own(table, "colgroup", "col"):
            part.extract()
        if _lays_out(table):
            for part in (table, *_own(table, *_SECTIONS, "tr", *_CELLS)):
                part.name, part.attrs = "div", {}
            continue
        for section in _own(table, *_SECTIONS):
            section.unwrap()
        for heading in table.find_all(
            _HEADINGS
        ):  # without blanks around it, a heading would run into the following text
            heading.name = "p"
        room = _fill(soup, table, room)


def _own(table: Tag, *names: str) -> list[Tag]:
    """The table's own parts, without those of nested tables."""
    return [part for part in table.find_all(names) if part.find_parent("table") is table]


def _lays_out(table: Tag) -> bool:
    """Whether the table only lays out the page: it contains other tables, or at most one cell."""
    cells = table.find_all(_CELLS, limit=2)
    return len(cells) < 2 or table.find("table") is not None


def _fill(soup: Soup, table: Tag, room: int) -> int:
    """Inserts an empty cell wherever another one spans; returns how many more may be inserted."""
    until: dict[int, int] = {}  # column: the first row that is free again
    for number, row in enumerate(table.find_all("tr")):
        column = 0
        for cell in row.find_all(_CELLS):
            while room > 0 and until.get(column, 0) > number:
                cell.insert_before(soup.new_tag("td"))
                column, room = column + 1, room - 1
            wide, high = _span(cell, "colspan", MAX_COLUMNS), _span(cell, "rowspan", MAX_ROWS)
            until |= dict.fromkeys(range(column, column + wide), number + high)
            for _ in range(min(wide - 1, max(room, 0))):
                cell.insert_after(soup.new_tag("td"))
                room -= 1
            column += wide
    return room


def _span(cell: Tag, name: str, most: int) -> int:
    value = str(cell.attrs.pop(name, "1"))
    return max(1, min(int(value), most)) if value.isascii() and value.isdigit() else 1

"""Charts and diagrams of Office documents, which are stored as separate XML (ECMA-376, parts 21.2, 21.4)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import islice

from bot.documents.safe_xml import Element
from bot.documents.tables import table

MAX_POINTS = 5000
"""Of one series of a chart."""
_DAY_ZERO = date(1899, 12, 30)
_DAYS = 200_000
"""Days are counted up to the year 2447."""
_NOT_IN_DIAGRAM = frozenset({"pres", "parTrans", "sibTrans"})
"""Points that belong to a diagram's layout."""


def chart_text(root: Element) -> str:
    """The chart's title and its figures: one row per category, one column per series. Empty if it has none."""
    title = " ".join(lines(root.find("{*}chart/{*}title")))
    tables: dict[tuple[str, ...], list[tuple[str, dict[int, str]]]] = {}
    for series in root.iter("{*}ser"):
        name = " ".join(each.text or "" for each in islice(series.iterfind("{*}tx//{*}v"), 1))
        values = _points(series, "val", "yVal")
        categories = _points(series, "cat", "xVal")
        over = tuple(categories.get(each, "") for each in sorted(values.keys() | categories.keys()))
        tables.setdefault(over, []).append((name, values))
    figures = [_figures(over, columns) for over, columns in tables.items()]
    return "\n\n".join(filter(None, [f"Chart: {title}" if title else "", *figures]))


def _figures(over: tuple[str, ...], columns: list[tuple[str, dict[int, str]]]) -> str:
    rows = [
        [category, *(values.get(index, "") for _, values in columns)]
        for index, category in enumerate(over)
    ]
    return table([["", *(name for name, _ in columns)], *rows]) if rows else ""


def _points(series: Element, *names: str) -> dict[int, str]:
    """The values by their position."""
    for name in names:
        if (data := series.find(f"{{*}}{name}")) is not None:
            dated = "yy" in (data.findtext(".//{*}formatCode") or "").lower()
            level = data.find(".//{*}lvl")
            points = islice((data if level is None else level).iter("{*}pt"), MAX_POINTS)
            return {
                int(each.get("idx", "0")): _value(each.findtext("{*}v") or "", dated)
                for each in points
                if each.get("idx", "0").isdecimal()
            }
    return {}


def _value(text: str, dated: bool) -> str:
    text = " ".join(text.split())
    whole = text.removesuffix(".0")
    if dated and whole.isdecimal() and int(whole) < _DAYS:
        return str(_DAY_ZERO + timedelta(days=int(whole)))
    try:
        return f"{float(text):.15g}"  # as many digits as Office shows
    except ValueError:
        return text


def diagram_text(root: Element) -> str:
    """The texts of a SmartArt diagram, as a list."""
    points = (each for each in root.iter("{*}pt") if each.get("type") not in _NOT_IN_DIAGRAM)
    texts = (" ".join(lines(each.find("{*}t"))) for each in points)
    return "\n".join(f"- {text}" for text in texts if text)


def lines(element: Element | None) -> Iterator[str]:
    """The non-empty paragraphs of a text in DrawingML."""
    for paragraph in element.iter("{*}p") if element is not None else ():
        text = " ".join("".join(each.text or "" for each in paragraph.iter("{*}t")).split())
        if text:
            yield text

"""Finds the sources of a model's answer, in the formats of all providers. Pure.

OpenAI, OpenRouter, Groq: `annotations` with `url_citation`; Perplexity, xAI: `citations`, `search_results`; Venice:
`venice_parameters.web_search_citations`; Azure: `context.citations`; GLM: `web_search`; Qwen: `search_info`; Gemini:
`groundingMetadata`; Cohere: `citations` that hold `sources`; Groq: `executed_tools`; Anthropic: `citation`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from bot.domain import Source

MAX_SOURCES = 10
MAX_TITLE_LENGTH = 150
MAX_URL_LENGTH = 1_500
_HOLDERS = (
    "venice_parameters",
    "search_info",
    "context",
    "delta",
    "message",
    "content",
    "metadata",
    "groundingMetadata",
    "grounding_metadata",
    "executed_tools",
    "provider_specific_fields",
    "provider_metadata",
    "vertex_ai_grounding_metadata",
    "grounding",
    "extra_content",
    "google",
)
_MAX_DEPTH = 6
"""Levels of nested objects that are searched."""
_LISTS = (
    "annotations",
    "citations",
    "search_results",
    "web_search_citations",
    "web_search_results",
    "web_search",
    "sources",
    "references",
    "groundingChunks",
    "grounding_chunks",
    "results",
    "citation",
)
_ENTRIES = ("url_citation", "web", "source", "document")
_URLS = ("url", "uri", "link", "href", "source_url", "source")
_ADDRESS = re.compile(r"(?:\[?\d{1,3}[\].:)]*\s+)?<?(https://[^\s<>]+)>?")
"""A URL in text, possibly with its number in the answer before it."""
_TITLES = ("title", "name")


class SourceCollector:
    """Collects the sources of one answer: each URL once, in the order in which they were named."""

    def __init__(self) -> None:
        self._titles: dict[str, str] = {}
        """By address; empty where no title is known."""
        self.has_more = False
        """Something has come since the last look at `sources`."""

    def feed(self, holder: dict[str, Any]) -> None:
        """Takes the sources from a chunk, or from one of its choices."""
        for url, title in _sources(holder):
            known = self._titles.get(url)
            if known is None and len(self._titles) >= MAX_SOURCES:
                continue
            if known is None or (title and not known):
                self._titles[url] = title
                self.has_more = True

    def sources(self) -> tuple[Source, ...]:
        """All of them."""
        self.has_more = False
        return tuple(
            Source(url, title or urlsplit(url).hostname or url)
            for url, title in self._titles.items()
        )


def _sources(holder: dict[str, Any], depth: int = 0) -> Iterator[tuple[str, str]]:
    if depth > _MAX_DEPTH:
        return
    for name in filter(holder.__contains__, _LISTS):  # most chunks have none of them
        for entry in _each(holder[name]):
            if (source := _source(entry)) is not None:
                yield source
            elif isinstance(entry, dict):
                yield from _sources(entry, depth + 1)
                yield from _sources({"sources": [*entry.values()]}, depth + 2)
    for name in filter(holder.__contains__, _HOLDERS):
        for inner in _each(holder[name]):
            if isinstance(inner, dict):
                yield from _sources(inner, depth + 1)


def _each(value: Any) -> list[Any]:
    """The entries of a list and of its nested lists, or a single entry in place of a list."""
    if isinstance(value, list):
        return [inner for each in value for inner in (each if isinstance(each, list) else [each])]
    return [value] if isinstance(value, dict | str) else []


def _source(entry: Any) -> tuple[str, str] | None:
    """The URL and title of one entry; None if it has no URL that may be shown to people."""
    if isinstance(entry, str):
        address = _ADDRESS.fullmatch(entry.strip())
        entry = {"url": address[1] if address else ""}
    if not isinstance(entry, dict):
        return None
    inner = next((entry[name] for name in _ENTRIES if isinstance(entry.get(name), dict)), entry)
    url = _first_text(inner, _URLS).strip()
    return (url, _one_line(_first_text(inner, _TITLES))) if _is_safe(url) else None


def _first_text(entry: dict[str, Any], names: tuple[str, ...]) -> str:
    return next((entry[name] for name in names if isinstance(entry.get(name), str)), "")


def _one_line(title: str) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in title[:1_000]).split())
    return line if len(line) <= MAX_TITLE_LENGTH else line[: MAX_TITLE_LENGTH - 1].rstrip() + "…"


def _is_safe(url: str) -> bool:
    """Whether this is an https URL without credentials, which could make one host look like another."""
    if len(url) > MAX_URL_LENGTH or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" and bool(parts.hostname) and parts.username is None

"""The sources of an answer, in the forms of all providers."""

from __future__ import annotations

import pytest

from bot.domain import Source
from bot.domain.stream_events import (
    Sources,
)
from tests.providers.parsing import (
    STOP,
    choice,
    parse,
)
from tests.providers.scripted_server import (
    DONE,
    data,
    delta,
)

A, B = "https://a.example/1", "https://b.example/2?x=1"
CITATION = {"type": "url_citation", "url_citation": {"url": A, "title": "A page", "start_index": 0}}
NAMED = (Source(A, "A page"),)
BARE = (Source(A, "a.example"), Source(B, "b.example"))
SOURCES: dict[str, tuple[bytes, tuple[Source, ...]]] = {
    "annotations in a delta": (delta("Hi", annotations=[CITATION]), NAMED),
    "annotations in a message": (
        choice(message={"content": "Hi", "annotations": [CITATION]}),
        NAMED,
    ),
    "flat annotations": (
        delta("Hi", annotations=[{"type": "url_citation", "url": A, "title": "A page"}]),
        NAMED,
    ),
    "in every chunk": (
        delta("H", annotations=[CITATION]) + delta("i", annotations=[CITATION]),
        NAMED,
    ),
    "addresses": (delta("Hi") + data({"choices": [], "citations": [A, B]}), BARE),
    "addresses and titles": (
        delta("Hi")
        + data(
            {"choices": [], "citations": [A], "search_results": [{"url": A, "title": "A page"}]}
        ),
        NAMED,
    ),
    "of venice": (
        delta("Hi")
        + data(
            {
                "choices": [],
                "venice_parameters": {"web_search_citations": [{"url": A, "title": "A page"}]},
            }
        ),
        NAMED,
    ),
    "a map of numbers": (delta("Hi") + data({"citations": {"1": A, "2": B}}), BARE),
    "one address": (delta("Hi") + data({"citations": A}), BARE[:1]),
    "numbers before addresses": (
        delta("Hi") + data({"citations": [f"[1] {A}", f"2. <{B}>", None, 5, "see " + A]}),
        BARE,
    ),
    "lists of lists": (
        delta(
            "Hi", provider_specific_fields={"citations": [["x", {"href": A, "title": "A page"}]]}
        ),
        NAMED,
    ),
    "under other names": (
        delta("Hi") + data({"grounding": {"sources": [{"source_url": A}, {"source": B}]}}),
        BARE,
    ),
    "of gemini behind a proxy": (
        delta("Hi")
        + data({"vertex_ai_grounding_metadata": [{"groundingChunks": [{"web": {"uri": A}}]}]}),
        BARE[:1],
    ),
    "words with an address": (
        delta("Hi") + data({"search_results": [{"snippet": f"More on {A} and elsewhere"}]}),
        (),
    ),
    "of gemini": (
        delta("Hi")
        + choice(grounding_metadata={"grounding_chunks": [{"web": {"uri": A, "title": "A page"}}]}),
        NAMED,
    ),
    "of cohere": (
        delta("Hi", citations=[{"sources": [{"document": {"url": A, "title": "A page"}}]}]),
        NAMED,
    ),
    "of groq": (
        delta(
            "Hi", executed_tools=[{"search_results": {"results": [{"url": A, "title": "A page"}]}}]
        ),
        NAMED,
    ),
    "of a part of the text": (
        delta([{"type": "text", "text": "Hi", "annotations": [{"url": A, "title": "A page"}]}]),
        NAMED,
    ),
    "of anthropic": (delta("Hi", citation={"url": A, "title": "A page"}), NAMED),
    "of azure": (
        choice(delta={"content": "Hi", "context": {"citations": [{"url": A, "title": "A page"}]}}),
        NAMED,
    ),
    "of glm": (
        delta("Hi") + data({"choices": [], "web_search": [{"link": A, "title": "A page"}]}),
        NAMED,
    ),
    "not https": (
        delta("Hi")
        + data(
            {
                "citations": [
                    "http://a.example",
                    "javascript:alert(1)",
                    "https://user@a.example",
                    "https:///x",
                    "https://a b",
                    7,
                    None,
                ],
                "choices": [],
            }
        ),
        (),
    ),
    "titles on one line": (delta("Hi", annotations=[{"url": A, "title": " A\n\x00page "}]), NAMED),
}


@pytest.mark.parametrize(("sent", "expected"), SOURCES.values(), ids=SOURCES)
def test_sources_are_found_wherever_a_provider_puts_them(
    sent: bytes, expected: tuple[Source, ...]
) -> None:
    events, error = parse(sent, STOP, DONE)
    assert error is None
    assert [event.sources for event in events if isinstance(event, Sources)] == (
        [expected] if expected else []
    )


def test_ten_sources_at_most() -> None:
    citations = [f"https://a.example/{number}" for number in range(12)]
    events, _ = parse(delta("Hi"), data({"choices": [], "citations": citations}), STOP)
    (found,) = (event for event in events if isinstance(event, Sources))
    assert [source.url for source in found.sources] == citations[:10]

"""The states of one Slack message of an answer."""

from __future__ import annotations

import pytest

from handlers.answers.page import Page, PageEvent, PageState, next_state
from handlers.answers.rendering import Format

E, S = PageEvent, PageState


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([E.STREAM_STARTED, E.COMPLETED], S.COMPLETE),
        ([E.POSTED, E.COMPLETED], S.COMPLETE),
        ([E.STREAM_STARTED, E.STREAM_FAILED], S.CLOSING),
        ([E.STREAM_STARTED, E.STREAM_FAILED, E.STREAM_FAILED], S.EDITABLE),
        ([E.STREAM_STARTED, E.STREAM_FAILED, E.STREAM_ENDED, E.COMPLETED], S.COMPLETE),
        ([E.STREAM_STARTED, E.STREAM_ENDED], S.EDITABLE),
        ([E.STREAM_STARTED, E.PAUSED], S.PAUSING),
        ([E.STREAM_STARTED, E.PAUSED, E.STREAM_ENDED], S.EDITABLE),
        ([E.STREAM_STARTED, E.PAUSED, E.STREAM_FAILED], S.EDITABLE),
        ([E.STREAM_FOUND], S.CLOSING),
        ([E.POSTED, E.STILL_STREAMING, E.STREAM_FAILED], S.EDITABLE),
        ([E.MESSAGE_LOST, E.POSTED, E.MESSAGE_LOST], S.NOT_POSTED),
    ],
)
def test_events_lead_to_the_drawn_states(events: list[PageEvent], state: PageState) -> None:
    page = Page()
    for event in events:
        page.apply(event, "1.0" if event in (E.STREAM_STARTED, E.STREAM_FOUND, E.POSTED) else None)
    assert page.state is state
    assert (page.ts is None) == (state is S.NOT_POSTED)
    assert page.is_stream == (state in (S.STREAMING, S.CLOSING, S.PAUSING))


@pytest.mark.parametrize("event", PageEvent)
def test_nothing_happens_to_a_complete_page(event: PageEvent) -> None:
    with pytest.raises(ValueError, match="cannot happen in COMPLETE"):
        next_state(S.COMPLETE, event)


def test_a_message_that_breaks_off_as_a_stream_or_is_lost_is_written_again() -> None:
    """What it shows is unknown then, so an edit must not be skipped as unnecessary."""
    page = Page()
    page.apply(E.POSTED, "1.0")
    page.edited_text, page.has_blocks = "Hello.", True
    page.apply(E.STILL_STREAMING)
    page.apply(E.STREAM_ENDED)
    assert not page.edited_text
    assert page.has_blocks
    page.edited_text = "Hello."
    page.apply(E.MESSAGE_LOST)
    assert not page.edited_text
    assert not page.has_blocks
    assert not page.ts


def test_formats_get_simpler_until_none_is_left() -> None:
    seen = [Format.FULL]
    while (simpler := seen[-1].simpler()) is not None:
        seen.append(simpler)
    assert seen == list(Format)

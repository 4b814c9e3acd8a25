"""An answer's text divided into several messages: no word is lost between two of them."""

from __future__ import annotations

import pytest

from handlers.answers.draft import MAX_PAGE_BYTES, Draft
from handlers.answers.page import PageEvent

WORDS = [f"word{number:05} " for number in range(MAX_PAGE_BYTES // 10 + 200)]
EARLY = "".join(WORDS[:-50])
LATE = "".join(WORDS[-50:])


@pytest.mark.parametrize("ended", [False, True])
def test_text_that_arrives_while_a_full_message_is_edited_goes_to_the_next_one(ended: bool) -> None:
    draft = Draft()
    draft.append(EARLY)
    text, tail = draft.split_edit(whole=False)
    assert tail
    draft.append(LATE)
    if ended:
        draft.finish()
    draft.open_next_page(tail)
    draft.finish()
    assert (text + draft.split_edit(whole=True)[0]).split() == [word.strip() for word in WORDS]


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("full", [False, True])
def test_text_that_arrives_while_a_stream_is_ended_goes_to_the_next_message(
    ended: bool, full: bool
) -> None:
    """A stream is ended when it is full or old; an old one may hold all the text there was."""
    draft = Draft()
    draft.page.apply(PageEvent.STREAM_STARTED, "1.0")
    begun = EARLY if full else EARLY[:2000]
    draft.append(begun)
    first = draft.next_chunk(whole=False)
    draft.page.streamed += len(first)
    rest, tail = draft.split_stream()
    draft.append(LATE)
    if ended:
        draft.finish("The last words.")
    draft.open_next_page(tail)
    draft.finish("The last words." if not ended else "")
    assert (first + rest + draft.page.text).split() == [
        *(begun + LATE).split(),
        "The",
        "last",
        "words.",
    ]

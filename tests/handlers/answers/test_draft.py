"""An answer's text on its way into several messages: no word of it is lost between two of them."""

from __future__ import annotations

import pytest

from handlers.answers.draft import PART_BYTES, Draft

WORDS = [f"word{number:05} " for number in range(PART_BYTES // 10 + 200)]
EARLY, LATE = "".join(WORDS[:-50]), "".join(WORDS[-50:])


@pytest.mark.parametrize("ended", [False, True])
def test_what_comes_while_a_full_message_is_being_edited_goes_into_the_next(ended: bool) -> None:
    draft = Draft()
    draft.write(EARLY)
    text, tail = draft.edit(whole=False)
    assert tail
    draft.write(LATE)
    if ended:
        draft.finish()
    draft.next_page(tail)
    draft.finish()
    assert (text + draft.edit(whole=True)[0]).split() == [word.strip() for word in WORDS]


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("long", [False, True])
def test_what_comes_while_a_stream_is_being_ended_goes_into_the_next(
    ended: bool, long: bool
) -> None:
    """A stream is ended when it is full, or old: then perhaps all that there was stands in it."""
    draft = Draft()
    draft.page.native = True
    begun = EARLY if long else EARLY[:2000]
    draft.write(begun)
    first = draft.piece(whole=False)
    draft.page.sent += len(first)
    rest, tail = draft.turn_page(now=0.0)
    draft.write(LATE)
    if ended:
        draft.finish("The last words.")
    draft.next_page(tail)
    draft.finish("The last words." if not ended else "")
    assert (first + rest + draft.page.text).split() == [
        *(begun + LATE).split(),
        "The",
        "last",
        "words.",
    ]

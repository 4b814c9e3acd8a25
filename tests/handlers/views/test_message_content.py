"""All words and files that a person sees in a message, and who is addressed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.views.message_content import content_of
from handlers.views.payloads import incoming_message
from tests.handlers.seen_text import FORWARD, SEEN

KEYS = [
    *("type", "text", "elements", "blocks", "attachments", "is_share", "fields", "files", "rows"),
    *("message_blocks", "message", "from_url", "title", "id", "fallback", "indent", "offset"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("name", SEEN)
def test_all_words_that_a_person_sees_are_read(name: str) -> None:
    fields, seen, unseen = SEEN[name]
    text = content_of(fields, "U0BOT").text
    assert [word for word in seen if word not in text] == []
    assert [word for word in unseen if word in text] == []


def test_files_in_forwards_are_the_messages_files_once() -> None:
    inner = {**FORWARD, "files": [{"id": "F2", "name": "two.txt"}]}
    outer = {**FORWARD, "files": [{"id": "F1", "name": "one.txt"}], "attachments": [inner]}
    message = {"files": [{"id": "F0"}, {"id": "F1"}], "attachments": [outer]}
    assert [file.id for file in content_of(message, "U0BOT").files] == ["F0", "F1", "F2"]


@pytest.mark.parametrize("kind", ["message", "app_mention"])
def test_a_mention_in_a_forwarded_message_addresses_nobody(kind: str) -> None:
    forward = {**FORWARD, "text": "<@U0BOT> is it broken?"}
    event = {"type": kind, "user": "U1", "ts": "1.1", "channel": "C1", "attachments": [forward]}
    message = incoming_message(event, team="T1", bot_user="U0BOT")
    assert message is not None
    assert (message.addressed, message.to_others) == (False, False)
    assert "is it broken?" in message.text


@given(st.dictionaries(st.sampled_from(["text", "blocks", "attachments", "files"]), JSON))
def test_whatever_slack_sends_is_read_without_an_error(message: dict[str, Any]) -> None:
    content_of(message, "U0BOT")

"""Announces a stored question to API clients and to the engine, wherever it came from."""

from __future__ import annotations

from collections.abc import Callable

from bot.answers.events import EventPublisher
from storage.messages import StoredMessage

Announce = Callable[[StoredMessage], None]
"""Called with a question after it was stored, once the transaction has ended."""


def announcer(publisher: EventPublisher, wake: Callable[[str], None]) -> Announce:
    """Announces the question to the chat's API subscribers, unless that was done before, and has it answered.

    `wake`: called with the id of a chat that has an answer to be written.
    """

    def announce(stored: StoredMessage) -> None:
        if not stored.duplicate:
            publisher.message_added(stored)
        wake(stored.chat.id)

    return announce

"""Makes a stored question known, whichever way it came."""

from __future__ import annotations

from collections.abc import Callable

from bot.answers.events import EventPublisher
from storage.messages import StoredMessage

Announce = Callable[[StoredMessage], None]
"""Is called with a question after it was stored, once the transaction has ended."""


def announcer(publisher: EventPublisher, wake: Callable[[str], None]) -> Announce:
    """Tells programs that follow the chat of the question, unless they were told before, and has it answered.

    `wake`: is called with the id of a chat that has an answer to be written.
    """

    def announce(stored: StoredMessage) -> None:
        if not stored.duplicate:
            publisher.message_added(stored)
        wake(stored.chat.id)

    return announce

"""What Bobbin says to one person directly, because it cannot be said where they asked."""

from __future__ import annotations

from bot import strings
from bot.domain import Thread
from bot.observability import get_logger
from handlers.client.errors import SlackError
from handlers.client.web_api import SlackClient
from handlers.threads.agent_session import is_direct

log = get_logger(__name__)

EVERY = 3600.0
"""Seconds in which a person is told at most once about one channel."""
_SAME = {
    "channel_not_found": "not_in_channel"
}  # private channels are not found by those who are not in them


def why_elsewhere(channel: str, code: str) -> str:
    """The beginning of a sentence: why a chat that was asked for in this channel stands elsewhere."""
    reasons = strings.ASKED_ELSEWHERE
    reason = _reason(code) if _reason(code) in reasons else ""
    return reasons["direct" if channel.startswith("D") else reason].format(channel=channel)


def _reason(code: str) -> str:
    return "restricted_action" if code.startswith("restricted_action") else _SAME.get(code, code)


async def cannot_write(slack: SlackClient, thread: Thread, user: str | None, code: str) -> None:
    """Tells a person why nothing comes, where that helps them."""
    sentence = strings.CANNOT_WRITE.get(_reason(code))
    if user is None or sentence is None or is_direct(thread.channel):
        return
    if not slack.at_most_every("cannot write", thread.channel, user, every=EVERY):
        return
    try:
        text = sentence.format(channel=thread.channel)
        await slack.call_with_retry(
            "chat.postMessage", again_if_unsure=False, channel=user, text=text
        )
    except SlackError as error:
        log.info("person_not_told", reason=str(error))

"""Notices to one user: ephemeral, or as a direct message if Bobbin cannot write where they asked.

The outcome of a message or a button press is told once, by whichever replica gets to it first. Nothing shows whether a
notice that Slack did not respond to was seen, so it is not repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from bot import strings
from bot.domain import Thread
from bot.observability import get_logger
from handlers.client.errors import TRANSIENT_RESULTS, SlackError, Unanswered
from handlers.client.web_api import SlackClient
from handlers.views.blocks import Block, is_direct
from handlers.views.payloads import Reader

log = get_logger(__name__)

NOTICE_TTL = 90_000.0
"""Seconds for which a notice counts as told: Slack may redeliver a message for a day."""
NOTICE_TIMEOUT = 15.0
"""Seconds that a notice about a press waits for Slack before it is sent another way."""
LONGEST_NOTICE_WAIT = 120.0
"""Seconds for which a notice about a message is of use: it is repeated so long while Slack refuses it."""
CANNOT_WRITE_INTERVAL = 3600.0
"""Seconds within which a user gets at most one notice that Bobbin cannot write in a channel."""
_QUESTION_DELETED_CODES = frozenset({"invalid_thread_ts", "thread_not_found"})
"""The thread is gone because its question was deleted, so nobody waits for an answer."""
_SAME_REASON = {"channel_not_found": "not_in_channel"}
"""Slack hides private channels from non-members, so their error codes mean the same."""


async def notify(
    slack: SlackClient, reader: Reader, text: str, content: list[Block] | None = None
) -> None:
    """Tells a user the outcome of a button press, in the first way that Slack accepts.

    If the bot is not a member of the channel, only the response URL reaches them; a Home tab has neither, so it gets a
    direct message. `content`: blocks that replace the text.
    """
    notice = {"text": text, **({"blocks": content} if content else {})}
    where = {"channel": reader.channel} if reader.channel else {}
    where |= {"thread_ts": reader.thread} if reader.thread else {}
    if reader.channel and _may_be_seen(
        await _post(slack, NOTICE_TIMEOUT, user=reader.user, **where, **notice)
    ):
        return
    ephemeral = {"response_type": "ephemeral", "replace_original": False}
    if await slack.respond(reader.response_url, **notice, **ephemeral):
        return
    await slack.try_call("chat.postMessage", max_wait=NOTICE_TIMEOUT, channel=reader.user, **notice)


async def notify_once(
    slack: SlackClient,
    what: tuple[str, ...],
    reader: Reader,
    text: str,
    content: list[Block] | None = None,
    *,
    within: float = NOTICE_TTL,
) -> None:
    """Like `notify`, but once `within` so many seconds, across all replicas. `what`: identifies the notice within the
    workspace.

    A process that dies before it has told the user leaves that to the next one.
    """
    if not await slack.claims.is_first(*what, within=slack.timing.notice_claim):
        return
    async with slack.claims.renewing(*what, within=slack.timing.notice_claim):
        await notify(slack, reader, text, content)
    await slack.claims.keep(*what, within=within)


async def post_ephemeral_once(slack: SlackClient, about: str, **notice: Any) -> bool:
    """Like `post_ephemeral`, but only if nobody else posts a notice about the same thing.

    `about`: identifies the thing within the workspace, for instance by a message's ts. Returns whether nobody is still
    posting it, so that nobody will have to tell what they were telling.
    """
    what = ("notice", notice["channel"], about)
    if not await slack.claims.is_first(*what, within=slack.timing.notice_claim):
        return await slack.claims.is_done(*what, within=slack.timing.notice_claim)
    async with slack.claims.renewing(*what, within=slack.timing.notice_claim):
        is_posted = await post_ephemeral(slack, **notice)
    if is_posted:
        await slack.claims.keep(*what, within=NOTICE_TTL)
    return True


async def post_ephemeral(
    slack: SlackClient,
    *,
    channel: str,
    user: str,
    text: str,
    thread: str | None = None,
    content: list[Block] | None = None,
) -> bool:
    """Posts a message that only this user sees, or sends it to them directly if Slack refuses such messages.

    Returns whether the user may see one of them. After any other failure nothing else is sent, because it would come
    much too late. `content`: blocks, shown instead of the text.
    """
    notice: dict[str, Any] = {"text": text, **({"blocks": content} if content else {})}
    in_thread = {"thread_ts": thread} if thread else {}
    failure = await _post(
        slack, LONGEST_NOTICE_WAIT, channel=channel, user=user, **notice, **in_thread
    )
    if failure is None or isinstance(failure, Unanswered):
        return True
    if failure.result in TRANSIENT_RESULTS:
        return False
    where = {"channel": channel, **in_thread} if is_direct(channel) else {"channel": user}
    return _may_be_seen(
        await slack.failure_of(
            "chat.postMessage", max_wait=NOTICE_TIMEOUT, retry_if_unknown=False, **where, **notice
        )
    )


def _post(slack: SlackClient, max_wait: float, **notice: Any) -> Awaitable[SlackError | None]:
    return slack.failure_of(
        "chat.postEphemeral", retry_if_unanswered=False, max_wait=max_wait, **notice
    )


def _may_be_seen(failure: SlackError | None) -> bool:
    return failure is None or isinstance(failure, Unanswered)


def why_elsewhere(channel: str, code: str) -> str:
    """The beginning of a sentence: why a chat that was to start in this channel is elsewhere."""
    reasons = strings.OTHER_PLACE_REASONS
    reason = _reason(code) if _reason(code) in reasons else ""
    return reasons["direct" if is_direct(channel) else reason].format(channel=channel)


def _reason(code: str) -> str:
    if code.startswith("restricted_action"):
        return "restricted_action"
    return _SAME_REASON.get(code, code)


async def cannot_write(slack: SlackClient, thread: Thread, user: str | None, code: str) -> bool:
    """Sends a direct message that says why no answer will come in the user's thread.

    False if the user has been told recently, or is about to be.
    """
    if user is None or code in _QUESTION_DELETED_CODES:
        return True
    what = ("cannot_write", thread.channel, user)
    if not await slack.claims.is_first(*what, within=slack.timing.notice_claim):
        return False
    try:
        text = _why_not_written(thread.channel, code)
        async with slack.claims.renewing(*what, within=slack.timing.notice_claim):
            await slack.call_with_retry(
                "chat.postMessage",
                retry_if_unknown=False,
                max_wait=NOTICE_TIMEOUT,
                channel=user,
                text=text,
            )
    except SlackError as error:
        log.info("direct_message_not_posted", reason=str(error))
    except asyncio.CancelledError:
        await slack.claims.keep(*what, within=0.0)  # the next process tells them
        raise
    await slack.claims.keep(*what, within=CANNOT_WRITE_INTERVAL)
    return True


def _why_not_written(channel: str, code: str) -> str:
    if is_direct(channel):
        return strings.CANNOT_WRITE_HERE.format(code=code)
    sentence = strings.CANNOT_WRITE.get(_reason(code), strings.CANNOT_WRITE_OTHERWISE)
    return sentence.format(channel=channel, code=code)

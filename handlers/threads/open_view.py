"""Opens a dialog, in the three seconds for which Slack lets the bot do so."""

from __future__ import annotations

import asyncio

from bot import strings
from bot.observability import get_logger
from handlers.client.errors import OutcomeUnknown, SlackError
from handlers.client.web_api import SlackClient
from handlers.threads.private_notices import tell
from handlers.views.blocks import View
from handlers.views.payloads import Reader

log = get_logger(__name__)

RATE_LIMIT_TIMEOUT = 1.5
"""Seconds that the dialog waits for the rate limit."""


async def open_view(slack: SlackClient, trigger: str, view: View, reader: Reader) -> None:
    """Opens it, or tells the user that it did not open. `trigger`: trigger id of the interaction."""
    try:
        permission = slack.dispatcher.acquire("views.open", "")
        await asyncio.wait_for(permission, RATE_LIMIT_TIMEOUT)
        await slack.call("views.open", trigger_id=trigger, view=view)
    except OutcomeUnknown as error:  # it may be open
        log.info("dialog_outcome_unknown", reason=str(error))
    except (SlackError, TimeoutError) as error:
        log.info("dialog_not_opened", reason=str(error) or "rate limit")
        await tell(slack, reader, strings.DIALOG_NOT_OPENED)

"""Opens a dialog, within the three seconds that Slack allows.

press ──views.open──▶ open
          ▲  │ └──refused, or no response in time──▶ the person is told
          └──┘ 429, no connection or an unknown outcome; Slack accepts a trigger only once, and no old one
"""

from __future__ import annotations

from bot import strings
from bot.observability import get_logger
from handlers.client.errors import SlackError, SlackRejected
from handlers.client.web_api import SlackClient
from handlers.threads.private_notices import notify
from handlers.views.blocks import View
from handlers.views.payloads import Reader

log = get_logger(__name__)

_OPENED_BEFORE = "exchanged_trigger_id"
"""Slack's refusal of a trigger that an earlier call, whose response was lost, has used."""


async def open_view(slack: SlackClient, trigger: str, view: View, reader: Reader) -> None:
    """Opens the dialog, or tells the user that it could not be opened. `trigger`: trigger id of the interaction."""
    try:
        max_wait = slack.timing.dialog_open_timeout
        await slack.call_with_retry("views.open", max_wait=max_wait, trigger_id=trigger, view=view)
    except SlackError as error:
        if isinstance(error, SlackRejected) and error.code == _OPENED_BEFORE:
            return
        log.info("dialog_not_opened", reason=str(error))
        await notify(slack, reader, strings.DIALOG_NOT_OPENED)

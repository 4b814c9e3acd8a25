"""Looks up the names of users and channels by id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot import english_strings
from handlers.client.errors import SlackRejected
from handlers.client.web_api import SlackClient
from handlers.markdown.plain_text import plain
from handlers.rate_limits.urgency import Urgency
from storage.people import Account

CHANNEL_LETTERS = ("C", "G")
"""First letters of channel ids; direct messages have no name."""
MAX_NAME_LENGTH = 80
MAX_LOCALE_LENGTH = 20


def is_channel(id: str) -> bool:
    return id.startswith(CHANNEL_LETTERS)


async def ask_account(slack: SlackClient, id: str, max_wait: float) -> Account | None:
    """The name of a user or a channel, and a user's locale; None if Slack provides no name. Raises SlackError."""
    if is_channel(id):
        channel = await _ask_channel(slack, id, max_wait)
        return Account(channel) if channel else None
    answer = await slack.call_with_retry(
        "users.info", max_wait=max_wait, user=id, include_locale=True
    )
    user = answer.get("user") or {}
    name = _first_name(user)
    return Account(name, locale_of(user)) if name else None


def locale_of(user: Mapping[str, Any]) -> str | None:
    """The user's locale according to Slack, such as `de-DE`; None if it is missing."""
    return plain(str(user.get("locale") or ""), MAX_LOCALE_LENGTH) or None


async def _ask_channel(slack: SlackClient, channel: str, max_wait: float) -> str | None:
    """A public channel's name; neutral words for all others, because not everybody who reads an answer may know the
    name.
    """
    try:
        answer = await slack.call_with_retry(
            "conversations.info", max_wait=max_wait, urgency=Urgency.ANSWER, channel=channel
        )
    except SlackRejected as error:
        if error.code == "channel_not_found":  # how Slack conceals private channels
            return english_strings.PRIVATE_CHANNEL
        raise
    found = answer.get("channel") or {}
    if _is_public(found):
        return plain(str(found.get("name") or ""), MAX_NAME_LENGTH) or None
    return english_strings.PRIVATE_CHANNEL


def _is_public(channel: Mapping[str, Any]) -> bool:
    """Whether Slack says so; ids of group conversations look like those of channels."""
    hidden = any(channel.get(mark) for mark in ("is_private", "is_group", "is_mpim", "is_im"))
    return bool(channel.get("is_channel")) and not hidden


def _first_name(user: Mapping[str, Any]) -> str | None:
    """The display name, else the real name; always one line, so that a name cannot imitate another user's message."""
    profile = user.get("profile")
    fields = profile if isinstance(profile, dict) else {}
    for name in (
        fields.get("display_name"),
        fields.get("real_name"),
        user.get("real_name"),
        user.get("name"),
    ):
        if name and (clean := plain(str(name), MAX_NAME_LENGTH)):
            return clean
    return None

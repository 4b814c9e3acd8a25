"""What Slack says about channels: whether they are public, and who is in them."""

from __future__ import annotations

from bot.domain import User
from handlers.client.workspaces import WorkspaceResolver

CALL_TIMEOUT = 30.0
"""Seconds for which a look-up waits for Slack's rate limits."""


class SlackChannels:
    """Each method raises SlackError, NotInstalled or StorageError if Slack provides no answer."""

    def __init__(self, workspaces: WorkspaceResolver) -> None:
        self._workspaces = workspaces

    async def is_public(self, team: str, channel: str) -> bool:
        slack = await self._workspaces.client_for(team)
        response = await slack.call_with_retry(
            "conversations.info", max_wait=CALL_TIMEOUT, channel=channel
        )
        found = response.get("channel") or {}
        return not (found.get("is_private") or found.get("is_group") or found.get("is_mpim"))

    async def has_member(self, user: User, channel: str) -> bool:
        slack = await self._workspaces.client_for(user.team)
        async for page in slack.pages(
            "conversations.members", max_wait=CALL_TIMEOUT, channel=channel, limit=999
        ):
            if user.id in page.get("members", ()):
                return True
        return False

"""Whose installation an interaction belongs to, when somebody of another company acts in a channel that is shared."""

from __future__ import annotations

import time
from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse

from bot.observability import bound


class SharedApp(AsyncApp):
    """A Bolt application that answers guests in the name of the workspace where it is installed.

    What they do in a dialog, and at times what they do in a message, names their own workspace, which need not have
    this app: Bolt would turn them away, or speak with the wrong token. What is logged meanwhile names the workspace.
    """

    handling = 0
    """What is being handled and not yet acknowledged."""
    handled_at = float("-inf")
    """When something last was; by the monotonic clock."""

    async def async_dispatch(self, req: AsyncBoltRequest) -> BoltResponse:
        if host := host_of(req.body):
            req.context["team_id"] = host
            req.context["enterprise_id"] = (
                None  # what is named there is the organisation of the guest
            )
        self.handling += 1
        try:
            with bound(team=req.context.get("team_id") or req.context.get("enterprise_id")):
                return await super().async_dispatch(req)
        finally:
            self.handling -= 1
            self.handled_at = time.monotonic()


def host_of(body: dict[str, Any]) -> str | None:
    """The workspace to which the view or the message belongs, if the payload names the guest's own one instead."""
    named, user = _id(body.get("team")), body.get("user")
    if named is None or not isinstance(user, dict) or user.get("team_id") != named:
        return None
    host = _installed_in(body)
    return host if host != named else None


def _installed_in(body: dict[str, Any]) -> str | None:
    view, message = body.get("view"), body.get("message")
    if isinstance(view, dict):
        found = view.get("app_installed_team_id")
    elif isinstance(message, dict) and body.get("type") in ("block_actions", "block_suggestion"):
        profile = message.get("bot_profile")
        found = profile.get("team_id") if isinstance(profile, dict) else None
    else:  # a shortcut may be used on any message, whoever wrote it
        return None
    return found if isinstance(found, str) and found.startswith("T") else None


def _id(team: object) -> str | None:
    found = team.get("id") if isinstance(team, dict) else team
    return found if isinstance(found, str) else None

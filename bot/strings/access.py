"""What people read when they are not allowed to do something."""

from __future__ import annotations

from bot.access.rules import Verdict

ADMINS_ONLY = "Only admins and owners of this workspace can do that{more}. Please ask one of them."
ADMINS_TOO = ", and {names}"
NOT_ALLOWED: dict[Verdict, str] = {
    Verdict.USER_NOT_ALLOWED: "Only some people may use me here, and you aren't among them yet. "
    "Please ask the person who runs Bobbin.",
    Verdict.CHANNEL_NOT_ALLOWED: "I may not answer in this channel. Please ask me in another one, "
    "or ask the person who runs Bobbin to allow this one.",
    Verdict.CHANNEL_LEFT: "You aren't in that channel any more, so nothing was done there. "
    "Ask somebody in it to invite you, then try again.",
    Verdict.OUTSIDER: "I only answer people of the organisation that added me. "
    "Please ask somebody there, or the person who runs Bobbin.",
    Verdict.GUEST: "I don't answer guests of this workspace. "
    "Please ask one of its members, or the person who runs Bobbin.",
    Verdict.DEACTIVATED: "This account is deactivated.",
    Verdict.UNKNOWN: "Slack couldn't tell me whether you are a member of this workspace, so I can't answer "
    "you yet. Please try again in a moment.",
}
"""What a person who is refused reads, in Slack and from the API."""

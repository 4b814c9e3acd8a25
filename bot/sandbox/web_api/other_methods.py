"""Methods that Slack has but the sandbox does not imitate, with their errors.

Sources: https://docs.slack.dev/reference/methods, and the methods of Slack's clients for Python and JavaScript.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Literal

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.types import Json
from bot.sandbox.web_api.calls import Call, Method


def _names(families: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{family}.{verb}" for family, verbs in families.items() for verb in verbs.split())


DEPRECATED = _names(
    {
        "apps.permissions": "info request",
        "channels": (
            "archive create history info invite join kick leave list mark rename replies setPurpose setTopic "
            "unarchive"
        ),
        "files.comments": "delete",
        "files": "upload",
        "groups": (
            "archive create createChild history info invite kick leave list mark open rename replies "
            "setPurpose setTopic unarchive"
        ),
        "im": "close history list mark open replies",
        "mpim": "close history list mark open replies",
        "rtm": "start",
        "users": "setActive",
        "workflows": "stepCompleted stepFailed updateStep",
    }
)
"""Methods that Slack has retired: `method_deprecated`."""

FOR_USER_TOKENS = _names(
    {
        "admin.analytics": "getFile",
        "admin.analytics.messages": "activity metadata",
        "admin.apps.activities": "list",
        "admin.apps": "approve clearResolution restrict uninstall",
        "admin.apps.approved": "list",
        "admin.apps.config": "lookup set",
        "admin.apps.mcp.servers": "list",
        "admin.apps.mcp.servers.permissions": "list set",
        "admin.apps.permissions": "add list remove set",
        "admin.apps.requests": "cancel list",
        "admin.apps.restricted": "list",
        "admin.audit.anomaly.allow": "getItem updateItem",
        "admin.auth.policy": "assignEntities getEntities removeEntities",
        "admin.barriers": "create delete list update",
        "admin.conversations": (
            "archive bulkArchive bulkDelete bulkMove bulkSetExcludeFromSlackAi bulkSetProperties convertToPrivate "
            "convertToPublic "
            "create createForObjects delete disconnectShared getConversationPrefs getCustomRetention getTeams "
            "invite linkObjects lookup removeCustomRetention rename search setConversationPrefs "
            "setCustomRetention setTeams unarchive unlinkObjects"
        ),
        "admin.conversations.ekm": "listOriginalConnectedChannelInfo",
        "admin.conversations.restrictAccess": "addGroup listGroups removeGroup",
        "admin.emoji": "add addAlias list remove rename",
        "admin.functions": "list",
        "admin.functions.permissions": "lookup set",
        "admin.inviteRequests": "approve deny list",
        "admin.inviteRequests.approved": "list",
        "admin.inviteRequests.denied": "list",
        "admin.roles": "addAssignments listAssignments removeAssignments",
        "admin.slackbot.skills": "list publish setAutoEnabled unpublish",
        "admin.teams.admins": "list",
        "admin.teams": "create list",
        "admin.teams.owners": "list",
        "admin.teams.settings": "info setDefaultChannels setDescription setDiscoverability setIcon setName",
        "admin.usergroups": (
            "addChannels addTeams addUsers create fetch listChannels removeChannels removeTeams removeUsers update "
            "uploadUsers"
        ),
        "admin.users": "assign getExpiration invite list remove setAdmin setExpiration setOwner setRegular",
        "admin.users.session": "clearSettings getSettings invalidate list reset resetBulk setSettings",
        "admin.users.unsupportedVersions": "export",
        "admin.workflows.collaborators": "add remove",
        "admin.workflows.permissions": "lookup",
        "admin.workflows.triggers.types.permissions": "lookup set",
        "admin.workflows.triggers.types.permissionsWithStepRestrictions": "set",
        "admin.workflows": "search unpublish",
        "dnd": "endDnd endSnooze setSnooze",
        "files": "revokePublicURL sharedPublicURL",
        "reminders": "add complete delete info list",
        "rtm": "connect",
        "search": "all files messages",
        "stars": "add list remove",
        "team": "accessLogs billableInfo integrationLogs",
        "users": "deletePhoto identity setPhoto",
        "users.profile": "set",
    }
)
"""Methods that Slack refuses to a bot token: `not_allowed_token_type`."""

NOT_IMITATED = _names(
    {
        "agents.conversations": (
            "archive create getCanvas listViews removeView setCanvasContent setCommands setProperties setView"
        ),
        "apps.activities": "list",
        "apps.auth.external": "delete get",
        "apps.datastore": "bulkDelete bulkGet bulkPut count delete get put query update",
        "apps.event.authorizations": "list",
        "apps.icon": "set",
        "apps.managed.permissions": "set",
        "apps.manifest": "create delete export update validate",
        "apps": "uninstall",
        "apps.user.connection": "bulkUpdate requestAuth update",
        "assistant.search": "context info",
        "auth": "revoke",
        "blocks": "validate",
        "calls": "add end info update",
        "calls.participants": "add remove",
        "canvases.access": "delete set",
        "canvases": "create delete edit getContent",
        "canvases.sections": "lookup",
        "conversations": "acceptSharedInvite approveSharedInvite declineSharedInvite inviteShared listConnectInvites",
        "conversations.canvases": "create",
        "conversations.externalInvitePermissions": "set",
        "conversations.requestSharedInvite": "approve deny list",
        "developer.apps.owners": "add list remove",
        "dialog": "open",
        "entity": "presentDetails",
        "files.remote": "add info list remove share update",
        "functions": "completeError completeSuccess",
        "functions.distributions.permissions": "add list remove set",
        "functions.workflows.steps": "list",
        "functions.workflows.steps.responses": "export",
        "migration": "exchange",
        "oauth": "access token",
        "oauth.v2": "access exchange",
        "oauth.v2.user": "access",
        "openid.connect": "token userInfo",
        "slackLists.access": "delete set",
        "slackLists": "create update",
        "slackLists.download": "get start",
        "slackLists.items": "create delete deleteMultiple info list update",
        "slackbot.skills": "create delete info list update",
        "slackbot.skills.library": "add remove",
        "team.billing": "info",
        "team.externalTeams": "disconnect list",
        "team.preferences": "list",
        "tooling.tokens": "rotate",
        "usergroups": "create disable enable update",
        "usergroups.users": "update",
        "users.discoverableContacts": "lookup",
        "workflows.featured": "add list remove set",
        "workflows.triggers.permissions": "add list remove set",
    }
)
"""Methods that work in Slack but not here: `not_supported_in_sandbox`."""


def refuse(error: str, why: str, call: Call) -> Json:
    """Always raises SlackRefusal."""
    raise SlackRefusal(error, f"[ERROR] {call.method} {why}")


def _refusing(
    names: tuple[str, ...], error: str, why: str, caller: Literal["bot", "anyone"] = "anyone"
) -> dict[str, Method]:
    return {name: Method(partial(refuse, error, why), caller=caller) for name in names}


OTHER_METHODS: dict[str, Method] = {
    **_refusing(DEPRECATED, "method_deprecated", "has been retired by Slack"),
    **_refusing(FOR_USER_TOKENS, "not_allowed_token_type", "takes a user token", "bot"),
    **_refusing(
        NOT_IMITATED, "not_supported_in_sandbox", "works in Slack, but not in this sandbox"
    ),
}

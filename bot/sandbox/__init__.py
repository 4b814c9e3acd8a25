"""A strict local stand-in for Slack, used as a demo workspace, by the tests and by the benchmarks."""

from bot.sandbox.app_permissions import DEFAULT_SCOPES
from bot.sandbox.errors import (
    InvalidAnswer,
    ManifestError,
    NotAcknowledged,
    SlackRefusal,
    WorkspaceFileError,
)
from bot.sandbox.faults import Fault
from bot.sandbox.limits import Limits
from bot.sandbox.server import Sandbox
from bot.sandbox.state.records import Ephemeral, Message, State, View
from bot.sandbox.state.workspace_file import WorkspaceFile
from bot.sandbox.user_actions.conversations import Upload
from bot.sandbox.user_actions.find_elements import flat_options

__all__ = [
    "DEFAULT_SCOPES",
    "Ephemeral",
    "Fault",
    "InvalidAnswer",
    "Limits",
    "ManifestError",
    "Message",
    "NotAcknowledged",
    "Sandbox",
    "SlackRefusal",
    "State",
    "Upload",
    "View",
    "WorkspaceFile",
    "WorkspaceFileError",
    "flat_options",
]

"""A strict local stand-in for Slack: the demo's workspace, the tests' double, the benchmarks' opponent."""

from .choices import options_of
from .failures import InvalidAnswer, NotAcknowledged, SlackRefusal
from .faults import Fault
from .limits import Limits
from .persons import Upload
from .records import Ephemeral, Message, State, View
from .server import DEFAULT_SCOPES, Sandbox

__all__ = [
    "DEFAULT_SCOPES",
    "Ephemeral",
    "Fault",
    "InvalidAnswer",
    "Limits",
    "Message",
    "NotAcknowledged",
    "Sandbox",
    "SlackRefusal",
    "State",
    "Upload",
    "View",
    "options_of",
]

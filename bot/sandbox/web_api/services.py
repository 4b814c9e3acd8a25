"""What Web API methods need beside the workspace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.sandbox.events.socket_mode import SocketMode
    from bot.sandbox.web_api.files import Uploads
    from bot.sandbox.web_api.views import Modals


@dataclass(frozen=True, slots=True)
class Links:
    """The parts of the sandbox that methods act on; `subscribed` are the events the app gets."""

    modals: Modals
    sockets: SocketMode
    subscribed: frozenset[str]
    uploads: Uploads

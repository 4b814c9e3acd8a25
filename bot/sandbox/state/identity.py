"""The app's identity in a workspace: its ids, its name, its credentials."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

APP_ID = "A0SANDBOX"


@dataclass(frozen=True, slots=True)
class AppIdentity:
    """The app's identity, stored with the workspace, so that a running app continues after a restart of the sandbox."""

    user_id: str
    bot_token: str
    app_token: str
    signing_secret: str
    webhook_secret: str


def new_identity(bot_name: str) -> AppIdentity:
    """Ids and credentials for an app that the workspace has not seen before."""
    return AppIdentity(
        user_id=user_id_of(handle_of(bot_name)),
        bot_token=f"xoxb-{secrets.token_hex(12)}",
        app_token=f"xapp-1-{APP_ID}-{secrets.token_hex(12)}",
        signing_secret=secrets.token_hex(16),
        webhook_secret=secrets.token_hex(12),
    )


def handle_of(display_name: str) -> str:
    """The name by which people mention a bot: `My App` is `@my_app`."""
    return re.sub(r"[^a-z0-9.-]+", "_", display_name.lower()).strip("_.-") or "app"


def user_id_of(name: str) -> str:
    """A readable id for a user: `U0ALICE`."""
    return "U0" + re.sub(r"[^A-Z0-9]", "", name.upper())

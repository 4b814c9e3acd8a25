"""Which scopes the app has in a workspace, according to the headers of Slack's responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UPLOAD_SCOPE = "files:write"


class GrantedScopes:
    """The scopes of one workspace's token, as last reported by Slack."""

    def __init__(self) -> None:
        self._scopes: frozenset[str] | None = None
        """None: nothing is known."""

    def note(self, headers: Mapping[str, Any] | None) -> None:
        """Records the scopes in a response, if it reports them."""
        for name, value in (headers or {}).items():
            if name.lower() == "x-oauth-scopes" and value:
                self._scopes = frozenset(each.strip() for each in str(value).split(","))

    @property
    def may_upload(self) -> bool:
        """Whether files can be shown in this workspace, as far as is known."""
        return self._scopes is None or UPLOAD_SCOPE in self._scopes

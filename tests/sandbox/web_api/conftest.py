"""A workspace whose app may do everything."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.sandbox import Limits, Sandbox
from bot.sandbox.app_permissions import EVENTS, SCOPES

GENERAL = "C0GENERAL"
"""The id of #general."""


@pytest.fixture
async def slack(limits: Limits) -> AsyncIterator[Sandbox]:
    """With every scope and event."""
    async with Sandbox(limits=limits, scopes=SCOPES, events=EVENTS) as sandbox:
        yield sandbox

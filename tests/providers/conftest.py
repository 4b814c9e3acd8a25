"""A fixture for all tests of providers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.providers.harness import ProviderHarness, provider_harness


@pytest.fixture
async def harness() -> AsyncIterator[ProviderHarness]:
    async with provider_harness() as harness:
        yield harness

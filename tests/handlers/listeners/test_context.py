"""Which workspace an event or interaction belongs to."""

from __future__ import annotations

from typing import Any

import pytest

from handlers.listeners.context import team_of


@pytest.mark.parametrize(
    ("body", "context", "expected"),
    [
        ({}, {"team_id": "T1"}, "T1"),
        ({"team_id": "T1"}, {}, "T1"),
        ({"team": {"id": "T1"}}, {}, "T1"),
        ({"team": "T1"}, {}, "T1"),
        ({"team": None, "user": {"id": "U1", "team_id": "T1"}}, {"enterprise_id": "E1"}, "T1"),
        ({"team_id": "E1", "team": {"id": "T1"}}, {"team_id": "E1"}, "T1"),
        ({"team": {"id": "E1"}}, {}, "E1"),
        ({}, {}, ""),
    ],
)
def test_a_workspace_is_preferred_to_its_organisation(
    body: dict[str, Any], context: dict[str, Any], expected: str
) -> None:
    assert team_of(body, context) == expected

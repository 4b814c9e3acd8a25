"""Sends the API requests that Schemathesis generates from the OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup


def explore(
    described: dict[str, Any], url: str, tokens: list[str], chat: str, examples: int
) -> tuple[set[int], list[str]]:
    """The status codes of all responses, and everything that was wrong.

    Each operation is tried with its own token, with this many valid and invalid examples.
    """
    load_all_checks()
    schema = schemathesis.openapi.from_dict(described)
    schema.config.update(base_url=url)
    checks = CHECKS.get_by_names(
        [
            "not_a_server_error",
            "status_code_conformance",
            "content_type_conformance",
            "response_schema_conformance",
        ]
    )
    codes: set[int] = set()
    failures: list[str] = []

    def check_response(case: Any, token: str) -> None:
        if "conversation_id" in (case.path_parameters or {}):
            case.path_parameters["conversation_id"] = chat
        try:
            answer = case.call(headers={"Authorization": f"Bearer {token}"})
            codes.add(answer.status_code)
            case.validate_response(answer, checks=checks)
        except FailureGroup as group:
            failures.extend(f"{case.method} {case.path}: {failure}" for failure in group.exceptions)

    for token, found in zip(tokens, schema.get_all_operations(), strict=True):
        operation = found.ok()  # type: ignore[union-attr]  # the description is valid, or this raises
        allowed = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
        forbidden = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
        for cases in (allowed, forbidden):
            try_all(cases, partial(check_response, token=token), examples)
    return codes, failures


def try_all(cases: Any, check_response: Callable[[Any], None], examples: int) -> None:
    @given(case=cases)
    @settings(max_examples=examples, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    def try_one(case: Any) -> None:
        check_response(case)

    try_one()

"""What whoever runs Bobbin asks: is it alive, is it ready, how is it doing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.errors import BobbinError
from bot.observability import METRICS_CONTENT_TYPE, Metrics
from storage.coordination import Coordination
from storage.engine.database import Database
from storage.engine.schema_version import Schema, schema_of

Check = Callable[[], Awaitable[str | None]]
"""Says what is not ready, or None. May raise BobbinError, which says it too."""
ANSWERED_WITHIN = 3.0
"""Seconds that one check may take."""


def operations(metrics: Metrics, checks: Mapping[str, Check]) -> list[Route]:
    async def alive(_: Request) -> Response:
        return JSONResponse({"alive": True})

    async def found() -> dict[str, str | None]:
        faults = await asyncio.gather(*(_fault(check) for check in checks.values()))
        for name, fault in zip(checks, faults, strict=True):
            metrics.ready(name, fault is None)
        return dict(zip(checks, faults, strict=True))

    async def ready(_: Request) -> Response:
        faults = await found()
        fine = not any(faults.values())
        said = {name: fault or "ok" for name, fault in faults.items()}
        return JSONResponse({"ready": fine, "checks": said}, 200 if fine else 503)

    async def measured(_: Request) -> Response:
        await found()
        return Response(metrics.render(), headers={"Content-Type": METRICS_CONTENT_TYPE})

    return [Route("/healthz", alive), Route("/readyz", ready), Route("/metrics", measured)]


def readiness_checks(
    *,
    database: Database,
    coordination: Coordination | None,
    slack_connected: Callable[[], Awaitable[bool]],
) -> dict[str, Check]:
    """What must be well before requests are sent to this process. `coordination`: None without Redis."""

    async def check_database() -> str | None:
        schema = await schema_of(database)
        return None if schema is Schema.CURRENT else f"the schema is {schema} than this version's"

    async def check_slack() -> str | None:
        return None if await slack_connected() else "the socket is not connected"

    checks: dict[str, Check] = {"database": check_database, "slack": check_slack}
    if coordination is not None:
        checks["redis"] = coordination.ping
    return checks


async def _fault(check: Check) -> str | None:
    try:
        async with asyncio.timeout(ANSWERED_WITHIN):
            return await check()
    except TimeoutError:
        return "no answer in time"
    except BobbinError as error:
        return str(error)

"""The routes for operators and orchestrators: liveness, readiness and metrics."""

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
"""Returns what is wrong, or None. Raising a BobbinError also counts as wrong."""
CHECK_TIMEOUT = 3.0
"""Seconds for one check."""


def operator_routes(metrics: Metrics, checks: Mapping[str, Check]) -> list[Route]:
    """`/healthz`, `/readyz` and `/metrics`; the latter two run all checks."""

    async def healthz(_: Request) -> Response:
        return JSONResponse({"alive": True})

    running: asyncio.Task[dict[str, str | None]] | None = None

    async def run_checks() -> dict[str, str | None]:
        """Joins a run that is already in progress: however many requests arrive, the database is asked once."""
        nonlocal running
        if running is None or running.done():
            running = asyncio.create_task(check_all(), name="readiness checks")
        return await asyncio.shield(running)

    async def check_all() -> dict[str, str | None]:
        faults = await asyncio.gather(*(_fault(check) for check in checks.values()))
        for name, fault in zip(checks, faults, strict=True):
            metrics.set_ready(name, fault is None)
        return dict(zip(checks, faults, strict=True))

    async def readyz(_: Request) -> Response:
        faults = await run_checks()
        is_ready = not any(faults.values())
        results = {name: fault or "ok" for name, fault in faults.items()}
        return JSONResponse({"ready": is_ready, "checks": results}, 200 if is_ready else 503)

    async def exposition(_: Request) -> Response:
        await run_checks()
        return Response(metrics.render(), headers={"Content-Type": METRICS_CONTENT_TYPE})

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", exposition)]


def readiness_checks(
    *,
    database: Database,
    work: Check,
    coordination: Coordination | None,
    slack: Check,
) -> dict[str, Check]:
    """What must work for this process to receive requests, and what it must have achieved recently.

    `work`: whether the database let it renew its leases and find work. `coordination`: None without Redis. `slack`:
    whether events arrive and are acknowledged.
    """

    async def check_database() -> str | None:
        await database.ping()
        schema = await schema_of(database)
        if schema is not Schema.CURRENT:
            return f"the schema is {schema} than this version's"
        return await work()

    checks: dict[str, Check] = {"database": check_database, "slack": slack}
    if coordination is not None:
        checks["redis"] = coordination.ping
    return checks


async def _fault(check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            return await check()
    except TimeoutError:
        return "no answer in time"
    except BobbinError as error:
        return str(error)

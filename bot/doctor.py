"""`bobbin doctor`: asks every outside thing how it is, and says what to do about those that are not well."""

from __future__ import annotations

from collections.abc import AsyncIterator

from pydantic import SecretStr

from bot.config import Delivery, Settings, no_models
from bot.errors import BobbinError
from bot.manifest import bot_scopes
from bot.providers.registry import Health, Providers
from handlers.checks import Finding, check_app_token, check_bot_token, check_client
from storage.coordination import open_coordination
from storage.database import Database
from storage.schema import Schema, schema_of

__all__ = ["Finding", "examine"]


async def examine(settings: Settings) -> list[Finding]:
    """One finding for each thing that the bot needs or that is set. Never raises for what it finds."""
    findings = [finding async for finding in _slack(settings)]
    findings += await _database(settings)
    findings += await _redis(settings)
    findings += await _providers(settings)
    return findings


async def _slack(settings: Settings) -> AsyncIterator[Finding]:
    for complaint in settings.slack_complaints():
        yield Finding("settings", False, complaint)
    url = settings.slack_api_url
    if settings.many_workspaces:
        yield await check_client(settings.slack_client_id or "", _plain(settings.slack_client_secret), url)
    elif token := _plain(settings.slack_bot_token):
        for finding in await check_bot_token(token, url, bot_scopes()):
            yield finding
    if token := _plain(settings.slack_app_token):
        yield await check_app_token(token, url)
    if settings.delivery is Delivery.HTTP and settings.slack_signing_secret:
        yield Finding("SLACK_SIGNING_SECRET", True, "set; only Slack's first request will show whether it is right")


async def _database(settings: Settings) -> list[Finding]:
    name = "database"
    try:
        database = Database.open(settings.database())
    except BobbinError as error:
        return [Finding(name, False, str(error))]
    try:
        await database.ping()
        schema = await schema_of(database)
    except BobbinError as error:
        return [Finding(name, False, f"{error}; check that it runs and that DATABASE_URL is right")]
    finally:
        await database.close()
    return [_SCHEMAS[schema]]


_SCHEMAS = {
    Schema.CURRENT: Finding("database", True, "answers, and is up to date"),
    Schema.OLDER: Finding("database", True, "answers; the next start (or bobbin migrate) brings its schema up to date"),
    Schema.NEWER: Finding("database", False, "a newer Bobbin has used it; run that one, or set another DATABASE_URL"),
}


async def _redis(settings: Settings) -> list[Finding]:
    if not (url := _plain(settings.redis_url)):
        return []
    coordination = await open_coordination(url)
    try:
        await coordination.ping()
    except BobbinError as error:
        return [Finding("Redis", False, f"{error}; check that it runs and that REDIS_URL is right")]
    finally:
        await coordination.close()
    return [Finding("Redis", True, "answers")]


async def _providers(settings: Settings) -> list[Finding]:
    unasked = settings.local_ollama()
    async with await Providers.open([*settings.providers(), *([unasked] if unasked else [])]) as providers:
        health = await providers.ping()
    findings = [_provider(one) for one in health if one.ok or not one.optional]
    return findings or [Finding("models", False, str(no_models()))]


def _provider(health: Health) -> Finding:
    return Finding(health.label, health.ok, health.text)


def _plain(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""

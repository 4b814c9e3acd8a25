"""`bobbin doctor`: checks the settings and every service that the bot needs, and says how to fix what is wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from pydantic import SecretStr

from bot.config import Delivery, Settings, no_models, unknown_settings
from bot.errors import BobbinError
from bot.manifest import bot_scopes
from bot.providers.registry import ProviderHealth, Providers
from handlers.client.diagnostics import Finding, check_app_token, check_bot_token, check_client
from storage.coordination import open_coordination
from storage.encryption import TokenCipher
from storage.engine.database import Database
from storage.engine.schema_version import Schema, schema_of
from storage.installations import Installations, InstallationStatus

__all__ = ["Finding", "examine"]


async def examine(settings: Settings) -> list[Finding]:
    """One finding for each thing that the bot needs or that is set. A failed check is a finding, not an exception."""
    findings = [finding async for finding in _slack(settings)]
    findings += await _database(settings)
    findings += await _redis(settings)
    findings += await _providers(settings)
    return findings


async def _slack(settings: Settings) -> AsyncIterator[Finding]:
    for problem in (*settings.slack_problems(), *unknown_settings()):
        yield Finding("settings", False, problem)
    url = settings.slack_api_url
    if settings.many_workspaces:
        yield await check_client(
            settings.slack_client_id or "", _reveal(settings.slack_client_secret), url
        )
    elif token := _reveal(settings.slack_bot_token):
        for finding in await check_bot_token(token, url, bot_scopes()):
            yield finding
    if token := _reveal(settings.slack_app_token):
        yield await check_app_token(token, url)
    if settings.delivery is Delivery.HTTP and settings.slack_signing_secret:
        yield Finding(
            "SLACK_SIGNING_SECRET",
            True,
            "set; only Slack's first request will show whether it is right",
        )


async def _database(settings: Settings) -> list[Finding]:
    name = "database"
    try:
        database = Database.open(settings.database())
    except BobbinError as error:
        return [Finding(name, False, str(error))]
    try:
        await database.ping()
        schema = await schema_of(database)
        return [
            _SCHEMAS[schema],
            *(await _installations(settings, database) if schema is Schema.CURRENT else ()),
        ]
    except BobbinError as error:
        return [Finding(name, False, f"{error}; check that it runs and that DATABASE_URL is right")]
    finally:
        await database.close()


_SCHEMAS = {
    Schema.CURRENT: Finding("database", True, "answers, and is up to date"),
    Schema.OLDER: Finding(
        "database", True, "answers; the next start (or bobbin migrate) brings its schema up to date"
    ),
    Schema.NEWER: Finding(
        "database", False, "a newer Bobbin has used it; run that one, or set another DATABASE_URL"
    ),
}


async def _installations(settings: Settings, database: Database) -> list[Finding]:
    """Whether the tokens of all installations can be decrypted and have all scopes."""
    key = _reveal(settings.bobbin_secret_key)
    if not settings.many_workspaces or not key.strip(" ,"):
        return []
    statuses = await Installations(database, TokenCipher(key)).statuses()
    if not statuses:
        return [Finding("installations", True, "none yet; people add the app at /slack/install")]
    undecryptable = sum(not each.decryptable for each in statuses)
    if undecryptable:
        advice = "add the key that encrypted them after the new one, as in 'new old'"
        found = Finding(
            "BOBBIN_SECRET_KEY",
            False,
            f"does not decrypt {undecryptable} of {len(statuses)} tokens: {advice}",
        )
    else:
        found = Finding(
            "installations", True, f"{len(statuses)}, and BOBBIN_SECRET_KEY decrypts their tokens"
        )
    return [found, *_missing_scopes(statuses)]


def _missing_scopes(statuses: list[InstallationStatus]) -> Iterator[Finding]:
    """Scopes that this version needs and that have not been granted everywhere yet."""
    wanted = bot_scopes()
    old = [each for each in statuses if not wanted <= each.scopes]
    if not old:
        yield Finding("scopes", True, "all granted everywhere")
        return
    missing = ", ".join(sorted(frozenset[str]().union(*(wanted - each.scopes for each in old))))
    where = ", ".join(each.workspace for each in old[:5]) + (", …" if len(old) > 5 else "")
    yield Finding(
        "scopes", False, f"missing {missing} in {where}: add the app there again, at /slack/install"
    )


async def _redis(settings: Settings) -> list[Finding]:
    if not (url := _reveal(settings.redis_url)):
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
    ollama = settings.local_ollama()
    async with await Providers.open(
        [*settings.providers(), *([ollama] if ollama else [])]
    ) as providers:
        health = await providers.ping()
    findings = [_provider(one) for one in health if one.ok or not one.optional]
    return findings or [Finding("models", False, str(no_models()))]


def _provider(health: ProviderHealth) -> Finding:
    return Finding(health.label, health.ok, health.text)


def _reveal(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""

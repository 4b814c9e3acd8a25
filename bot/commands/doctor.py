"""`bobbin doctor`: checks the settings and every service that the bot needs, and says how to fix what is wrong."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import SecretStr

from bot.api.server import address_problem, serves_bot
from bot.chats.unpriced import uncounted
from bot.config.models import NO_TRANSCRIBER, no_models, not_allowed
from bot.config.settings import Settings
from bot.config.slack import Delivery
from bot.config.suspicious import suspicious_settings
from bot.domain import ModelInfo, ModelRef
from bot.errors import BobbinError, ModelNotAllowed, ProviderError, StorageError
from bot.manifest import bot_scopes, optional_scopes
from bot.network import Network
from bot.providers.catalogue import matches
from bot.providers.registry import ProviderHealth, Providers
from bot.timing import Timing
from bot.usage.limits import Unit
from handlers.client.diagnostics import Finding, slack_checks
from storage.coordination import RedisLost, open_coordination
from storage.encryption import TokenCipher
from storage.engine.database import Database
from storage.engine.schema_version import Schema, schema_of, setup_problem
from storage.installations import Installations, InstallationStatus
from storage.ledger import Ledger

__all__ = ["Finding", "examine"]


LIST_TIMEOUT = 10.0
"""Seconds that the providers' lists of models get, after each provider has been checked."""

REDIS_TIMEOUT = 10.0
"""Seconds for each Redis command: unlike a running bot, a person who runs the check can wait."""

TOOLS_TIMEOUT = 35.0
"""Seconds that the tool servers get to start and list their tools: `npx` downloads some of them first."""


async def examine(settings: Settings) -> list[Finding]:
    """One finding for each thing that the bot needs or that is configured. A failed check is a finding, not an
    exception.
    """
    network = settings.network()
    checks = {
        "Slack": _slack(settings, network),
        "access": _access(settings),
        "HTTP": _http(settings),
        "database": _database(settings),
        "Redis": _redis(settings, network),
        "models": _providers(settings, network),
        "budgets": _budgets(settings, network),
        "tools": _tools(settings, network),
    }
    return [
        finding
        for name, check in checks.items()
        for finding in await _outcome(name, check, settings)
    ]


async def _outcome(
    name: str, check: Coroutine[Any, Any, list[Finding]], settings: Settings
) -> list[Finding]:
    """What a check found; an unexpected failure of the check is a finding too."""
    try:
        return await check
    except BobbinError as error:
        text = str(error)
    except Exception as error:
        text = f"could not be checked ({type(error).__name__}: {error})"
    for secret in settings.secrets():
        text = text.replace(secret, "…")
    return [Finding(name, False, " ".join(text.split()))]


async def _slack(settings: Settings, network: Network) -> list[Finding]:
    problems = (*settings.slack_problems(), *suspicious_settings())
    findings = [Finding("settings", False, problem) for problem in problems]
    async with slack_checks(settings.slack_api_url, network) as slack:
        if settings.many_workspaces:
            secret = _reveal(settings.slack_client_secret)
            findings.append(await slack.client_secret(settings.slack_client_id or "", secret))
        elif token := _reveal(settings.slack_bot_token):
            findings += await slack.bot_token(token, bot_scopes(), optional_scopes())
        if token := _reveal(settings.slack_app_token):
            findings.append(await slack.app_token(token))
            if bot_token := _reveal(settings.slack_bot_token):
                findings += await slack.same_app(bot_token, token)
    if settings.delivery is Delivery.HTTP and settings.slack_signing_secret:
        findings.append(_SIGNING_SECRET)
    return findings


async def _access(settings: Settings) -> list[Finding]:
    """The rule that results from the settings, for operators to verify."""
    return [Finding("access", True, settings.access_rules().describe())]


async def _http(settings: Settings) -> list[Finding]:
    """A finding if the HTTP server's address cannot be listened on, unless the bot is already doing so."""
    may_move = not (
        "port" in settings.model_fields_set
        or settings.delivery is Delivery.HTTP
        or settings.many_workspaces
    )
    problem = address_problem(settings.host, 0 if may_move else settings.port)
    if problem is None or await serves_bot(settings.host, settings.port):
        return []
    return [Finding("HTTP", False, str(problem))]


_SIGNING_SECRET = Finding(
    "SLACK_SIGNING_SECRET",
    True,
    "set; only Slack's first request will show whether it is right (the log says request_refused if not)",
)


async def _database(settings: Settings) -> list[Finding]:
    database = Database.open(settings.database())
    try:
        await database.ping()
        schema = await schema_of(database)
        if schema is not Schema.NEWER and (problem := await setup_problem(database, schema)):
            return [Finding("database", False, f"{database.address}: {problem}")]
        return [
            _SCHEMAS[schema],
            *(await _installations(settings, database) if schema is Schema.CURRENT else ()),
        ]
    except StorageError as error:
        return [Finding("database", False, database.explain(error))]
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
    """Scopes that this version needs and that have not been granted in every workspace yet."""
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


async def _redis(settings: Settings, network: Network) -> list[Finding]:
    if not (url := _reveal(settings.redis_url)):
        return []
    coordination = await open_coordination(url, Timing(redis_timeout=REDIS_TIMEOUT), network.tls)
    try:
        await coordination.ping()
    except RedisLost as error:
        return [Finding("Redis", False, f"{coordination.address}: {error}; {error.loss.cure}")]
    finally:
        await coordination.close()
    return [Finding("Redis", True, "answers")]


async def _providers(settings: Settings, network: Network) -> list[Finding]:
    ollama = settings.local_ollama()
    async with await Providers.open(
        [*settings.providers(), *([ollama] if ollama else [])], network=network
    ) as providers:
        health = await providers.ping()
        await providers.catalogue.ready(LIST_TIMEOUT)
        # If a provider's list could not be loaded, it may well contain the model that a setting names.
        complete = all(one.ok or one.optional for one in health)
        models = providers.catalogue.models() if complete else ()
        transcribes = _transcribe_model(settings, providers)
        transcriber = await _transcriber(settings, providers, transcribes)
    findings = [_provider(one) for one in health if one.ok or not one.optional]
    findings += transcriber
    if not findings:
        return [Finding("models", False, str(no_models()))]
    return [*findings, *(_model_settings(settings, models, transcribes) if models else ())]


async def _budgets(settings: Settings, network: Network) -> list[Finding]:
    """Whether budgets in US dollars count all models."""
    limits = settings.limits()
    if all(each.unit is not Unit.USD for each in limits.budgets):
        return []
    database = Database.open(settings.database())
    try:
        if await schema_of(database) is not Schema.CURRENT:
            return []  # model costs are not known before the start
        async with await Providers.open(
            settings.providers(), allowed=settings.bobbin_allowed_models, network=network
        ) as providers:
            await providers.catalogue.ready(LIST_TIMEOUT)
            models = providers.catalogue.models()
        found = await uncounted(limits, models, settings.providers(), Ledger(database))
    finally:
        await database.close()
    return [Finding(name, True, str(found)) for name in found.variables] if found else []


def _transcribe_model(settings: Settings, providers: Providers) -> ModelRef | None:
    """The model that transcribes voice clips; None if none is set, or its provider is not."""
    if (name := settings.bobbin_transcribe_model) is None:
        return None
    try:
        return providers.transcriber(name, 0.0).model
    except ModelNotAllowed:
        return None


async def _transcriber(
    settings: Settings, providers: Providers, model: ModelRef | None
) -> list[Finding]:
    """Whether the model that transcribes voice clips exists. Some servers leave such models out of their list."""
    variable, name = "BOBBIN_TRANSCRIBE_MODEL", settings.bobbin_transcribe_model
    if name is None:
        return []
    if model is None:
        return [Finding(variable, False, NO_TRANSCRIBER)]
    if not _allows(settings.bobbin_allowed_models, model):
        return [Finding(variable, False, not_allowed(name))]
    try:
        listed = await providers.lists(model)
    except ProviderError:
        return [Finding(variable, False, f"{model.provider} does not answer: see above")]
    note = "" if listed else f"; {model.provider} does not list it, so try a voice clip"
    return [Finding(variable, True, f"{model} turns voice clips into text{note}")]


def _model_settings(
    settings: Settings, models: Sequence[ModelInfo], transcribes: ModelRef | None
) -> Iterator[Finding]:
    """Settings that name a model, or a pattern of models, that no provider has.

    `transcribes`: the model that transcribes voice clips, which is in no list of chat models.
    """
    names = {
        "BOBBIN_DEFAULT_MODEL": settings.bobbin_default_model,
        "BOBBIN_TITLE_MODEL": settings.bobbin_title_model,
    }
    known = [name for info in models for name in (str(info.ref), info.ref.name)]
    known_refs = [*(info.ref for info in models), *([transcribes] if transcribes else ())]
    allowed = settings.bobbin_allowed_models
    for variable, name in names.items():
        if name and name.strip() not in known:
            nearest = get_close_matches(name, known, n=1)
            advice = f"did you mean {nearest[0]}?" if nearest else "see the names in the menu"
            yield Finding(variable, False, f"no provider has a model {name}; {advice}")
        elif name and not _is_allowed(name.strip(), models, allowed):
            yield Finding(variable, False, not_allowed(name))
    for pattern in allowed:
        if not any(matches(ref, pattern) for ref in known_refs):
            yield Finding("BOBBIN_ALLOWED_MODELS", False, f"{pattern} matches no model")


def _is_allowed(name: str, models: Sequence[ModelInfo], patterns: Sequence[str]) -> bool:
    named = [info.ref for info in models if name in (str(info.ref), info.ref.name)]
    return any(_allows(patterns, ref) for ref in named)


def _allows(patterns: Sequence[str], model: ModelRef) -> bool:
    return not patterns or any(matches(model, pattern) for pattern in patterns)


async def _tools(settings: Settings, network: Network) -> list[Finding]:
    """Each tool server: whether it answers, and what each of its tools may do."""
    if not settings.tools.servers:
        return []
    from bot.tools.servers import ToolServers, describe

    async with ToolServers(settings.tools, network).running() as servers:
        await servers.ready(TOOLS_TIMEOUT)
        return [
            Finding(f"tools: {each.name}", each.problem is None, describe(each))
            for each in servers.health()
        ]


def _provider(health: ProviderHealth) -> Finding:
    return Finding(health.label, health.ok, health.text)


def _reveal(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""

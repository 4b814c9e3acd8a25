"""The resources that all parts share: database, coordination, providers, clients of Slack, HTTP server."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bot.access.gate import Gate
from bot.answers.events import EventPublisher
from bot.answers.tool_servers import NoTools
from bot.api.middleware import StartupApp
from bot.api.server import serving
from bot.chats.api_tokens import ApiTokens
from bot.chats.attachments.fitting import ImageFitter
from bot.config.models import no_models
from bot.config.settings import Settings
from bot.config.slack import Delivery
from bot.documents.reader import DocumentReader
from bot.errors import SettingsError
from bot.manifest import bot_scopes
from bot.memory import MAX_BYTES, MAX_OWN_BYTES, MemoryBudget
from bot.network import Network
from bot.observability import Metrics, get_logger
from bot.providers.base import ProviderSettings
from bot.providers.registry import Providers, is_available
from bot.tasks import Tasks
from bot.timing import Timing
from bot.tools.lazy_servers import LazyToolServers
from handlers.client.http_session import new_session, new_web_client
from handlers.client.people import SlackPeople
from handlers.client.workspaces import InstalledWorkspaces, SingleWorkspace, SlackClients
from handlers.rate_limits.shared import SharedRateLimiter
from handlers.rate_limits.slack_rates import Rate
from handlers.transport.oauth import InstallPages, OAuthClient
from storage.action_claims import ActionClaims
from storage.coordination import Coordination, open_coordination
from storage.encryption import TokenCipher, WrongKey
from storage.engine.database import Database
from storage.installations import Installations
from storage.models_without_system_role import ModelsWithoutSystemRole
from storage.tokens import Tokens

log = get_logger(__name__)

DATABASE_START_TIMEOUT = 60.0
"""Seconds that startup waits for a database that is restarting."""


@dataclass(frozen=True)
class Resources:
    """The open resources; they are closed by the `AsyncExitStack` that was passed to `open_resources`."""

    timing: Timing
    metrics: Metrics
    http_app: StartupApp
    """What the HTTP server serves; the application is put into it once everything else is open."""
    url: str
    """Base address of the HTTP server."""
    database: Database
    coordination: Coordination
    shared: bool
    """Whether the coordination reaches other replicas (Redis), or only this process."""
    network: Network
    providers: Providers
    slack_clients: SlackClients
    workspaces: SingleWorkspace | InstalledWorkspaces
    install_pages: InstallPages | None
    """The pages on which workspaces install the app; None if the settings name a single workspace."""
    documents: DocumentReader
    publisher: EventPublisher
    api_tokens: ApiTokens
    people: SlackPeople
    gate: Gate
    """The operator's rules about who may do what."""
    tasks: Tasks
    memory: MemoryBudget
    """What large objects may take of the process's memory."""
    image_fitter: ImageFitter
    tools: LazyToolServers | NoTools
    """The tool servers configured by the operator; they start after everything else."""


async def open_resources(
    stack: AsyncExitStack,
    *,
    settings: Settings,
    demo: ProviderSettings | None,
    timing: Timing,
    rates: Mapping[str, Rate],
) -> Resources:
    """Opens the resources in order on `stack`. Raises SettingsError when a setting turns out to be wrong.

    `demo`: the provider to use when no provider is set. `rates`: how many calls Slack allows of each method.
    """
    metrics = Metrics()
    http_app = StartupApp()
    url = await _serve(stack, http_app, settings, timing)
    database = await _database(stack, settings, timing)
    coordination, shared_limits = await _coordination(stack, settings, timing)
    network = settings.network()
    providers = await _providers(stack, settings, demo, database, timing, network)
    session = await stack.enter_async_context(new_session(timing, network))
    slack_clients = SlackClients(
        client=lambda token: new_web_client(token, settings.slack_api_url, session),
        session=session,
        metrics=metrics,
        claims=ActionClaims(database),
        shared_limits=shared_limits,
        timing=timing,
        rates=rates,
    )
    publisher = EventPublisher(coordination)
    await stack.enter_async_context(publisher.running())
    api_tokens = ApiTokens(Tokens(database), publisher, settings.bobbin_token_life)
    workspaces, install_pages = await _workspaces(
        settings, slack_clients, database, publisher, api_tokens
    )
    if isinstance(workspaces, InstalledWorkspaces):
        await stack.enter_async_context(workspaces.following_changes(coordination))
    tasks = await stack.enter_async_context(Tasks())
    people = SlackPeople(workspaces, tasks, timing)
    await stack.enter_async_context(people.following_changes(coordination))
    return Resources(
        timing=timing,
        metrics=metrics,
        http_app=http_app,
        url=url,
        database=database,
        coordination=coordination,
        shared=shared_limits is not None,
        network=network,
        providers=providers,
        slack_clients=slack_clients,
        workspaces=workspaces,
        install_pages=install_pages,
        documents=DocumentReader(timing),
        publisher=publisher,
        api_tokens=api_tokens,
        people=people,
        gate=Gate(settings.access_rules(), people),
        tasks=tasks,
        memory=MemoryBudget(MAX_BYTES, MAX_OWN_BYTES),
        image_fitter=ImageFitter(),
        tools=await _tools(stack, settings, network),
    )


async def _tools(
    stack: AsyncExitStack, settings: Settings, network: Network
) -> LazyToolServers | NoTools:
    if not settings.tools.servers:
        return NoTools()
    return await stack.enter_async_context(LazyToolServers(settings.tools, network).running())


async def _coordination(
    stack: AsyncExitStack, settings: Settings, timing: Timing
) -> tuple[Coordination, SharedRateLimiter | None]:
    """Within this process or, with REDIS_URL, between replicas, which then share Slack's rate limits too."""
    redis = settings.redis_url.get_secret_value() if settings.redis_url else None
    coordination = await open_coordination(redis or "memory://", timing)
    stack.push_async_callback(coordination.close)
    if redis is None:
        return coordination, None
    shared_limits = SharedRateLimiter(coordination)
    await stack.enter_async_context(shared_limits.running())
    return coordination, shared_limits


async def _serve(
    stack: AsyncExitStack, http_app: StartupApp, settings: Settings, timing: Timing
) -> str:
    """Starts the HTTP server and returns its address."""
    url = await _listen(stack, http_app, settings, timing)
    log.info("http_listening", url=url)
    return url


async def _listen(
    stack: AsyncExitStack, http_app: StartupApp, settings: Settings, timing: Timing
) -> str:
    """The address to listen on.

    If the default port is taken, any free one is used; a port that was set or that Slack calls must be free.
    """
    try:
        return await stack.enter_async_context(
            serving(http_app, settings.host, settings.port, timing)
        )
    except SettingsError:
        if (
            "port" in settings.model_fields_set
            or settings.delivery is Delivery.HTTP
            or settings.many_workspaces
        ):
            raise
        return await stack.enter_async_context(serving(http_app, settings.host, 0, timing))


async def _database(stack: AsyncExitStack, settings: Settings, timing: Timing) -> Database:
    """The database, migrated to the newest schema."""
    database = Database.open(settings.database(), timing=timing)
    stack.push_async_callback(database.close)
    await database.migrate(DATABASE_START_TIMEOUT)
    return database


async def _workspaces(
    settings: Settings,
    slack_clients: SlackClients,
    database: Database,
    publisher: EventPublisher,
    api_tokens: ApiTokens,
) -> tuple[SingleWorkspace | InstalledWorkspaces, InstallPages | None]:
    """The workspace of the token in the settings; or all workspaces that have installed the app, and the installation
    pages.
    """
    if settings.many_workspaces:
        return await _installed_workspaces(settings, slack_clients, database, publisher)
    assert settings.slack_bot_token is not None
    token = settings.slack_bot_token.get_secret_value()
    return await SingleWorkspace.open(slack_clients, token, api_tokens.end_for_workspace), None


async def _installed_workspaces(
    settings: Settings,
    slack_clients: SlackClients,
    database: Database,
    publisher: EventPublisher,
) -> tuple[InstalledWorkspaces, InstallPages]:
    assert settings.slack_client_id is not None
    assert settings.slack_client_secret is not None
    assert settings.bobbin_secret_key is not None
    cipher = TokenCipher(settings.bobbin_secret_key.get_secret_value())
    installations = Installations(database, cipher)
    try:
        await installations.rotate_tokens()
    except WrongKey as error:
        raise SettingsError(
            "BOBBIN_SECRET_KEY does not decrypt the tokens of the workspaces that have installed the app: "
            "add the key that encrypted them after the new one, as in 'new old'"
        ) from error
    many = InstalledWorkspaces(installations, slack_clients, publisher)
    pages = InstallPages(
        app=OAuthClient(
            id=settings.slack_client_id,
            secret=settings.slack_client_secret.get_secret_value(),
            scopes=bot_scopes(),
        ),
        api_url=settings.slack_api_url,
        client=slack_clients.client(None),
        installations=installations,
        cipher=cipher,
        installed=many.on_installed,
    )
    return many, pages


async def _providers(
    stack: AsyncExitStack,
    settings: Settings,
    demo: ProviderSettings | None,
    database: Database,
    timing: Timing,
    network: Network,
) -> Providers:
    providers = await Providers.open(
        await _configured_providers(settings, demo, network),
        timeout=settings.bobbin_model_timeout,
        allowed=settings.bobbin_allowed_models,
        without_system_role=await ModelsWithoutSystemRole.load(database),
        timing=timing,
        network=network,
    )
    return await stack.enter_async_context(providers)


async def _configured_providers(
    settings: Settings, demo: ProviderSettings | None, network: Network
) -> list[ProviderSettings]:
    """The configured providers and a local Ollama, else `demo`. Raises SettingsError if there is none."""
    configured = list(settings.providers() or ([demo] if demo else ()))
    local = settings.local_ollama()
    if local is not None and await is_available(local, network):
        configured.append(local)
    if not configured:
        raise no_models()
    return configured

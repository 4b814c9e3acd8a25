"""The resources that all parts share: database, coordination, providers, clients of Slack, HTTP server."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from bot.access.access_control import AccessControl
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
from bot.network import Network
from bot.observability import Metrics, get_logger
from bot.providers.base import ProviderSettings
from bot.providers.registry import Providers, is_available
from bot.runtime.memory import MAX_BYTES, MAX_OWN_BYTES, MemoryBudget
from bot.runtime.tasks import Tasks
from bot.timing import Timing
from bot.tools.lazy_servers import LazyToolServers
from handlers.client.http_session import new_session, new_web_client
from handlers.client.people import SlackPeople
from handlers.client.workspaces import InstalledWorkspaces, SingleWorkspace, SlackClients
from handlers.rate_limits.shared import SharedRateLimiter
from handlers.rate_limits.slack_rates import Rate
from handlers.transport.oauth import InstallPages, OAuthClient
from storage.action_claims import ActionClaims
from storage.api_tokens import Tokens
from storage.coordination import Coordination, open_coordination
from storage.encryption import TokenCipher, WrongKey
from storage.engine.database import Database
from storage.installations import Installations
from storage.models_without_system_role import ModelsWithoutSystemRole

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
    publisher: EventPublisher
    api_tokens: ApiTokens
    people: SlackPeople
    access_control: AccessControl
    """The operator's rules about who may do what."""
    tasks: Tasks
    tools: LazyToolServers | NoTools
    """The tool servers configured by the operator; they start after everything else."""
    documents: DocumentReader
    image_fitter: ImageFitter = field(default_factory=ImageFitter)
    memory: MemoryBudget = field(default_factory=lambda: MemoryBudget(MAX_BYTES, MAX_OWN_BYTES))
    """What large objects may take of the process's memory."""


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
    opening = _Opening(stack, settings, timing, settings.network())
    metrics, http_app = Metrics(), StartupApp()
    url = await opening.http_server(http_app)
    database = await opening.database()
    coordination, shared_limits = await opening.coordination()
    providers = await opening.providers(demo, database)
    slack_clients = await opening.slack_clients(metrics, database, shared_limits, rates)
    publisher = EventPublisher(coordination)
    await stack.enter_async_context(publisher.running())
    api_tokens = ApiTokens(Tokens(database), publisher, settings.bobbin_token_life)
    workspaces, install_pages = await opening.workspaces(
        slack_clients, database, publisher, api_tokens
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
        network=opening.network,
        providers=providers,
        slack_clients=slack_clients,
        workspaces=workspaces,
        install_pages=install_pages,
        publisher=publisher,
        api_tokens=api_tokens,
        people=people,
        access_control=AccessControl(settings.access_rules(), people),
        tasks=tasks,
        tools=await opening.tools(),
        documents=DocumentReader(timing),
    )


@dataclass(frozen=True)
class _Opening:
    """Opens the resources one by one, and holds what they have in common."""

    stack: AsyncExitStack
    settings: Settings
    timing: Timing
    network: Network

    async def http_server(self, app: StartupApp) -> str:
        """Starts the HTTP server and returns its address.

        If the default port is taken, any free one is used; a port that was set or that Slack calls must be free.
        """
        try:
            url = await self._listen(app, self.settings.port)
        except SettingsError:
            if (
                "port" in self.settings.model_fields_set
                or self.settings.delivery is Delivery.HTTP
                or self.settings.many_workspaces
            ):
                raise
            url = await self._listen(app, 0)
        log.info("http_listening", url=url)
        return url

    async def _listen(self, app: StartupApp, port: int) -> str:
        server = serving(app, self.settings.host, port, self.timing)
        return await self.stack.enter_async_context(server)

    async def database(self) -> Database:
        """The database, migrated to the newest schema."""
        database = Database.open(self.settings.database(), timing=self.timing)
        self.stack.push_async_callback(database.close)
        await database.migrate(DATABASE_START_TIMEOUT)
        return database

    async def coordination(self) -> tuple[Coordination, SharedRateLimiter | None]:
        """Within this process or, with REDIS_URL, between replicas, which then share Slack's rate limits too."""
        url = self.settings.redis_url
        redis = url.get_secret_value() if url else None
        tls = self.network.tls if redis else None
        coordination = await open_coordination(redis or "memory://", self.timing, tls)
        self.stack.push_async_callback(coordination.close)
        if redis is None:
            return coordination, None
        shared_limits = SharedRateLimiter(coordination)
        await self.stack.enter_async_context(shared_limits.running())
        return coordination, shared_limits

    async def providers(self, demo: ProviderSettings | None, database: Database) -> Providers:
        providers = await Providers.open(
            await self._configured_providers(demo),
            timeout=self.settings.bobbin_model_timeout,
            allowed=self.settings.bobbin_allowed_models,
            without_system_role=await ModelsWithoutSystemRole.load(database),
            timing=self.timing,
            network=self.network,
        )
        return await self.stack.enter_async_context(providers)

    async def _configured_providers(self, demo: ProviderSettings | None) -> list[ProviderSettings]:
        """The configured providers and a local Ollama, else `demo`. Raises SettingsError if there is none."""
        configured = list(self.settings.providers() or ([demo] if demo else ()))
        local = self.settings.local_ollama()
        if local is not None and await is_available(local, self.network):
            configured.append(local)
        if not configured:
            raise no_models()
        return configured

    async def slack_clients(
        self,
        metrics: Metrics,
        database: Database,
        shared_limits: SharedRateLimiter | None,
        rates: Mapping[str, Rate],
    ) -> SlackClients:
        """What makes the clients of all workspaces, which share one HTTP session."""
        session = await self.stack.enter_async_context(new_session(self.timing, self.network))
        return SlackClients(
            client=lambda token: new_web_client(token, self.settings.slack_api_url, session),
            session=session,
            metrics=metrics,
            claims=ActionClaims(database),
            shared_limits=shared_limits,
            timing=self.timing,
            rates=rates,
        )

    async def workspaces(
        self,
        slack_clients: SlackClients,
        database: Database,
        publisher: EventPublisher,
        api_tokens: ApiTokens,
    ) -> tuple[SingleWorkspace | InstalledWorkspaces, InstallPages | None]:
        """The workspace of the token in the settings, or all that have installed the app, with the installation
        pages.
        """
        if self.settings.many_workspaces:
            return await self._installed_workspaces(slack_clients, database, publisher)
        assert self.settings.slack_bot_token is not None
        token = self.settings.slack_bot_token.get_secret_value()
        return await SingleWorkspace.open(slack_clients, token, api_tokens.end_for_workspace), None

    async def _installed_workspaces(
        self, slack_clients: SlackClients, database: Database, publisher: EventPublisher
    ) -> tuple[InstalledWorkspaces, InstallPages]:
        assert self.settings.slack_client_id is not None
        assert self.settings.slack_client_secret is not None
        assert self.settings.bobbin_secret_key is not None
        cipher = TokenCipher(self.settings.bobbin_secret_key.get_secret_value())
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
                id=self.settings.slack_client_id,
                secret=self.settings.slack_client_secret.get_secret_value(),
                scopes=bot_scopes(),
            ),
            api_url=self.settings.slack_api_url,
            client=slack_clients.client(None),
            installations=installations,
            cipher=cipher,
            installed=many.on_installed,
        )
        return many, pages

    async def tools(self) -> LazyToolServers | NoTools:
        if not self.settings.tools.servers:
            return NoTools()
        servers = LazyToolServers(self.settings.tools, self.network)
        return await self.stack.enter_async_context(servers.running())

"""The composition root: opens everything in order, closes it in reverse, and decides nothing else."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

from pydantic import SecretStr
from starlette.routing import Mount
from starlette.types import ASGIApp

from bot.api.app import Parts, create_app
from bot.api.front import Doorway
from bot.api.operations import Check
from bot.api.server import serving
from bot.chats.enclosures import Enclosures
from bot.chats.feed import Feed
from bot.chats.history import Briefings
from bot.chats.models import ModelChoice
from bot.chats.programs import Programs
from bot.chats.service import ChatService
from bot.chats.titles import Titles
from bot.config import Delivery, Settings, no_models
from bot.domain import Answer, Chat, Ending
from bot.errors import SettingsError
from bot.manifest import bot_scopes, manifest
from bot.observability import Metrics, configure_logging, get_logger
from bot.providers.base import ProviderSettings
from bot.providers.registry import Providers, answers
from bot.replies.engine import Engine
from bot.replies.live import Live
from bot.replies.owners import new_owner
from bot.replies.recovery import Recovery
from bot.tasks import Tasks
from handlers.budgets import Budgets
from handlers.connection import SocketConnection, build_app, new_client, new_session
from handlers.files import Files
from handlers.homes import Homes
from handlers.installing import INSTALL, REDIRECT, InstallPages, OAuthClient
from handlers.membership import Memberships
from handlers.menus import Menus
from handlers.names import Names
from handlers.openings import Openings
from handlers.recovery import MenuRecovery
from handlers.requests import PATH, SlackRequests
from handlers.sinks import SlackSinks
from handlers.surface import Surface
from handlers.told import FileNotices
from handlers.via import ViaMessages
from handlers.waiting import WaitingMarks
from handlers.workspaces import Desks, ManyWorkspaces, OneWorkspace
from storage.chats import Chats
from storage.coordination import Coordination, open_coordination
from storage.database import Database
from storage.installations import Installations
from storage.people import People
from storage.questions import Questions
from storage.replies import Replies
from storage.schema import Schema, schema_of
from storage.sealing import Seal, WrongKey
from storage.tokens import Tokens

log = get_logger(__name__)

DATABASE_PATIENCE = 60.0
"""Seconds that a start waits for a database that is restarting."""
SANDBOX_CHANNELS = ("general", "random")
"""Where the bot already is in the sandbox, so that the first mention finds it."""


@dataclass(frozen=True)
class Bot:
    """A running Bobbin."""

    database: Database
    service: ChatService
    engine: Engine
    socket: SocketConnection | SlackRequests
    """Where Slack's events come in."""
    metrics: Metrics
    url: str
    """Where the HTTP side listens."""


@asynccontextmanager
async def build(settings: Settings, demo: ProviderSettings | None = None) -> AsyncIterator[Bot]:
    """Everything, opened. Raises SettingsError when a setting turns out to be wrong.

    `demo`: where models come from when no provider is set.
    """
    async with AsyncExitStack() as stack:
        metrics = Metrics()
        doorway = Doorway()
        url = await _serve(stack, doorway, settings)
        log.info("http_listening", url=url)
        database = Database.open(settings.database())
        stack.push_async_callback(database.close)
        await database.migrate(DATABASE_PATIENCE)
        chats, replies, questions, people = Chats(database), Replies(database), Questions(database), People(database)
        redis = settings.redis_url.get_secret_value() if settings.redis_url else "memory://"
        coordination = await open_coordination(redis)
        stack.push_async_callback(coordination.close)
        budgets = Budgets(coordination) if settings.redis_url else None
        if budgets is not None:
            await stack.enter_async_context(budgets.running())
        providers = await stack.enter_async_context(
            await Providers.open(
                await _providers(settings, demo),
                timeout=settings.bobbin_model_timeout,
                allowed=settings.bobbin_allowed_models,
            )
        )
        session = await stack.enter_async_context(new_session())
        desks = Desks(lambda token: new_client(token, settings.slack_api_url, session), session, metrics, budgets)
        workspaces, pages = await _workspaces(settings, desks, database)
        live = Live(coordination)
        await stack.enter_async_context(live.running())
        tasks = await stack.enter_async_context(Tasks())
        names = Names(people, workspaces)
        models = ModelChoice(providers.catalogue, people, settings.bobbin_default_model)
        engine: Engine
        service = ChatService(
            chats=chats,
            replies=replies,
            questions=questions,
            people=people,
            models=models,
            live=live,
            wake=lambda chat_id: engine.wake(chat_id),
            limit=settings.bobbin_max_messages,
        )
        marks = WaitingMarks(replies, tasks)
        menus = Menus(service, questions, chats, workspaces, names, marks)
        title_model = settings.bobbin_title_model
        titles = Titles(
            chats,
            providers,
            live,
            tasks,
            model=lambda: models.named(title_model).ref if title_model else None,
            shown=menus.show_title,
        )

        async def after(chat: Chat, answer: Answer, ending: Ending) -> None:
            if ending.error == "model_gone":
                models.gone(chat.model)
            await titles.after(chat, answer, ending)

        notices = FileNotices(models, workspaces, tasks)
        enclosures = Enclosures(chats, models, Files(workspaces, settings.slack_api_url), notices.tell)
        engine = Engine(
            chats=chats,
            replies=replies,
            models=providers,
            sinks=SlackSinks(
                workspaces, service, chats, replies, marks, ViaMessages(chats, names), settings.bobbin_stream.value
            ),
            live=live,
            briefing=Briefings(chats, settings.bobbin_system_prompt, names, enclosures),
            after=after,
            metrics=metrics,
            owner=new_owner(),
        )
        tokens = Tokens(database)
        feed = Feed(coordination, chats, replies)
        await stack.enter_async_context(feed.running())
        openings = Openings(service, questions, workspaces, menus, names, tasks)
        homes: Homes
        memberships = Memberships(service, tasks, lambda person: homes.touch(person))
        homes = Homes(service, workspaces, feed, memberships)
        await stack.enter_async_context(homes.running())
        surface = Surface(
            service, menus, names, workspaces, marks, tasks, tokens, openings, homes, memberships, notices
        )
        connection = _connection(settings, desks, workspaces, surface)
        stack.callback(doorway.close)
        await stack.enter_async_context(
            Recovery(engine, replies, coordination, metrics, one_machine=database.dialect == "sqlite").running()
        )
        stack.push_async_callback(engine.drain, settings.bobbin_grace)  # while their leases are still renewed
        await stack.enter_async_context(MenuRecovery(menus, openings).running())
        await stack.enter_async_context(connection.running())
        programs = Programs(
            chats=chats,
            replies=replies,
            models=models,
            people=people,
            live=live,
            wake=engine.wake,
            limit=settings.bobbin_max_messages,
        )
        checks = _checks(database, coordination if settings.redis_url else None, connection)
        slack_paths: dict[str, ASGIApp] = {PATH: connection} if isinstance(connection, SlackRequests) else {}
        if pages is not None:
            slack_paths |= {INSTALL: pages, REDIRECT: pages}
        doorway.open(create_app(Parts(programs, feed, tokens, coordination, metrics, checks, slack_paths)))
        yield Bot(database, service, engine, connection, metrics, url)


async def _serve(stack: AsyncExitStack, doorway: Doorway, settings: Settings) -> str:
    """Opens the HTTP side. Where nobody asked for a port and nobody comes to it from Slack, any free one will do."""
    try:
        return await stack.enter_async_context(serving(doorway, settings.host, settings.port))
    except SettingsError:
        if "port" in settings.model_fields_set or settings.delivery is Delivery.HTTP or settings.many_workspaces:
            raise
        return await stack.enter_async_context(serving(doorway, settings.host, 0))


async def _workspaces(
    settings: Settings, desks: Desks, database: Database
) -> tuple[OneWorkspace | ManyWorkspaces, InstallPages | None]:
    """The workspace that the settings name, or those that install the app, with the pages where they do."""
    if not settings.many_workspaces:
        assert settings.slack_bot_token is not None
        return await OneWorkspace.open(desks, settings.slack_bot_token.get_secret_value()), None
    assert settings.slack_client_id is not None
    assert settings.slack_client_secret is not None
    assert settings.bobbin_secret_key is not None
    seal = Seal(settings.bobbin_secret_key.get_secret_value())
    installations = Installations(database, seal)
    try:
        await installations.reseal()
    except WrongKey as error:
        raise SettingsError(
            "BOBBIN_SECRET_KEY does not open the tokens of the workspaces that have installed the app: "
            "write the key that sealed them behind the new one, as in 'new old'"
        ) from error
    many = ManyWorkspaces(installations, desks)
    app = OAuthClient(settings.slack_client_id, settings.slack_client_secret.get_secret_value(), bot_scopes())
    pages = InstallPages(app, settings.slack_api_url, desks.client(None), installations, seal, many.installed)
    return many, pages


def _connection(
    settings: Settings, desks: Desks, workspaces: OneWorkspace | ManyWorkspaces, surface: Surface
) -> SocketConnection | SlackRequests:
    """Socket Mode with an app-level token, else HTTP with a signing secret."""
    if settings.slack_app_token is not None:
        bolt = build_app(settings.slack_api_url, workspaces, surface)
        return SocketConnection(bolt, settings.slack_app_token.get_secret_value(), desks.client(None))
    assert settings.slack_signing_secret is not None
    secret = settings.slack_signing_secret.get_secret_value()
    return SlackRequests(build_app(settings.slack_api_url, workspaces, surface, secret))


def _checks(
    database: Database, redis: Coordination | None, connection: SocketConnection | SlackRequests
) -> dict[str, Check]:
    """What must be well before anybody is sent to this process."""

    async def check_database() -> str | None:
        schema = await schema_of(database)
        return None if schema is Schema.CURRENT else f"the schema is {schema} than this version's"

    async def check_redis() -> str | None:
        if redis is not None:
            await redis.ping()
        return None

    async def check_slack() -> str | None:
        return None if await connection.connected() else "the socket is not connected"

    checks: dict[str, Check] = {"database": check_database, "slack": check_slack}
    return checks if redis is None else {**checks, "redis": check_redis}


async def _providers(settings: Settings, demo: ProviderSettings | None) -> list[ProviderSettings]:
    configured = list(settings.providers() or ([demo] if demo else ()))
    local = settings.local_ollama()
    if local is not None and await answers(local):
        configured.append(local)
    if not configured:
        raise no_models()
    return configured


async def run(settings: Settings) -> int:
    """`bobbin run`: until SIGTERM or Ctrl-C."""
    configure_logging(settings.log_level, settings.log_format, settings.secrets())
    async with _end() as end, build(settings) as bot:
        if await bot.socket.until_connected():
            log.info("connected")
        else:
            log.warning("not_connected_yet")
        await end.wait()
        log.info("stopping")
    return 0


async def sandbox(settings: Settings, *, host: str, port: int, on_ready: Callable[[str, str], None]) -> None:
    """`bobbin sandbox`: a local Slack and the bot in it, until SIGTERM or Ctrl-C.

    `on_ready` is told the addresses of the page and of the bot's HTTP side.
    """
    from bot.sandbox.models import create_models_app
    from bot.sandbox.server import Sandbox

    configure_logging(settings.log_level, settings.log_format, settings.secrets())
    app = manifest()
    features = app["features"]
    async with (
        _end() as end,
        Sandbox(
            host=host,
            port=port,
            scopes=bot_scopes(),
            events=app["settings"]["event_subscriptions"]["bot_events"],
            commands=features.get("slash_commands", ()),
            shortcuts=features.get("shortcuts", ()),
            mounts=[Mount("/models/v1", create_models_app())],
        ) as slack,
    ):
        changes: dict[str, object] = {
            "slack_bot_token": SecretStr(slack.bot_token),
            "slack_app_token": SecretStr(slack.app_token),
            "slack_api_url": slack.api_url,
        }
        for channel in SANDBOX_CHANNELS:
            await slack.join(slack.bot_user.id, channel)
        if "port" not in settings.model_fields_set:  # another bot on this machine may have the usual one
            changes["port"] = 0
        demo = ProviderSettings("demo", "Demo models", f"{slack.url}/models/v1")
        async with build(settings.changed(**changes), demo) as bot:
            if not await bot.socket.until_connected():
                raise SettingsError("the bot could not connect to its own sandbox")
            on_ready(slack.url, bot.url)
            await end.wait()


async def migrate(settings: Settings) -> None:
    """`bobbin migrate`."""
    database = Database.open(settings.database())
    try:
        await database.migrate()
    finally:
        await database.close()


class _End:
    """Told by SIGTERM or Ctrl-C. What is still opening is given up; what is open closes with grace."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._opening = asyncio.current_task()

    def come(self) -> None:
        self._event.set()
        if self._opening is not None:
            self._opening.cancel()

    async def wait(self) -> None:
        """All is open now: wait for the end."""
        self._opening = None
        await self._event.wait()

    @property
    def has_come(self) -> bool:
        return self._event.is_set()


@asynccontextmanager
async def _end() -> AsyncIterator[_End]:
    end, loop = _End(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError):  # Windows
            loop.add_signal_handler(number, end.come)
    try:
        yield end
    except asyncio.CancelledError:
        if not end.has_come:
            raise

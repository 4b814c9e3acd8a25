"""The composition root: makes everything of its parts, opens it in order, closes it in reverse; decides nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from starlette.types import ASGIApp

from bot.answers.engine import AfterAnswer, Engine
from bot.answers.recovery import Recovery
from bot.answers.workers import new_owner
from bot.api.app import Parts, create_app
from bot.api.health import Check
from bot.api.middleware import Later
from bot.chats.api_service import Programs
from bot.chats.attachments.loader import Enclosures
from bot.chats.feed import Feed
from bot.chats.models import ModelChoice
from bot.chats.prompt import Briefings
from bot.chats.service import ChatService
from bot.chats.titles import Titles
from bot.config import Settings
from bot.domain import Answer, Chat, Ending, Person
from bot.observability import Metrics
from bot.providers.base import ProviderSettings
from bot.resources import Ground, open_ground
from handlers.answers.factory import SlackSinks
from handlers.client.files import Files
from handlers.client.user_names import Names
from handlers.listeners.context import Surface
from handlers.live_views.channel_membership import Memberships
from handlers.live_views.chat_lists import ShownLists
from handlers.live_views.home_tabs import Homes
from handlers.threads.api_echo import ViaMessages
from handlers.threads.dialog_chats import Openings
from handlers.threads.file_notices import FileNotices
from handlers.threads.model_menu import Menus
from handlers.threads.queued_reaction import WaitingMarks
from handlers.threads.recovery import MenuRecovery
from handlers.transport.http import PATH, SlackRequests
from handlers.transport.oauth import INSTALL, REDIRECT
from handlers.transport.socket_mode import SocketConnection, build_app
from storage.answers import Replies
from storage.chat_requests import Questions
from storage.chats import Chats
from storage.engine.database import Database
from storage.engine.schema_version import Schema, schema_of
from storage.people import People
from storage.tokens import Tokens


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


@dataclass(frozen=True)
class _Kept:
    """What is in the database."""

    chats: Chats
    replies: Replies
    questions: Questions
    people: People
    tokens: Tokens


@dataclass(frozen=True)
class _Talk:
    """The use cases, with what shows their side effects in Slack."""

    service: ChatService
    programs: Programs
    models: ModelChoice
    names: Names
    marks: WaitingMarks
    menus: Menus
    notices: FileNotices
    feed: Feed


@asynccontextmanager
async def build(settings: Settings, demo: ProviderSettings | None = None) -> AsyncIterator[Bot]:
    """Everything, opened. Raises SettingsError when a setting turns out to be wrong.

    `demo`: where models come from when no provider is set.
    """
    async with AsyncExitStack() as stack:
        ground = await open_ground(stack, settings, demo)
        database = ground.database
        kept = _Kept(Chats(database), Replies(database), Questions(database), People(database), Tokens(database))
        engine: Engine
        talk = _talk(settings, ground, kept, lambda chat_id: engine.wake(chat_id))
        engine = _engine(settings, ground, kept, talk)
        await stack.enter_async_context(talk.feed.running())
        openings = Openings(talk.service, kept.questions, ground.workspaces, talk.menus, talk.names, ground.tasks)
        connection = _connection(settings, ground, await _surface(stack, ground, kept, talk, openings))
        stack.callback(ground.doorway.close)
        one_machine = database.dialect == "sqlite"
        recovery = Recovery(engine, kept.replies, ground.coordination, ground.metrics, one_machine=one_machine)
        await stack.enter_async_context(recovery.running())
        stack.push_async_callback(engine.drain, settings.bobbin_grace)  # while their leases are still renewed
        await stack.enter_async_context(MenuRecovery(talk.menus, openings).running())
        await stack.enter_async_context(connection.running())
        ground.doorway.open(_http(ground, kept, talk, connection))
        yield Bot(database, talk.service, engine, connection, ground.metrics, ground.url)


def _talk(settings: Settings, ground: Ground, kept: _Kept, wake: Callable[[str], None]) -> _Talk:
    models = ModelChoice(ground.providers.catalogue, kept.people, settings.bobbin_default_model)
    service = ChatService(
        chats=kept.chats,
        replies=kept.replies,
        questions=kept.questions,
        people=kept.people,
        models=models,
        live=ground.live,
        wake=wake,
        limit=settings.bobbin_max_messages,
    )
    programs = Programs(
        chats=kept.chats,
        replies=kept.replies,
        models=models,
        people=kept.people,
        live=ground.live,
        wake=wake,
        limit=settings.bobbin_max_messages,
    )
    names = Names(kept.people, ground.workspaces)
    marks = WaitingMarks(kept.replies, ground.tasks)
    return _Talk(
        service=service,
        programs=programs,
        models=models,
        names=names,
        marks=marks,
        menus=Menus(service, kept.questions, kept.chats, ground.workspaces, names, marks),
        notices=FileNotices(models, ground.workspaces, ground.tasks),
        feed=Feed(ground.coordination, kept.chats, kept.replies),
    )


def _engine(settings: Settings, ground: Ground, kept: _Kept, talk: _Talk) -> Engine:
    files = Files(ground.workspaces, settings.slack_api_url)
    enclosures = Enclosures(kept.chats, talk.models, files, talk.notices.tell)
    sinks = SlackSinks(
        ground.workspaces,
        talk.service,
        kept.chats,
        kept.replies,
        talk.marks,
        ViaMessages(kept.chats, talk.names),
        settings.bobbin_stream.value,
    )
    return Engine(
        chats=kept.chats,
        replies=kept.replies,
        models=ground.providers,
        sinks=sinks,
        live=ground.live,
        briefing=Briefings(kept.chats, settings.bobbin_system_prompt, talk.names, enclosures),
        after=_after(settings, ground, kept, talk),
        metrics=ground.metrics,
        owner=new_owner(),
    )


def _after(settings: Settings, ground: Ground, kept: _Kept, talk: _Talk) -> AfterAnswer:
    """What an ended answer leads to."""
    wanted = settings.bobbin_title_model
    titles = Titles(
        kept.chats,
        ground.providers,
        ground.live,
        ground.tasks,
        model=lambda: talk.models.named(wanted).ref if wanted else None,
        shown=talk.menus.show_title,
    )

    async def after(chat: Chat, answer: Answer, ending: Ending) -> None:
        if ending.error == "model_gone":
            talk.models.gone(chat.model)
        await titles.after(chat, answer, ending)

    return after


async def _surface(stack: AsyncExitStack, ground: Ground, kept: _Kept, talk: _Talk, openings: Openings) -> Surface:
    homes: Homes
    lists: ShownLists

    def shorter(person: Person) -> None:
        homes.touch(person)
        lists.touch(person)

    memberships = Memberships(talk.service, ground.tasks, shorter)
    homes = Homes(talk.service, ground.workspaces, talk.feed, memberships)
    lists = ShownLists(talk.service, ground.workspaces, talk.feed, memberships, ground.coordination)
    await stack.enter_async_context(homes.running())
    await stack.enter_async_context(lists.running())
    return Surface(
        talk.service,
        talk.menus,
        talk.names,
        ground.workspaces,
        talk.marks,
        ground.tasks,
        kept.tokens,
        openings,
        homes,
        lists,
        memberships,
        talk.notices,
        ground.live,
    )


def _connection(settings: Settings, ground: Ground, surface: Surface) -> SocketConnection | SlackRequests:
    """Socket Mode with an app-level token, else HTTP with a signing secret."""
    if settings.slack_app_token is not None:
        bolt = build_app(settings.slack_api_url, ground.workspaces, surface)
        return SocketConnection(bolt, settings.slack_app_token.get_secret_value(), ground.desks.client(None))
    assert settings.slack_signing_secret is not None
    secret = settings.slack_signing_secret.get_secret_value()
    bolt = build_app(settings.slack_api_url, ground.workspaces, surface, secret)
    return SlackRequests(bolt, secret, ground.coordination if ground.shared else None)


def _http(ground: Ground, kept: _Kept, talk: _Talk, connection: SocketConnection | SlackRequests) -> ASGIApp:
    paths: dict[str, ASGIApp] = {PATH: connection} if isinstance(connection, SlackRequests) else {}
    if ground.pages is not None:
        paths |= {INSTALL: ground.pages, REDIRECT: ground.pages}
    checks = _checks(ground, connection)
    parts = Parts(talk.programs, talk.feed, kept.tokens, ground.coordination, ground.metrics, checks, paths)
    # Slack's first event waits for nothing; where Slack comes by socket, perhaps nobody ever comes here.
    return create_app(parts) if paths else Later(lambda: create_app(parts))


def _checks(ground: Ground, connection: SocketConnection | SlackRequests) -> dict[str, Check]:
    """What must be well before anybody is sent to this process."""

    async def check_database() -> str | None:
        schema = await schema_of(ground.database)
        return None if schema is Schema.CURRENT else f"the schema is {schema} than this version's"

    async def check_redis() -> str | None:
        await ground.coordination.ping()
        return None

    async def check_slack() -> str | None:
        return None if await connection.connected() else "the socket is not connected"

    checks: dict[str, Check] = {"database": check_database, "slack": check_slack}
    return {**checks, "redis": check_redis} if ground.shared else checks

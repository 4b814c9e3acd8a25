"""The composition root: makes everything of its parts, opens it in order, closes it in reverse; decides nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from starlette.types import ASGIApp

from bot.answers.engine import AfterAnswer, Engine
from bot.answers.recovery import Recovery
from bot.answers.workers import new_worker_id
from bot.api.app import Parts, create_app
from bot.api.health import Check
from bot.api.middleware import Later
from bot.chats.api_service import ApiService
from bot.chats.attachments.loader import AttachmentLoader
from bot.chats.feed import Feed
from bot.chats.models import ModelChoice
from bot.chats.prompt import PromptBuilder
from bot.chats.service import ChatService
from bot.chats.titles import Titles
from bot.config import Settings
from bot.domain import Answer, AnswerResult, Chat, User
from bot.observability import Metrics
from bot.providers.base import ProviderSettings
from bot.resources import Resources, open_resources
from handlers.answers.factory import SlackSinkFactory
from handlers.client.files import SlackFiles
from handlers.client.user_names import UserNames
from handlers.listeners.context import ListenerContext
from handlers.live_views.channel_membership import ChannelMembership
from handlers.live_views.chat_lists import ChatLists
from handlers.live_views.home_tabs import HomeTabs
from handlers.threads.api_echo import ApiEcho
from handlers.threads.dialog_chats import DialogChats
from handlers.threads.file_notices import FileNotices
from handlers.threads.model_menu import ModelMenus
from handlers.threads.queued_reaction import QueuedReactions
from handlers.threads.recovery import ThreadRecovery
from handlers.transport.http import PATH, HttpTransport
from handlers.transport.oauth import INSTALL, REDIRECT
from handlers.transport.socket_mode import SocketModeTransport, build_app
from storage.answers import Answers
from storage.chat_requests import ChatRequests
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
    socket: SocketModeTransport | HttpTransport
    """Where Slack's events come in."""
    metrics: Metrics
    url: str
    """Where the HTTP side listens."""


@dataclass(frozen=True)
class Repositories:
    """What is in the database."""

    chats: Chats
    replies: Answers
    questions: ChatRequests
    people: People
    tokens: Tokens


@dataclass(frozen=True)
class UseCases:
    """The use cases, with what shows their side effects in Slack."""

    service: ChatService
    programs: ApiService
    models: ModelChoice
    names: UserNames
    marks: QueuedReactions
    menus: ModelMenus
    notices: FileNotices
    feed: Feed


@asynccontextmanager
async def build(settings: Settings, demo: ProviderSettings | None = None) -> AsyncIterator[Bot]:
    """Everything, opened. Raises SettingsError when a setting turns out to be wrong.

    `demo`: where models come from when no provider is set.
    """
    async with AsyncExitStack() as stack:
        ground = await open_resources(stack, settings, demo)
        database = ground.database
        kept = Repositories(
            Chats(database), Answers(database), ChatRequests(database), People(database), Tokens(database)
        )
        engine: Engine
        talk = _talk(settings, ground, kept, lambda chat_id: engine.wake(chat_id))
        engine = _engine(settings, ground, kept, talk)
        await stack.enter_async_context(talk.feed.running())
        openings = DialogChats(talk.service, kept.questions, ground.workspaces, talk.menus, talk.names, ground.tasks)
        connection = _connection(settings, ground, await _surface(stack, ground, kept, talk, openings))
        stack.callback(ground.doorway.close)
        one_machine = database.dialect == "sqlite"
        recovery = Recovery(engine, kept.replies, ground.coordination, ground.metrics, one_machine=one_machine)
        await stack.enter_async_context(recovery.running())
        stack.push_async_callback(engine.drain, settings.bobbin_grace)  # while their leases are still renewed
        await stack.enter_async_context(ThreadRecovery(talk.menus, openings).running())
        await stack.enter_async_context(connection.running())
        ground.doorway.open(_http(ground, kept, talk, connection))
        yield Bot(database, talk.service, engine, connection, ground.metrics, ground.url)


def _talk(settings: Settings, ground: Resources, kept: Repositories, wake: Callable[[str], None]) -> UseCases:
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
    programs = ApiService(
        chats=kept.chats,
        replies=kept.replies,
        models=models,
        people=kept.people,
        live=ground.live,
        wake=wake,
        limit=settings.bobbin_max_messages,
    )
    names = UserNames(kept.people, ground.workspaces)
    marks = QueuedReactions(kept.replies, ground.tasks)
    return UseCases(
        service=service,
        programs=programs,
        models=models,
        names=names,
        marks=marks,
        menus=ModelMenus(service, kept.questions, kept.chats, ground.workspaces, names, marks),
        notices=FileNotices(models, ground.workspaces, ground.tasks),
        feed=Feed(ground.coordination, kept.chats, kept.replies),
    )


def _engine(settings: Settings, ground: Resources, kept: Repositories, talk: UseCases) -> Engine:
    files = SlackFiles(ground.workspaces, settings.slack_api_url)
    enclosures = AttachmentLoader(kept.chats, talk.models, files, talk.notices.tell)
    sinks = SlackSinkFactory(
        ground.workspaces,
        talk.service,
        kept.chats,
        kept.replies,
        talk.marks,
        ApiEcho(kept.chats, talk.names),
        settings.bobbin_stream.value,
    )
    return Engine(
        chats=kept.chats,
        replies=kept.replies,
        models=ground.providers,
        sinks=sinks,
        live=ground.live,
        briefing=PromptBuilder(kept.chats, settings.bobbin_system_prompt, talk.names, enclosures),
        after=_after(settings, ground, kept, talk),
        metrics=ground.metrics,
        owner=new_worker_id(),
    )


def _after(settings: Settings, ground: Resources, kept: Repositories, talk: UseCases) -> AfterAnswer:
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

    async def after(chat: Chat, answer: Answer, ending: AnswerResult) -> None:
        if ending.error == "model_gone":
            talk.models.gone(chat.model)
        await titles.after(chat, answer, ending)

    return after


async def _surface(
    stack: AsyncExitStack, ground: Resources, kept: Repositories, talk: UseCases, openings: DialogChats
) -> ListenerContext:
    homes: HomeTabs
    lists: ChatLists

    def shorter(person: User) -> None:
        homes.touch(person)
        lists.touch(person)

    memberships = ChannelMembership(talk.service, ground.tasks, shorter)
    homes = HomeTabs(talk.service, ground.workspaces, talk.feed, memberships)
    lists = ChatLists(talk.service, ground.workspaces, talk.feed, memberships, ground.coordination)
    await stack.enter_async_context(homes.running())
    await stack.enter_async_context(lists.running())
    return ListenerContext(
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


def _connection(settings: Settings, ground: Resources, surface: ListenerContext) -> SocketModeTransport | HttpTransport:
    """Socket Mode with an app-level token, else HTTP with a signing secret."""
    if settings.slack_app_token is not None:
        bolt = build_app(settings.slack_api_url, ground.workspaces, surface)
        return SocketModeTransport(bolt, settings.slack_app_token.get_secret_value(), ground.desks.client(None))
    assert settings.slack_signing_secret is not None
    secret = settings.slack_signing_secret.get_secret_value()
    bolt = build_app(settings.slack_api_url, ground.workspaces, surface, secret)
    return HttpTransport(bolt, secret, ground.coordination if ground.shared else None)


def _http(
    ground: Resources, kept: Repositories, talk: UseCases, connection: SocketModeTransport | HttpTransport
) -> ASGIApp:
    paths: dict[str, ASGIApp] = {PATH: connection} if isinstance(connection, HttpTransport) else {}
    if ground.pages is not None:
        paths |= {INSTALL: ground.pages, REDIRECT: ground.pages}
    checks = _checks(ground, connection)
    parts = Parts(talk.programs, talk.feed, kept.tokens, ground.coordination, ground.metrics, checks, paths)
    # Slack's first event waits for nothing; where Slack comes by socket, perhaps nobody ever comes here.
    return create_app(parts) if paths else Later(lambda: create_app(parts))


def _checks(ground: Resources, connection: SocketModeTransport | HttpTransport) -> dict[str, Check]:
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

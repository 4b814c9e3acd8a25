"""The composition root: makes everything of its parts, opens it in order, closes it in reverse; decides nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
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
from bot.errors import ProviderError
from bot.observability import Metrics
from bot.providers.base import ProviderSettings
from bot.resources import Resources, open_resources
from bot.timing import Timing
from handlers.answers.factory import SlackSinkFactory
from handlers.client.files import SlackFiles
from handlers.client.user_names import UserNames
from handlers.listeners.context import ListenerContext
from handlers.live_views.channel_membership import ChannelMembership
from handlers.live_views.chat_lists import ChatLists
from handlers.live_views.home_tabs import HomeTabs
from handlers.rate_limits.token_bucket import RATES, Rate
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
    answers: Answers
    requests: ChatRequests
    people: People
    tokens: Tokens


@dataclass(frozen=True)
class UseCases:
    """The use cases, with what shows their side effects in Slack."""

    service: ChatService
    api: ApiService
    models: ModelChoice
    names: UserNames
    queued_reactions: QueuedReactions
    model_menus: ModelMenus
    file_notices: FileNotices
    feed: Feed


@asynccontextmanager
async def build(
    settings: Settings,
    demo: ProviderSettings | None = None,
    timing: Timing = Timing(),
    rates: Mapping[str, Rate] = RATES,
) -> AsyncIterator[Bot]:
    """Everything, opened. Raises SettingsError when a setting turns out to be wrong.

    `demo`: where models come from when no provider is set. `rates`: the calls that Slack allows of each method.
    """
    async with AsyncExitStack() as stack:
        resources = await open_resources(stack, settings, demo, timing, rates)
        database = resources.database
        repositories = Repositories(
            Chats(database),
            Answers(database),
            ChatRequests(database),
            People(database),
            Tokens(database),
        )
        engine: Engine
        use_cases = _talk(settings, resources, repositories, lambda chat_id: engine.wake(chat_id))
        engine = _engine(settings, resources, repositories, use_cases)
        await stack.enter_async_context(use_cases.feed.running())
        dialog_chats = DialogChats(
            use_cases.service,
            repositories.requests,
            resources.workspaces,
            use_cases.model_menus,
            use_cases.names,
            resources.tasks,
        )
        connection = _connection(
            settings,
            resources,
            await _surface(stack, resources, repositories, use_cases, dialog_chats),
        )
        stack.callback(resources.doorway.close)
        one_machine = database.dialect == "sqlite"
        recovery = Recovery(
            engine,
            repositories.answers,
            resources.coordination,
            resources.metrics,
            one_machine=one_machine,
        )
        await stack.enter_async_context(recovery.running())
        stack.push_async_callback(
            engine.drain, settings.bobbin_grace
        )  # while their leases are still renewed
        await stack.enter_async_context(
            ThreadRecovery(use_cases.model_menus, dialog_chats).running()
        )
        await stack.enter_async_context(connection.running())
        resources.doorway.open(_http(resources, repositories, use_cases, connection))
        yield Bot(database, use_cases.service, engine, connection, resources.metrics, resources.url)


def _talk(
    settings: Settings,
    resources: Resources,
    repositories: Repositories,
    wake: Callable[[str], None],
) -> UseCases:
    models = ModelChoice(
        resources.providers.catalogue, repositories.people, settings.bobbin_default_model
    )
    service = ChatService(
        chats=repositories.chats,
        answers=repositories.answers,
        requests=repositories.requests,
        people=repositories.people,
        models=models,
        publisher=resources.publisher,
        wake=wake,
        limit=settings.bobbin_max_messages,
    )
    api = ApiService(
        chats=repositories.chats,
        answers=repositories.answers,
        models=models,
        people=repositories.people,
        publisher=resources.publisher,
        wake=wake,
        limit=settings.bobbin_max_messages,
    )
    names = UserNames(repositories.people, resources.workspaces)
    queued_reactions = QueuedReactions(repositories.answers, resources.tasks)
    return UseCases(
        service=service,
        api=api,
        models=models,
        names=names,
        queued_reactions=queued_reactions,
        model_menus=ModelMenus(
            service,
            repositories.requests,
            repositories.chats,
            resources.workspaces,
            names,
            queued_reactions,
        ),
        file_notices=FileNotices(models, resources.workspaces, resources.tasks),
        feed=Feed(resources.coordination, repositories.chats, repositories.answers),
    )


def _engine(
    settings: Settings, resources: Resources, repositories: Repositories, use_cases: UseCases
) -> Engine:
    files = SlackFiles(resources.workspaces, settings.slack_api_url)
    attachments = AttachmentLoader(
        repositories.chats, use_cases.models, files, use_cases.file_notices.tell
    )
    sinks = SlackSinkFactory(
        resources.workspaces,
        use_cases.service,
        repositories.chats,
        repositories.answers,
        use_cases.queued_reactions,
        ApiEcho(repositories.chats, use_cases.names),
        settings.bobbin_stream.value,
    )
    return Engine(
        chats=repositories.chats,
        answers=repositories.answers,
        models=resources.providers,
        sinks=sinks,
        publisher=resources.publisher,
        prompt_builder=PromptBuilder(
            repositories.chats, settings.bobbin_system_prompt, use_cases.names, attachments
        ),
        after=_after(settings, resources, repositories, use_cases),
        metrics=resources.metrics,
        owner=new_worker_id(),
    )


def _after(
    settings: Settings, resources: Resources, repositories: Repositories, use_cases: UseCases
) -> AfterAnswer:
    """What an ended answer leads to."""
    wanted = settings.bobbin_title_model
    titles = Titles(
        repositories.chats,
        resources.providers,
        resources.publisher,
        resources.tasks,
        model=lambda: use_cases.models.by_name(wanted).ref if wanted else None,
        shown=use_cases.model_menus.show_title,
    )

    async def after(chat: Chat, answer: Answer, result: AnswerResult) -> None:
        if ProviderError.class_of(result.error).needs_other_model:
            use_cases.models.mark_gone(chat.model)
        await titles.after_answer(chat, answer, result)

    return after


async def _surface(
    stack: AsyncExitStack,
    resources: Resources,
    repositories: Repositories,
    use_cases: UseCases,
    dialog_chats: DialogChats,
) -> ListenerContext:
    home_tabs: HomeTabs
    chat_lists: ChatLists

    def shorter(user: User) -> None:
        home_tabs.touch(user)
        chat_lists.touch(user)

    membership = ChannelMembership(use_cases.service, resources.tasks, shorter)
    home_tabs = HomeTabs(use_cases.service, resources.workspaces, use_cases.feed, membership)
    chat_lists = ChatLists(
        use_cases.service, resources.workspaces, use_cases.feed, membership, resources.coordination
    )
    await stack.enter_async_context(home_tabs.running())
    await stack.enter_async_context(chat_lists.running())
    return ListenerContext(
        use_cases.service,
        use_cases.model_menus,
        use_cases.names,
        resources.workspaces,
        use_cases.queued_reactions,
        resources.tasks,
        repositories.tokens,
        dialog_chats,
        home_tabs,
        chat_lists,
        membership,
        use_cases.file_notices,
        resources.publisher,
    )


def _connection(
    settings: Settings, resources: Resources, ctx: ListenerContext
) -> SocketModeTransport | HttpTransport:
    """Socket Mode with an app-level token, else HTTP with a signing secret."""
    if settings.slack_app_token is not None:
        bolt = build_app(settings.slack_api_url, resources.workspaces, ctx)
        return SocketModeTransport(
            bolt, settings.slack_app_token.get_secret_value(), resources.slack_clients.client(None)
        )
    assert settings.slack_signing_secret is not None
    secret = settings.slack_signing_secret.get_secret_value()
    bolt = build_app(settings.slack_api_url, resources.workspaces, ctx, secret)
    return HttpTransport(bolt, secret, resources.coordination if resources.shared else None)


def _http(
    resources: Resources,
    repositories: Repositories,
    use_cases: UseCases,
    connection: SocketModeTransport | HttpTransport,
) -> ASGIApp:
    paths: dict[str, ASGIApp] = {PATH: connection} if isinstance(connection, HttpTransport) else {}
    if resources.pages is not None:
        paths |= {INSTALL: resources.pages, REDIRECT: resources.pages}
    checks = _checks(resources, connection)
    parts = Parts(
        use_cases.api,
        use_cases.feed,
        repositories.tokens,
        resources.coordination,
        resources.metrics,
        checks,
        paths,
    )
    # Slack's first event waits for nothing; where Slack comes by socket, perhaps nobody ever comes here.
    return create_app(parts) if paths else Later(lambda: create_app(parts))


def _checks(
    resources: Resources, connection: SocketModeTransport | HttpTransport
) -> dict[str, Check]:
    """What must be well before anybody is sent to this process."""

    async def check_database() -> str | None:
        schema = await schema_of(resources.database)
        return None if schema is Schema.CURRENT else f"the schema is {schema} than this version's"

    async def check_redis() -> str | None:
        await resources.coordination.ping()
        return None

    async def check_slack() -> str | None:
        return None if await connection.connected() else "the socket is not connected"

    checks: dict[str, Check] = {"database": check_database, "slack": check_slack}
    return {**checks, "redis": check_redis} if resources.shared else checks

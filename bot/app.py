"""The composition root: constructs all parts, opens them in order and closes them in reverse order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from starlette.types import ASGIApp

from bot.answers.after_work import AfterWork
from bot.answers.engine import Engine
from bot.answers.recovery import Recovery
from bot.answers.workers import new_worker_id
from bot.api.app import ApiParts, create_app
from bot.api.health import Check, readiness_checks
from bot.api.middleware import LazyApp
from bot.chats.attachments.loader import AttachmentLoader
from bot.chats.continuations import ContinueService
from bot.chats.long_chats import LongChats
from bot.chats.models import ModelChoice
from bot.chats.prompt import PromptBuilder
from bot.chats.service import ChatService
from bot.chats.summarizer import Summarizer
from bot.chats.titles import Titles
from bot.config import LongChatsMode, Settings
from bot.domain import Chore
from bot.observability import Metrics
from bot.providers.base import ProviderSettings
from bot.resources import Resources, open_resources
from bot.timing import Timing
from bot.use_cases import Repositories, UseCases, build_use_cases, open_repositories
from handlers.answers.after_work import SlackAfterWork
from handlers.answers.factory import SlackSinkFactory
from handlers.client.files import SlackFiles
from handlers.client.user_names import UserNames
from handlers.listeners.context import ListenerContext
from handlers.live_views.channel_membership import ChannelMembership
from handlers.live_views.chat_lists import ChatLists
from handlers.live_views.home_tabs import HomeTabs
from handlers.rate_limits.token_bucket import RATES, Rate
from handlers.threads.api_echo import ApiEcho
from handlers.threads.chat_header import ChatHeaders
from handlers.threads.continuations import ContinuationThreads
from handlers.threads.dialog_chats import DialogChats
from handlers.threads.file_notices import FileNotices
from handlers.threads.model_menu import ModelMenus
from handlers.threads.queued_reaction import QueuedReactions
from handlers.threads.recovery import ThreadRecovery
from handlers.threads.thread_context import ThreadContextReader
from handlers.threads.thread_messages import ThreadMessages
from handlers.transport.bolt_app import build_app
from handlers.transport.http import PATH, HttpTransport
from handlers.transport.oauth import INSTALL, REDIRECT
from handlers.transport.socket_mode import SocketModeTransport
from storage.engine.database import Database


@dataclass(frozen=True)
class Bot:
    """A running Bobbin."""

    database: Database
    service: ChatService
    engine: Engine
    transport: SocketModeTransport | HttpTransport
    """How Slack's events reach it."""
    metrics: Metrics
    url: str
    """Base address of the HTTP server."""


@dataclass(frozen=True)
class AnswerParts:
    """What the engine needs to write answers in Slack, and the listeners share with it."""

    models: ModelChoice
    titles: Titles
    names: UserNames
    queued_reactions: QueuedReactions
    file_notices: FileNotices
    summarizer: Summarizer


@dataclass(frozen=True)
class ThreadParts:
    """What the bot writes in Slack threads besides answers."""

    menus: ModelMenus
    headers: ChatHeaders
    dialog_chats: DialogChats
    continuations: ContinuationThreads


@asynccontextmanager
async def build(
    settings: Settings,
    demo: ProviderSettings | None = None,
    timing: Timing = Timing(),
    rates: Mapping[str, Rate] = RATES,
) -> AsyncIterator[Bot]:
    """Opens everything, and closes it in reverse order. Raises SettingsError when a setting turns out to be wrong.

    `demo`: the provider to use when no provider is set. `rates`: the calls that Slack allows of each method.
    """
    async with AsyncExitStack() as stack:
        resources = await open_resources(
            stack, settings=settings, demo=demo, timing=timing, rates=rates
        )
        repositories = open_repositories(resources.database)
        parts = _answer_parts(settings, resources, repositories)
        prompts = _prompts(settings, resources, repositories, parts)
        after_work = AfterWork(
            chores=repositories.chores,
            chats=repositories.chats,
            answers=repositories.answers,
            tasks=resources.tasks,
            timing=resources.timing,
        )
        engine = _engine(settings, resources, repositories, parts, prompts, after_work)
        continuations = ContinueService(
            chats=repositories.chats,
            continuations=repositories.continuations,
            models=parts.models,
            summarizer=parts.summarizer,
            turns_of=prompts.turns,
            timing=resources.timing,
        )
        use_cases = build_use_cases(
            settings, resources, repositories, parts.models, continuations, engine.wake
        )
        threads = _thread_parts(resources, repositories, parts, use_cases)
        after_work.register(
            {
                Chore.WRITE_AGAIN: after_work.write_again(engine.wake),
                Chore.TITLE: parts.titles.write,
            }
        )
        after_work.register(_slack_after_work(resources, repositories, parts, threads).functions())
        stack.push_async_callback(after_work.close)
        await stack.enter_async_context(use_cases.feed.running())
        context = await _listener_context(stack, resources, repositories, parts, use_cases, threads)
        transport = _transport(settings, resources, context)
        stack.callback(resources.http_app.close)
        recovery = Recovery(
            engine=engine,
            after_work=after_work,
            answers=repositories.answers,
            coordination=resources.coordination,
            metrics=resources.metrics,
            single_host=resources.database.dialect == "sqlite",
            timing=resources.timing,
        )
        await stack.enter_async_context(recovery.running())
        # Closed before the recovery, which renews the leases of answers that are still being written.
        stack.push_async_callback(engine.drain, settings.bobbin_grace)
        resources.tasks.repeat(
            repositories.once.forget_old,
            resources.timing.forget_interval,
            jitter=0.5,
            name="forgetting what is done",
        )
        thread_recovery = ThreadRecovery(
            menus=threads.menus,
            headers=threads.headers,
            dialog_chats=threads.dialog_chats,
            continuations=threads.continuations,
            timing=resources.timing,
        )
        await stack.enter_async_context(thread_recovery.running())
        await stack.enter_async_context(transport.running())
        resources.http_app.open(
            _http_app(resources, repositories, use_cases, transport, recovery.fault)
        )
        yield Bot(
            database=resources.database,
            service=use_cases.service,
            engine=engine,
            transport=transport,
            metrics=resources.metrics,
            url=resources.url,
        )


def _answer_parts(
    settings: Settings, resources: Resources, repositories: Repositories
) -> AnswerParts:
    models = ModelChoice(
        catalogue=resources.providers.catalogue,
        people=repositories.people,
        default=settings.bobbin_default_model,
    )
    titles = Titles(
        chats=repositories.chats,
        models=resources.providers,
        publisher=resources.publisher,
        model=partial(models.configured, settings.bobbin_title_model),
        timing=resources.timing,
    )
    return AnswerParts(
        models=models,
        titles=titles,
        names=UserNames(
            repositories.people, resources.workspaces, resources.tasks, resources.timing
        ),
        queued_reactions=QueuedReactions(repositories.answers, resources.tasks),
        file_notices=FileNotices(models, resources.workspaces, resources.tasks),
        summarizer=Summarizer(
            repositories.summaries,
            repositories.once,
            resources.providers,
            resources.tasks,
            resources.timing,
        ),
    )


def _prompts(
    settings: Settings, resources: Resources, repositories: Repositories, parts: AnswerParts
) -> PromptBuilder:
    attachments = AttachmentLoader(
        chats=repositories.chats,
        models=parts.models,
        source=SlackFiles(resources.workspaces, settings.slack_api_url, resources.timing),
        notify=parts.file_notices.notify,
    )
    return PromptBuilder(
        chats=repositories.chats,
        system_prompt=settings.bobbin_system_prompt,
        names=parts.names,
        attachments=attachments,
        long_chats=LongChats(
            models=parts.models,
            answers=repositories.answers,
            summarizer=parts.summarizer,
            summarise=settings.bobbin_long_chats is LongChatsMode.SUMMARISE,
        ),
    )


def _engine(
    settings: Settings,
    resources: Resources,
    repositories: Repositories,
    parts: AnswerParts,
    prompts: PromptBuilder,
    after_work: AfterWork,
) -> Engine:
    sinks = SlackSinkFactory(
        workspaces=resources.workspaces,
        models=parts.models,
        chats=repositories.chats,
        answers=repositories.answers,
        mode=settings.bobbin_stream.value,
        max_messages=settings.bobbin_max_messages,
    )
    return Engine(
        chats=repositories.chats,
        answers=repositories.answers,
        models=resources.providers,
        sinks=sinks,
        publisher=resources.publisher,
        build_prompt=prompts.build,
        after_work=after_work,
        on_end=parts.models.on_answer_ended,
        metrics=resources.metrics,
        worker_id=new_worker_id(),
        timing=resources.timing,
    )


def _slack_after_work(
    resources: Resources, repositories: Repositories, parts: AnswerParts, threads: ThreadParts
) -> SlackAfterWork:
    return SlackAfterWork(
        workspaces=resources.workspaces,
        answers=repositories.answers,
        chats=repositories.chats,
        chores=repositories.chores,
        api_echo=ApiEcho(repositories.chats, parts.names),
        queued_reactions=parts.queued_reactions,
        headers=threads.headers,
    )


def _thread_parts(
    resources: Resources, repositories: Repositories, parts: AnswerParts, use_cases: UseCases
) -> ThreadParts:
    messages = ThreadMessages(resources.workspaces, use_cases.lifecycle)
    contexts = ThreadContextReader(use_cases.lifecycle, parts.names, resources.timing)
    headers = ChatHeaders(
        service=use_cases.service,
        requests=repositories.requests,
        chats=repositories.chats,
        continuations=use_cases.continuations,
        models=parts.models,
        workspaces=resources.workspaces,
        messages=messages,
        timing=resources.timing,
    )
    menus = ModelMenus(
        service=use_cases.service,
        requests=use_cases.requests,
        lifecycle=use_cases.lifecycle,
        chat_requests=repositories.requests,
        models=parts.models,
        names=parts.names,
        messages=messages,
        headers=headers,
        contexts=contexts,
        queued_reactions=parts.queued_reactions,
        timing=resources.timing,
    )
    dialog_chats = DialogChats(
        requests=use_cases.requests,
        lifecycle=use_cases.lifecycle,
        chat_requests=repositories.requests,
        chats=repositories.chats,
        models=parts.models,
        workspaces=resources.workspaces,
        menus=menus,
        contexts=contexts,
        names=parts.names,
        tasks=resources.tasks,
        timing=resources.timing,
    )
    continuations = ContinuationThreads(
        service=use_cases.continuations,
        headers=headers,
        chats=repositories.chats,
        workspaces=resources.workspaces,
        once=repositories.once,
        tasks=resources.tasks,
        timing=resources.timing,
    )
    return ThreadParts(
        menus=menus, headers=headers, dialog_chats=dialog_chats, continuations=continuations
    )


async def _listener_context(
    stack: AsyncExitStack,
    resources: Resources,
    repositories: Repositories,
    parts: AnswerParts,
    use_cases: UseCases,
    threads: ThreadParts,
) -> ListenerContext:
    membership = ChannelMembership(use_cases.service, resources.tasks)
    home_tabs = HomeTabs(
        chats=repositories.chats,
        people=repositories.people,
        models=parts.models,
        workspaces=resources.workspaces,
        feed=use_cases.feed,
        membership=membership,
    )
    chat_lists = ChatLists(
        chats=repositories.chats,
        models=parts.models,
        workspaces=resources.workspaces,
        feed=use_cases.feed,
        membership=membership,
        coordination=resources.coordination,
        timing=resources.timing,
    )
    await stack.enter_async_context(home_tabs.running())
    await stack.enter_async_context(chat_lists.running())
    return ListenerContext(
        service=use_cases.service,
        requests=use_cases.requests,
        api_tokens=use_cases.api_tokens,
        models=parts.models,
        chats=repositories.chats,
        once=repositories.once,
        workspaces=resources.workspaces,
        names=parts.names,
        menus=threads.menus,
        headers=threads.headers,
        dialog_chats=threads.dialog_chats,
        continue_service=use_cases.continuations,
        continuations=threads.continuations,
        queued_reactions=parts.queued_reactions,
        file_notices=parts.file_notices,
        home_tabs=home_tabs,
        chat_lists=chat_lists,
        membership=membership,
        tasks=resources.tasks,
    )


def _transport(
    settings: Settings, resources: Resources, context: ListenerContext
) -> SocketModeTransport | HttpTransport:
    """Socket Mode with an app-level token, else HTTP with a signing secret."""
    if settings.slack_app_token is not None:
        return SocketModeTransport(
            app=build_app(settings.slack_api_url, resources.workspaces, context),
            app_token=settings.slack_app_token.get_secret_value(),
            client=resources.slack_clients.client(None),
        )
    assert settings.slack_signing_secret is not None
    secret = settings.slack_signing_secret.get_secret_value()
    return HttpTransport(
        app=build_app(settings.slack_api_url, resources.workspaces, context, secret),
        signing_secret=secret,
        shared=resources.coordination if resources.shared else None,
        metrics=resources.metrics,
    )


def _http_app(
    resources: Resources,
    repositories: Repositories,
    use_cases: UseCases,
    transport: SocketModeTransport | HttpTransport,
    work: Check,
) -> ASGIApp:
    paths: dict[str, ASGIApp] = {PATH: transport} if isinstance(transport, HttpTransport) else {}
    if resources.install_pages is not None:
        paths |= {INSTALL: resources.install_pages, REDIRECT: resources.install_pages}
    parts = ApiParts(
        service=use_cases.api,
        feed=use_cases.feed,
        tokens=repositories.tokens,
        coordination=resources.coordination,
        metrics=resources.metrics,
        checks=readiness_checks(
            database=resources.database,
            work=work,
            coordination=resources.coordination if resources.shared else None,
            slack=transport.fault,
        ),
        timing=resources.timing,
        slack=paths,
    )
    # Slack's first event must not wait for the application to be made; without Slack, perhaps no request ever comes.
    return create_app(parts) if paths else LazyApp(partial(create_app, parts))

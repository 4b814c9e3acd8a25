"""The composition root: constructs all parts, opens them in order and closes them in reverse order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from starlette.types import ASGIApp

from bot.answers.after_work import AfterWork
from bot.answers.engine import Engine
from bot.answers.pictures import PictureIntake
from bot.answers.recovery import Recovery
from bot.answers.returned_pictures import ReturnedPictures
from bot.answers.step_log import Thoughts
from bot.answers.tool_loop import ToolLoop
from bot.answers.workers import new_worker_id
from bot.api.app import ApiParts, create_app
from bot.api.health import Check, readiness_checks
from bot.api.middleware import LazyApp
from bot.chats.continuations import ContinueService
from bot.chats.estimate import room_for_tools
from bot.chats.index_filling import IndexFilling
from bot.chats.prompt import IMAGE_BUDGET, PromptBuilder
from bot.chats.retention import Eraser, Keeper
from bot.chats.service import ChatService
from bot.chats.unpriced import warn_of_uncounted
from bot.chores import Chore
from bot.config.chats import ReasoningMode
from bot.config.settings import Settings
from bot.observability import Metrics
from bot.providers.base import ProviderSettings
from bot.resources import Resources, open_resources
from bot.slack_parts import (
    AnswerParts,
    ThreadParts,
    answer_parts,
    listener_context,
    prompts,
    slack_after_work,
    thread_parts,
)
from bot.timing import Timing
from bot.use_cases import (
    AnswerStarters,
    Repositories,
    UseCases,
    build_use_cases,
    open_repositories,
)
from handlers.answers.factory import SlackSinkFactory
from handlers.listeners.context import ListenerContext
from handlers.rate_limits.slack_rates import RATES, Rate
from handlers.threads.recovery import ThreadRecovery
from handlers.transport.bolt_app import build_app
from handlers.transport.http import PATH, HttpTransport
from handlers.transport.oauth import INSTALL, REDIRECT
from handlers.transport.socket_mode import SocketModeTransport
from storage.engine.database import Database
from storage.search_index import SearchIndex


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
class AnswerWriting:
    """The engine, the after-work, and the builder of prompts."""

    engine: Engine
    after_work: AfterWork
    prompts: PromptBuilder


@asynccontextmanager
async def build(
    settings: Settings,
    demo: ProviderSettings | None = None,
    timing: Timing = Timing(),
    rates: Mapping[str, Rate] = RATES,
) -> AsyncIterator[Bot]:
    """Opens everything, and closes it in reverse order. Raises SettingsError when a setting turns out to be wrong.

    `demo`: the provider to use when no provider is set. `rates`: how many calls Slack allows of each method.
    """
    async with AsyncExitStack() as stack:
        resources = await open_resources(
            stack, settings=settings, demo=demo, timing=timing, rates=rates
        )
        repositories = open_repositories(
            resources.database,
            settings.limits(),
            resources.workspaces.serves,
            resources.gate.rules.channels,
            timing,
        )
        parts = answer_parts(settings, resources, repositories)
        writing = _answer_writing(settings, resources, repositories, parts)
        use_cases = build_use_cases(
            settings,
            resources,
            repositories,
            parts.models,
            parts.voice_clips,
            _continuations(resources, repositories, parts, writing.prompts),
            AnswerStarters(writing.engine.wake, writing.after_work.start),
        )
        threads = thread_parts(resources, repositories, parts, use_cases)
        _register_chores(writing, resources, repositories, parts, threads)
        stack.push_async_callback(writing.after_work.close)
        await stack.enter_async_context(use_cases.feed.running())
        context = await listener_context(stack, resources, repositories, parts, use_cases, threads)
        transport = _transport(settings, resources, context)
        work = await _start_work(stack, settings, resources, repositories, writing, threads)
        await stack.enter_async_context(transport.running())
        resources.http_app.open(_http_app(resources, repositories, use_cases, transport, work))
        resources.tools.begin()
        yield Bot(
            database=resources.database,
            service=use_cases.service,
            engine=writing.engine,
            transport=transport,
            metrics=resources.metrics,
            url=resources.url,
        )


def _answer_writing(
    settings: Settings, resources: Resources, repositories: Repositories, parts: AnswerParts
) -> AnswerWriting:
    worker_id = new_worker_id()
    after_work = _after_work(resources, repositories, worker_id)
    prompt_builder = prompts(settings, resources, repositories, parts, after_work.start)
    engine = _engine(
        settings, resources, repositories, parts, prompt_builder, after_work, worker_id
    )
    return AnswerWriting(engine, after_work, prompt_builder)


def _register_chores(
    writing: AnswerWriting,
    resources: Resources,
    repositories: Repositories,
    parts: AnswerParts,
    threads: ThreadParts,
) -> None:
    """Registers what each kind of chore does, and which chores must not be dropped."""
    writing.after_work.register(
        {
            Chore.WRITE_AGAIN: writing.after_work.write_again(writing.engine.wake),
            Chore.TITLE: parts.titles.write,
            **slack_after_work(resources, repositories, parts, threads).functions(),
        },
        {Chore.SHOW_APPROVALS: repositories.tool_calls.has_unshown},
    )


async def _start_work(
    stack: AsyncExitStack,
    settings: Settings,
    resources: Resources,
    repositories: Repositories,
    writing: AnswerWriting,
    threads: ThreadParts,
) -> Check:
    """Takes up what earlier processes left unfinished, and starts the periodic work.

    Returns a function that reports whether answers are being written.
    """
    stack.callback(resources.http_app.close)
    recovery = _recovery(resources, repositories, writing.engine, writing.after_work)
    await stack.enter_async_context(recovery.running())
    # Closed before the recovery, which renews the leases of answers that are still being written.
    stack.push_async_callback(writing.engine.drain, settings.bobbin_grace)
    warning = warn_of_uncounted(
        settings.limits(),
        resources.providers.catalogue,
        settings.providers(),
        repositories.ledger,
    )
    resources.tasks.start(warning, name="models without a price")
    _start_housekeeping(settings, resources, repositories)
    await stack.enter_async_context(_thread_recovery(resources, threads).running())
    return recovery.fault


def _after_work(resources: Resources, repositories: Repositories, worker_id: str) -> AfterWork:
    return AfterWork(
        chores=repositories.chores,
        chats=repositories.chats,
        answers=repositories.answers,
        tasks=resources.tasks,
        timing=resources.timing,
        worker_id=worker_id,
    )


def _continuations(
    resources: Resources, repositories: Repositories, parts: AnswerParts, prompts: PromptBuilder
) -> ContinueService:
    return ContinueService(
        chats=repositories.chats,
        successors=repositories.successors,
        models=parts.models,
        summarizer=parts.summarizer,
        turns_of=prompts.turns,
        ledger=repositories.ledger,
        timing=resources.timing,
    )


def _recovery(
    resources: Resources, repositories: Repositories, engine: Engine, after_work: AfterWork
) -> Recovery:
    return Recovery(
        engine=engine,
        after_work=after_work,
        answers=repositories.answers,
        coordination=resources.coordination,
        metrics=resources.metrics,
        single_host=resources.database.dialect == "sqlite",
        timing=resources.timing,
    )


def _thread_recovery(resources: Resources, threads: ThreadParts) -> ThreadRecovery:
    return ThreadRecovery(
        menus=threads.menus,
        headers=threads.headers,
        dialog_chats=threads.dialog_chats,
        successors=threads.successors,
        timing=resources.timing,
    )


def _engine(
    settings: Settings,
    resources: Resources,
    repositories: Repositories,
    parts: AnswerParts,
    prompts: PromptBuilder,
    after_work: AfterWork,
    worker_id: str,
) -> Engine:
    return Engine(
        chats=repositories.chats,
        answers=repositories.answers,
        models=resources.providers,
        sinks=_sinks(settings, resources, repositories, parts),
        publisher=resources.publisher,
        read_prompt=prompts.read,
        after_work=after_work,
        on_end=parts.models.on_answer_ended,
        metrics=resources.metrics,
        worker_id=worker_id,
        ledger=repositories.ledger,
        pictures=PictureIntake(resources.memory, resources.image_fitter.fit),
        tools=_tool_loop(settings, resources, repositories, parts, worker_id),
        timing=resources.timing,
        thoughts=_thoughts(settings.bobbin_reasoning),
    )


def _sinks(
    settings: Settings, resources: Resources, repositories: Repositories, parts: AnswerParts
) -> SlackSinkFactory:
    return SlackSinkFactory(
        workspaces=resources.workspaces,
        models=parts.models,
        chats=repositories.chats,
        answers=repositories.answers,
        names=parts.names,
        mode=settings.bobbin_stream.value,
        max_messages=settings.bobbin_max_messages,
    )


def _tool_loop(
    settings: Settings,
    resources: Resources,
    repositories: Repositories,
    parts: AnswerParts,
    worker_id: str,
) -> ToolLoop:
    return ToolLoop(
        resources.tools,
        repositories.tool_calls,
        resources.publisher,
        worker_id,
        steps=settings.bobbin_tool_steps,
        seconds=settings.bobbin_tool_timeout,
        rules=repositories.channel_settings.tools_for,
        pictures=ReturnedPictures(
            resources.image_fitter.fit,
            lambda chat: parts.models.can_see(chat.model),
            IMAGE_BUDGET,
        ),
        room=lambda chat: room_for_tools(parts.models.window(chat.model)),
    )


def _thoughts(mode: ReasoningMode) -> Thoughts:
    return Thoughts(are_steps=mode is not ReasoningMode.OFF, are_kept=mode is ReasoningMode.SHOWN)


def _start_housekeeping(
    settings: Settings, resources: Resources, repositories: Repositories
) -> None:
    """Starts the background maintenance of the database, which one replica does at a time."""
    tasks, timing, claims = resources.tasks, resources.timing, repositories.claims
    tasks.repeat(
        claims.forget_old, timing.forget_interval, jitter=0.5, name="forgetting what is done"
    )
    tasks.repeat(
        repositories.ledger.forget_old_spending,
        timing.forget_interval,
        jitter=0.5,
        name="forgetting what was counted",
    )
    filling = IndexFilling(SearchIndex(resources.database), claims)
    tasks.repeat(filling.run, timing.index_interval, jitter=0.5, name="filling the search index")
    if settings.bobbin_keep is not None:
        keeper = Keeper(Eraser(repositories.erasure), claims, settings.bobbin_keep)
        tasks.repeat(keeper.run, timing.keep_interval, jitter=0.5, name="removing old chats")


def _transport(
    settings: Settings, resources: Resources, context: ListenerContext
) -> SocketModeTransport | HttpTransport:
    """Socket Mode with an app-level token, else HTTP with a signing secret."""
    if settings.slack_app_token is not None:
        return SocketModeTransport(
            app=build_app(settings.slack_api_url, resources.workspaces, context),
            app_token=settings.slack_app_token.get_secret_value(),
            client=resources.slack_clients.client(None),
            network=resources.network,
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
        usage=use_cases.usage,
        tokens=use_cases.api_tokens,
        gate=resources.gate,
        coordination=resources.coordination,
        metrics=resources.metrics,
        memory=resources.memory,
        checks=readiness_checks(
            database=resources.database,
            work=work,
            coordination=resources.coordination if resources.shared else None,
            slack=transport.fault,
        ),
        timing=resources.timing,
        slack=paths,
    )
    # The application is created now, so that Slack's first event does not wait for it; without Slack, there may never
    # be a request.
    return create_app(parts) if paths else LazyApp(partial(create_app, parts))

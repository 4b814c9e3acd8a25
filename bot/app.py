"""The composition root: opens all parts in order, starts their work, and closes them in reverse order.

How the parts are made from each other: `bot.wiring`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from starlette.types import ASGIApp

from bot.answers.engine import Engine
from bot.api.app import ApiParts, create_app
from bot.api.health import Check, readiness_checks
from bot.api.middleware import LazyApp
from bot.chats.index_filling import IndexFilling
from bot.chats.retention import Eraser, RetentionJob
from bot.chats.service import ChatService
from bot.chats.unpriced import warn_of_uncounted
from bot.config.settings import Settings
from bot.domain.chores import Chore
from bot.observability import Metrics
from bot.providers.base import ProviderSettings
from bot.timing import Timing
from bot.wiring.answering import Answering
from bot.wiring.resources import Resources, open_resources
from bot.wiring.slack import SlackParts
from bot.wiring.use_cases import UseCases
from handlers.listeners.context import ListenerContext
from handlers.rate_limits.slack_rates import RATES, Rate
from handlers.transport.bolt_app import build_app
from handlers.transport.http import PATH, HttpTransport
from handlers.transport.oauth import INSTALL, REDIRECT
from handlers.transport.socket_mode import SocketModeTransport
from storage.engine.database import Database
from storage.repositories import Repositories


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
        repositories = Repositories(
            resources.database,
            settings.limits(),
            resources.workspaces.serves,
            resources.access_control.rules.channels,
            timing.approval_life,
        )
        answering = Answering(settings, resources, repositories)
        use_cases = UseCases(settings, resources, repositories, answering)
        slack = SlackParts(resources, repositories, answering, use_cases)
        _register_chores(answering, repositories, slack)
        stack.push_async_callback(answering.after_work.close)
        for live in (use_cases.feed, slack.home_tabs, slack.chat_lists):
            await stack.enter_async_context(live.running())
        transport = _transport(settings, resources, slack.listener_context)
        await _start_work(stack, answering, slack)
        await stack.enter_async_context(transport.running())
        resources.http_app.open(
            _http_app(resources, use_cases, transport, answering.recovery.fault)
        )
        resources.tools.begin()
        yield Bot(
            database=resources.database,
            service=use_cases.service,
            engine=answering.engine,
            transport=transport,
            metrics=resources.metrics,
            url=resources.url,
        )


def _register_chores(answering: Answering, repositories: Repositories, slack: SlackParts) -> None:
    """Registers what each kind of chore does, and which chores must not be dropped."""
    after_work = answering.after_work
    after_work.register(
        {
            Chore.WRITE_AGAIN: after_work.write_again(answering.engine.wake),
            Chore.TITLE: answering.titles.write,
            **slack.after_work.functions(),
        },
        {Chore.SHOW_APPROVALS: repositories.tool_calls.has_unshown},
    )


async def _start_work(stack: AsyncExitStack, answering: Answering, slack: SlackParts) -> None:
    """Takes up what earlier processes left unfinished, and starts the periodic work."""
    settings, resources = answering.settings, answering.resources
    stack.callback(resources.http_app.close)
    await stack.enter_async_context(answering.recovery.running())
    # Closed before the recovery, which renews the leases of answers that are still being written.
    stack.push_async_callback(answering.engine.drain, settings.bobbin_grace)
    warning = warn_of_uncounted(
        settings.limits(),
        resources.providers.catalogue,
        settings.providers(),
        answering.repositories.ledger,
    )
    resources.tasks.start(warning, name="models without a price")
    _start_housekeeping(settings, resources, answering.repositories)
    await stack.enter_async_context(slack.recovery.running())


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
    filling = IndexFilling(repositories.search_index, claims)
    tasks.repeat(filling.run, timing.index_interval, jitter=0.5, name="filling the search index")
    if settings.bobbin_keep is not None:
        keeper = RetentionJob(Eraser(repositories.erasure), claims, settings.bobbin_keep)
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
    use_cases: UseCases,
    transport: SocketModeTransport | HttpTransport,
    work: Check,
) -> ASGIApp:
    """`work`: reports whether answers are being written."""
    paths: dict[str, ASGIApp] = {PATH: transport} if isinstance(transport, HttpTransport) else {}
    if resources.install_pages is not None:
        paths |= {INSTALL: resources.install_pages, REDIRECT: resources.install_pages}
    parts = ApiParts(
        service=use_cases.api,
        feed=use_cases.feed,
        usage=use_cases.usage,
        tokens=resources.api_tokens,
        access_control=resources.access_control,
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

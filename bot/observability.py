"""Logs, log context and metrics. The lowest layer: everything may import it.

Logs never hold the text of a message or a secret. Code logs events with fields (`log.info("answer_ended",
outcome="done")`), not sentences. Fields whose names indicate text are masked, and so is everything that looks like a
secret.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from structlog.stdlib import BoundLogger, ProcessorFormatter
from structlog.types import EventDict, Processor

LOGGER_NAMES = ("bot", "handlers", "storage")
SILENT_LOGGERS = ("mcp",)
"""Libraries that log the content they transport, even as errors, such as tool results. Bobbin logs what matters itself.
"""
AUDIT_LOGGER = "bot.audit"
"""This logger is not affected by the operator's `LOG_LEVEL`."""
METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_TEXT_FIELDS = frozenset(
    {
        "text",
        "content",
        "body",
        "payload",
        "prompt",
        "question",
        "message",
        "messages",
        "blocks",
        "markdown_text",
    }
)
_SECRETS = re.compile(
    r"""
      \b(?:xox[a-z]|xapp|xoxe\.xox[a-z]|xwfp)-[\w-]+   # tokens of Slack
    | (?<=bearer\s)[^\s"',;]+                          # authorization headers
    | (?<![\w-])sk-[\w-]{6,}                           # keys of OpenAI, OpenRouter and others
    | (?<=://)[^\s/@:]*:[^\s/@]+(?=@)                  # user and password in a URL
    | (?:(?<=[?&]ticket=)|(?<=[?&]token=))[^\s&"']+     # a Socket Mode URL needs no other credential
    """,
    re.VERBOSE | re.IGNORECASE,
)
_MASK = "[hidden]"
_STORAGE_FIELDS = ("reason", "database", "redis", "seconds", "lost_events", "outcome")
"""Fields that `storage` logs through the standard library. Libraries' other fields are dropped."""


def get_logger(name: str) -> BoundLogger:
    """The logger of a module: `log = get_logger(__name__)`."""
    return structlog.stdlib.get_logger(name)


def log_context(**fields: object) -> AbstractContextManager[None]:
    """Adds fields (`team`, `chat`, `answer` …) to every event that the current task logs inside the block."""
    return structlog.contextvars.bound_contextvars(**fields)


def configure_logging(
    level: str = "INFO", style: Literal["text", "json"] | None = None, secrets: Iterable[str] = ()
) -> None:
    """Sends all logs, Bobbin's own and those of libraries, to stderr in one format.

    `level` applies to Bobbin's own events. Libraries log from WARNING up, because they log message text below that.
    `style`: None means text on a terminal, else JSON. `secrets` are masked wherever they occur.
    """
    style = style or ("text" if sys.stderr.isatty() else "json")
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _without_text,
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(_STORAGE_FIELDS), *shared],
            processors=[
                ProcessorFormatter.remove_processors_meta,
                _renderer(style),
                _Masker(secrets),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    _set_levels(level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=BoundLogger,
        cache_logger_on_first_use=False,
    )


def _set_levels(level: str) -> None:
    for name in LOGGER_NAMES:
        logging.getLogger(name).setLevel(level)
    for name in SILENT_LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    logging.getLogger(AUDIT_LOGGER).setLevel(logging.INFO)


def _renderer(style: Literal["text", "json"]) -> Processor:
    if style == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )


def _without_text(_logger: Any, _method: str, event: EventDict) -> EventDict:
    for name in _TEXT_FIELDS & event.keys():
        event[name] = _MASK
    return event


class _Masker:
    """Masks secrets as the last step, on the rendered line, so that no field or traceback can bypass it."""

    def __init__(self, secrets: Iterable[str]) -> None:
        # Longest first, so that a secret that contains another is masked as a whole. Short ones could mask words.
        known = sorted({secret for secret in secrets if len(secret) >= 8}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(
        self,
        _logger: Any,
        _method: str,
        line: str | bytes | bytearray | Mapping[str, Any] | tuple[Any, ...],
    ) -> str:
        text = str(line)
        if self._known:
            text = self._known.sub(_MASK, text)
        return _SECRETS.sub(_MASK, text)


def _task_count() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:  # called without a running event loop
        return 0


class CallUsage(Protocol):
    """What metrics need of `bot.domain.Usage`."""

    @property
    def prompt_tokens(self) -> int: ...
    @property
    def completion_tokens(self) -> int: ...
    @property
    def cached_tokens(self) -> int: ...
    @property
    def cost(self) -> float | None: ...


class Metrics:
    """The metrics of one process, in a registry of its own. Times are in seconds."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._answers = self._counter("answers", "Answers that ended, by outcome.", "outcome")
        self._first_word = self._histogram(
            "first_word_seconds", "From the claim of an answer to its first word."
        )
        self._lag = self._histogram(
            "lag_seconds", "From the model's sending a word to its being visible."
        )
        self._waiting = self._gauge(
            "answers_waiting", "Answers that wait to be taken, in all processes."
        )
        self._running = self._gauge("answers_running", "Answers that this process is writing.")
        self._gauge("tasks", "Tasks in this process's event loop.").set_function(_task_count)
        self._slack_calls = self._counter(
            "slack_calls", "Calls of Slack's Web API.", "method", "result"
        )
        self._slack_seconds = self._histogram(
            "slack_call_seconds", "How long calls of Slack took.", "method"
        )
        self._slack_limited = self._counter(
            "slack_rate_limited", "Calls that Slack refused with 429.", "method"
        )
        self._requests_refused = self._counter(
            "slack_requests_refused", "HTTP requests that were not taken for Slack's.", "reason"
        )
        self._model_errors = self._counter(
            "model_errors", "Failures of models.", "provider", "code"
        )
        self._tokens = self._counter(
            "tokens", "Tokens of models, as far as told.", "provider", "direction"
        )
        self._cost = self._counter(
            "cost_dollars", "What calls of models cost, as far as told.", "provider"
        )
        self._taken_over = self._counter(
            "leases_taken_over",
            "Answers taken over from a worker that stopped renewing its leases.",
        )
        self._ready = self._gauge(
            "ready", "Whether what this process needs works: 1, else 0.", "check"
        )
        for outcome in ("done", "stopped", "failed"):
            self._answers.labels(outcome)  # starts at 0, so that the first one shows as an increase

    def count_answer(self, outcome: str) -> None:
        """`outcome`: `done`, `stopped` or `failed`."""
        self._answers.labels(outcome).inc()

    def observe_first_word(self, seconds: float) -> None:
        self._first_word.observe(seconds)

    def observe_lag(self, seconds: float) -> None:
        """`seconds`: from the moment the model sends a word until it is visible in Slack."""
        self._lag.observe(seconds)

    def set_waiting(self, answers: int) -> None:
        self._waiting.set(answers)

    def set_running(self, answers: int) -> None:
        self._running.set(answers)

    def count_request_refused(self, reason: str) -> None:
        """`reason`: `unsigned`, `expired` or `wrong_signature`."""
        self._requests_refused.labels(reason).inc()

    def observe_slack_call(self, method: str, result: str, seconds: float) -> None:
        """`result`: `ok` or the kind of failure, in one word. `seconds`: how long the call took."""
        self._slack_calls.labels(method, result).inc()
        self._slack_seconds.labels(method).observe(seconds)

    def count_rate_limited(self, method: str) -> None:
        self._slack_limited.labels(method).inc()

    def count_model_error(self, provider: str, code: str) -> None:
        """`code`: the `code` of the `ProviderError`."""
        self._model_errors.labels(provider, code).inc()

    def count_usage(self, provider: str, usage: CallUsage | None) -> None:
        """Counts what one model call used, if its provider reported it."""
        if usage is None:
            return
        cached = min(usage.cached_tokens, usage.prompt_tokens)
        self._tokens.labels(provider, "in").inc(usage.prompt_tokens - cached)
        self._tokens.labels(provider, "cached").inc(cached)
        self._tokens.labels(provider, "out").inc(usage.completion_tokens)
        if usage.cost is not None:
            self._cost.labels(provider).inc(usage.cost)

    def count_takeover(self) -> None:
        self._taken_over.inc()

    def set_ready(self, check: str, is_ready: bool) -> None:
        """The last result of one of the checks of `/readyz`."""
        self._ready.labels(check).set(is_ready)

    def render(self) -> bytes:
        """All metrics in the Prometheus text format, whose type is `METRICS_CONTENT_TYPE`."""
        return generate_latest(self._registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"bobbin_{name}", meaning, labels, registry=self._registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"bobbin_{name}", meaning, labels, registry=self._registry)

    def _histogram(self, name: str, meaning: str, *labels: str) -> Histogram:
        buckets = (0.05, 0.1, 0.15, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60)
        return Histogram(
            f"bobbin_{name}", meaning, labels, buckets=buckets, registry=self._registry
        )

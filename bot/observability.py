"""What can be seen from outside: logs, their context, and metrics. The lowest layer; everything may import it.

The rule: never the text of a message, never a key. Log events with fields (`log.info("answer_ended", outcome="done")`),
not sentences; a field whose name says that it carries text is left out, and whatever looks like a key is masked.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Literal

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

OWN_LOGGERS = ("bot", "handlers", "storage")
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
_KEYS = re.compile(
    r"""
      \b(?:xox[a-z]|xapp|xoxe\.xox[a-z]|xwfp)-[\w-]+   # Slack's tokens
    | (?<=bearer\s)[^\s"',;]+                          # any API's authorization header
    | (?<![\w-])sk-[\w-]{6,}                           # keys of OpenAI, OpenRouter and their kin
    | (?<=://)[^\s/@:]*:[^\s/@]+(?=@)                  # user and password within an address
    | (?:(?<=[?&]ticket=)|(?<=[?&]token=))[^\s&"']+     # a Socket Mode address opens the door by itself
    """,
    re.VERBOSE | re.IGNORECASE,
)
_MASK = "[hidden]"


def get_logger(name: str) -> BoundLogger:
    """The logger of a module: `log = get_logger(__name__)`."""
    return structlog.stdlib.get_logger(name)


def bound(**fields: object) -> AbstractContextManager[None]:
    """Puts fields (`team`, `chat`, `answer` …) on every event that this task logs inside the block."""
    return structlog.contextvars.bound_contextvars(**fields)


def configure_logging(
    level: str = "INFO", style: Literal["text", "json"] | None = None, secrets: Iterable[str] = ()
) -> None:
    """Sends every log, ours and the libraries', to stderr in one style.

    `level` holds for our own events; libraries speak from WARNING up, since below that they print what people write.
    Without a `style` it is text on a terminal, else JSON. `secrets` are masked wherever they turn up.
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
            foreign_pre_chain=shared,
            processors=[
                ProcessorFormatter.remove_processors_meta,
                _renderer(style),
                _Masker(secrets),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for name in OWN_LOGGERS:
        logging.getLogger(name).setLevel(level)
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
    """The last step, on the finished line: no field, message or traceback slips past it."""

    def __init__(self, secrets: Iterable[str]) -> None:
        # Longest first, so that a secret which contains another one goes as a whole. A few letters would mask words.
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
        return _KEYS.sub(_MASK, text)


def _tasks() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:  # asked from outside of the loop
        return 0


class Metrics:
    """The process's counters, in a registry of its own. Times are in seconds."""

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
        self._gauge("tasks", "Tasks in this process's event loop.").set_function(_tasks)
        self._slack_calls = self._counter(
            "slack_calls", "Calls of Slack's Web API.", "method", "result"
        )
        self._slack_seconds = self._histogram(
            "slack_call_seconds", "How long calls of Slack took.", "method"
        )
        self._slack_limited = self._counter(
            "slack_rate_limited", "Calls that Slack refused with 429.", "method"
        )
        self._model_errors = self._counter(
            "model_errors", "Failures of models.", "provider", "code"
        )
        self._taken_over = self._counter(
            "leases_taken_over", "Answers taken over from an owner that fell silent."
        )
        self._ready = self._gauge(
            "ready", "Whether what this process needs is well: 1, else 0.", "check"
        )
        for outcome in ("done", "stopped", "failed"):
            self._answers.labels(
                outcome
            )  # from zero on, so that the first of a kind is an increase

    def answer_ended(self, outcome: str) -> None:
        """An answer reached its end: `done`, `stopped` or `failed`."""
        self._answers.labels(outcome).inc()

    def first_word(self, seconds: float) -> None:
        self._first_word.observe(seconds)

    def lag(self, seconds: float) -> None:
        self._lag.observe(seconds)

    def waiting(self, answers: int) -> None:
        self._waiting.set(answers)

    def running(self, answers: int) -> None:
        self._running.set(answers)

    def slack_call(self, method: str, result: str, seconds: float) -> None:
        """`result`: `ok`, or why not, in one word; `seconds`: how long it took."""
        self._slack_calls.labels(method, result).inc()
        self._slack_seconds.labels(method).observe(seconds)

    def slack_rate_limited(self, method: str) -> None:
        self._slack_limited.labels(method).inc()

    def model_error(self, provider: str, code: str) -> None:
        """`code`: that of the `ProviderError`."""
        self._model_errors.labels(provider, code).inc()

    def lease_taken_over(self) -> None:
        self._taken_over.inc()

    def ready(self, check: str, fine: bool) -> None:
        """What one of the checks of `/readyz` found just now."""
        self._ready.labels(check).set(fine)

    def render(self) -> bytes:
        """All of it in Prometheus' text format, of type `METRICS_CONTENT_TYPE`."""
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

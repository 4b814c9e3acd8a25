"""OpenTelemetry traces: from Slack's event through the stored message to the calls to the model and to Slack.

Off unless `tracing` is entered, as `bobbin run` does when the standard variables name an endpoint; otherwise a span
costs one comparison. Spans contain ids, names and numbers, and never texts. So only Bobbin's own spans are exported:
those of libraries quote URLs, which contain search terms. Like logging, tracing is global to the process.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Thread
from typing import TYPE_CHECKING, TypeAlias

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, NoOpTracer, Span, SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from bot.errors import SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

Attribute: TypeAlias = str | int | float | bool
SERVICE = "bobbin"

__all__ = ["Span", "SpanKind", "current_trace", "fail", "span", "start_span", "tracing"]


class _Tracing:
    tracer: Tracer = NoOpTracer()
    enabled = False


@contextmanager
def tracing(wanted: bool, flush_timeout: float = 2.0) -> Iterator[None]:
    """While this is open, spans are sent to the endpoint that the standard variables name.

    Raises SettingsError when the SDK is not installed. When it closes, the last spans are sent within `flush_timeout`
    seconds: a collector that does not answer delays no exit.
    """
    if not wanted:
        yield
        return
    provider = _provider()
    _Tracing.tracer, _Tracing.enabled = provider.get_tracer(SERVICE), True
    try:
        yield
    finally:
        _Tracing.tracer, _Tracing.enabled = NoOpTracer(), False
        flush = Thread(target=provider.shutdown, name="last spans", daemon=True)
        flush.start()
        flush.join(flush_timeout)


def span(
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    *,
    parent: str | None = None,
    attributes: dict[str, Attribute] | None = None,
) -> AbstractContextManager[Span]:
    """A span around the block; spans inside it are its children. An exception marks it as failed, by its class only.

    `parent`: a trace from `current_trace`, perhaps of another process; otherwise the enclosing span.
    """
    if not _Tracing.enabled:
        return nullcontext(INVALID_SPAN)
    return _current(start_span(name, kind, parent=parent, attributes=attributes))


def start_span(
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    *,
    parent: str | None = None,
    attributes: dict[str, Attribute] | None = None,
) -> Span:
    """A span that the caller ends; spans that begin meanwhile are not its children."""
    context = _context_of(parent) if parent else None
    return _Tracing.tracer.start_span(name, context, kind, attributes)


def fail(failed: Span, error: BaseException) -> None:
    """Marks a span as failed, by the class of the error, because the error's text might quote a message."""
    failed.set_status(trace.StatusCode.ERROR)
    failed.set_attribute("error.type", getattr(error, "code", None) or type(error).__name__)


def current_trace() -> str | None:
    """The current span in the form of W3C's `traceparent`, to be stored; None without one."""
    if not _Tracing.enabled:
        return None
    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent")


def _context_of(parent: str) -> Context:
    return TraceContextTextMapPropagator().extract({"traceparent": parent})


@contextmanager
def _current(started: Span) -> Iterator[Span]:
    with trace.use_span(
        started, end_on_exit=True, record_exception=False, set_status_on_exception=False
    ):
        try:
            yield started
        except BaseException as error:
            fail(started, error)
            raise


def _provider() -> TracerProvider:
    # Imported here, because the SDK takes memory and time that are wasted without tracing.
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise SettingsError(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but the tracing packages are not installed: "
            "pip install 'bobbin[tracing]', or remove the variable"
        ) from None
    # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES override this default.
    resource = Resource({"service.name": SERVICE}).merge(Resource.create())
    if resource.attributes.get("service.name") == "unknown_service":
        resource = resource.merge(Resource({"service.name": SERVICE}))
    # Not at exit, where the SDK would wait for the collector.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider

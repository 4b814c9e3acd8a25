"""Traces reach a real receiver: one trace from Slack's event to the calls of the model and of Slack, without a text."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread, Timer
from threading import enumerate as enumerate_threads

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from bot.config.tracing import traces_wanted
from bot.tracing import current_trace, span, tracing
from tests.cluster.processes import Cluster
from tests.deadlines import WAIT_TIMEOUT
from tests.fork_server import ForkServer

QUESTION, ANSWER = "How many zebras?", "Eleven zebras."


class Receiver:
    """What a collector receives by OTLP over HTTP."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bodies: list[bytes] = []
        self.answers = Event()
        """Cleared: it reads requests, and answers none."""
        self.answers.set()

    def spans(self) -> list[Span]:
        return [
            each
            for body in self.bodies
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for each in scope.spans
        ]

    def named(self, start: str) -> list[Span]:
        return [each for each in self.spans() if each.name.startswith(start)]


@contextmanager
def receiving() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            receiver.answers.wait()
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}")
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def joining_new_threads() -> Iterator[None]:
    """Waits at the end for the threads started meanwhile, so that none logs during a later test.

    Some may only just be starting, such as the receiver's for a request, and cannot be joined yet.
    """
    before = set(enumerate_threads())
    yield
    deadline = time.monotonic() + WAIT_TIMEOUT
    while new := set(enumerate_threads()) - before:
        assert time.monotonic() < deadline, new
        time.sleep(0.01)


async def test_a_question_is_one_trace_up_to_the_calls_that_answer_it(
    tmp_path: Path, fork_server: ForkServer
) -> None:
    with receiving() as receiver:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_SERVICE_NAME": "my-bobbin",
        }
        async with Cluster(tmp_path, fork_server, environment=environment) as world:
            world.say(ANSWER)
            thread = await world.start(QUESTION)
            await world.answered(thread)
            await world.idle()
        (stored,) = [
            each
            for each in receiver.named("slack block_actions")
            if any(one.trace_id == each.trace_id for one in receiver.named("write answer"))
        ]
        family = [each for each in receiver.spans() if each.trace_id == stored.trace_id]
        names = [each.name for each in family]
        (writing,) = [each for each in family if each.name == "write answer"]
        assert writing.parent_span_id == stored.span_id
        assert any(name.startswith("slack.api chat.") for name in names), names
        # The other one asks for a title.
        call = next(each for each in family if each.name == "chat demo/quick")
        attributes = {each.key: each.value for each in call.attributes}
        assert attributes["gen_ai.operation.name"].string_value == "chat"
        assert attributes["gen_ai.request.model"].string_value == "demo/quick"
        assert attributes["gen_ai.usage.output_tokens"].int_value > 0
        everything = b"".join(receiver.bodies)
        assert b"my-bobbin" in everything
        assert b"zebras" not in everything


def test_a_collector_that_never_answers_delays_no_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK would wait for it."""
    with receiving() as receiver, joining_new_threads():
        receiver.answers.clear()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3600")
        answering = Timer(
            WAIT_TIMEOUT, receiver.answers.set
        )  # so that an exit that waits for it ends
        answering.start()
        with tracing(True, flush_timeout=0.01), span("anything"):
            pass
        assert not receiver.answers.is_set()
        answering.cancel()
        receiver.answers.set()


def test_nothing_is_traced_unless_the_variables_ask_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not traces_wanted()
    with tracing(False), span("anything"):
        assert current_trace() is None
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    assert traces_wanted()
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert not traces_wanted()

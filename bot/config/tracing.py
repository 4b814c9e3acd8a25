"""Whether OpenTelemetry's own variables ask for traces. The SDK reads the variables; this only decides whether to load
it.
"""

from __future__ import annotations

import os

_WHERE = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def traces_wanted() -> bool:
    """Whether an endpoint for traces is set, and traces are not disabled."""
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower()
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return any(os.environ.get(name) for name in _WHERE) and exporter == "otlp" and not disabled

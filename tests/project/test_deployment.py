"""Bobbin's deployment files match each other and the program: image, compose, Kubernetes, Prometheus, Grafana."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from bot.api.health import operator_routes
from bot.config.settings import Settings
from bot.domain import Usage
from bot.errors import ProviderError
from bot.observability import Metrics

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ALARMS = ROOT / "tests" / "project" / "data" / "alarms.yaml"
Json = dict[str, Any]

# -- the files, read ---------------------------------------------------------------------------------------------------


def compose() -> Json:
    services: Json = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    return services


def pod() -> Json:
    deployment = next(yaml.safe_load_all((DOCS / "kubernetes.yaml").read_text()))
    spec: Json = deployment["spec"]["template"]["spec"]
    return spec


def container() -> Json:
    (only,) = pod()["containers"]
    return {**only, "env": {each["name"]: each["value"] for each in only["env"]}}


def instructions(name: str) -> list[str]:
    """The arguments of each such instruction of the Dockerfile."""
    return re.findall(rf"^{name} (.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)


def rules() -> list[Json]:
    return [
        rule
        for group in yaml.safe_load((DOCS / "alerts.yaml").read_text())["groups"]
        for rule in group["rules"]
    ]


def scrape() -> Json:
    (only,) = yaml.safe_load((DOCS / "prometheus.yaml").read_text())["scrape_configs"]
    return dict(only)


def panels() -> list[Json]:
    return list(json.loads((DOCS / "grafana.json").read_text())["panels"])


def queries() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def seconds(text: str) -> float:
    assert re.fullmatch(r"\d+s", text)
    return float(text[:-1])


# -- image, compose, Kubernetes ----------------------------------------------------------------------------------------


def test_the_examples_for_containers_name_what_exists() -> None:
    """Paths and variables are the program's own, and ports are the same on both sides."""
    kinds = list(yaml.safe_load_all((DOCS / "kubernetes.yaml").read_text()))
    example, services = container(), compose()
    probes = [
        example[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    ]
    ports = {port["name"]: str(port["containerPort"]) for port in example["ports"]}

    assert [kind["kind"] for kind in kinds] == ["Deployment", "Service", "PodDisruptionBudget"]
    assert {*example["env"], *services["bobbin"]["environment"]} <= {
        name.upper() for name in Settings.model_fields
    }
    assert {probe["path"] for probe in probes} == {
        route.path for route in operator_routes(Metrics(), {})
    } - {"/metrics"}
    assert {ports[probe["port"]] for probe in probes} == {example["env"]["PORT"]}
    assert ports[kinds[1]["spec"]["ports"][0]["targetPort"]] == example["env"]["PORT"]


def test_the_container_listens_on_all_addresses_whatever_the_env_file_says() -> None:
    """HOST and PORT in `.env` are meant for this machine, where the default is the loopback interface."""
    services = compose()
    port = services["bobbin"]["environment"]["PORT"]

    assert services["bobbin"]["environment"]["HOST"] == container()["env"]["HOST"] == "0.0.0.0"
    assert services["door"]["command"].endswith(f"--to bobbin:{port}")
    assert services["door"]["ports"] == ["127.0.0.1:3000:3000"]
    assert "ports" not in services["bobbin"]  # otherwise there could be only one replica


def test_services_that_bobbin_depends_on_have_health_checks() -> None:
    """PostgreSQL by network: while it is being made, it already answers at its socket."""
    services = compose()
    awaited = services["bobbin"]["depends_on"]

    assert set(awaited) == set(services) - {"bobbin", "door"}
    assert {each["condition"] for each in awaited.values()} == {"service_healthy"}
    assert all(services[name]["healthcheck"]["test"] for name in awaited)
    assert " -h 127.0.0.1 " in services["database"]["healthcheck"]["test"]


def test_containers_are_not_killed_before_the_grace_period_ends() -> None:
    grace = Settings.model_fields["bobbin_grace"].default
    (_, leaving) = container()["lifecycle"]["preStop"]["exec"]["command"]

    assert seconds(compose()["bobbin"]["stop_grace_period"]) > 2 * grace
    assert pod()["terminationGracePeriodSeconds"] - float(leaving) > 2 * grace


def test_the_image_has_a_numeric_user_for_kubernetes() -> None:
    (user,) = instructions("USER")

    assert pod()["securityContext"]["runAsNonRoot"]
    assert int(user) > 0


def test_the_image_copies_files_that_exist_and_are_in_the_build_context() -> None:
    """And of everything that the wheel is made of."""
    sent = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = {
        path
        for line in instructions("COPY")
        if not line.startswith("--from")
        for path in line.split()[:-1]
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {
        *wheel["packages"],
        *wheel["force-include"],
        project["project"]["readme"],
        "pyproject.toml",
        "uv.lock",
    }

    assert needed | set(project["project"]["license-files"]) == copied == sent
    assert all((ROOT / path).exists() for path in copied)


@contextmanager
def answering(status: int) -> Iterator[str]:
    """A server that answers its health check with this status, and everything else with 404; returns its port."""

    class Only(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Only) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield str(server.server_port)
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("status", "well"), [(200, True), (503, False)])
def test_the_images_health_check_reports_health(status: int, well: bool) -> None:
    """It runs as Docker runs it, with a proxy in the environment, which it must not use."""
    (check,) = instructions("HEALTHCHECK")
    program, *arguments = json.loads(check.partition("CMD ")[2])
    with answering(status) as port:
        environment = {"PATH": os.environ["PATH"], "PORT": port, "http_proxy": "http://127.0.0.1:9"}
        done = subprocess.run(
            [sys.executable, *arguments], env=environment, capture_output=True, check=False
        )

    assert program == "python"
    assert (done.returncode == 0) is well


# -- Prometheus and Grafana --------------------------------------------------------------------------------------------


def test_prometheus_scrapes_the_replicas_of_the_compose_file() -> None:
    (found,) = scrape()["dns_sd_configs"]

    assert found["port"] == compose()["bobbin"]["environment"]["PORT"]
    assert found["names"] == ["bobbin"]
    assert yaml.safe_load((DOCS / "prometheus.yaml").read_text())["rule_files"] == ["alerts.yaml"]


def test_alerts_use_the_configured_job() -> None:
    named = {job for rule in rules() for job in re.findall(r'job="(\w+)"', rule["expr"])}

    assert named == {scrape()["job_name"]}


def test_the_memory_alert_fires_well_below_the_kubernetes_limit() -> None:
    (limit,) = re.findall(r"^(\d+)Gi$", container()["resources"]["limits"]["memory"])
    (alarm,) = (
        rule["expr"].rpartition("> ")[2] for rule in rules() if rule["alert"] == "BobbinMemory"
    )

    assert float(alarm) < 0.6 * int(limit) * 2**30


@cache
def measured() -> dict[str, dict[str, set[str]]]:
    """Every label of every series that a process can show, and the values seen when everything has happened once."""
    metrics = Metrics()
    for code in provider_codes():
        metrics.count_model_error("openai", code)
    for result in ("ok", "unsure", "unreached"):
        metrics.observe_slack_call("chat.update", result, 1.0)
    metrics.count_usage("openai", Usage(10, 1, cost=0.5, cached_tokens=2))
    metrics.count_rate_limited("chat.update")
    metrics.count_request_refused("expired")
    metrics.set_ready("database", True)
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            found[sample.name]["job"].add("bobbin")
            for label, value in sample.labels.items():
                found[sample.name][label].add(value)
    return found


def provider_codes() -> set[str]:
    def below(error: type[ProviderError]) -> set[str]:
        return {error.code}.union(*map(below, error.__subclasses__()))

    return below(ProviderError)


@pytest.mark.parametrize("asked", [*(rule["expr"] for rule in rules()), *queries()])
def test_alerts_and_dashboard_use_existing_labels_and_values(asked: str) -> None:
    """A renamed label would make an alarm silent for ever."""
    for series, selector in re.findall(r"\b((?:bobbin|process)_\w+)(?:\{(.*?)\})?", asked):
        assert series in measured()
        for label, sign, value in re.findall(r'(\w+)(=~|!=|=)"(.*?)"', selector):
            assert value == "$job" or set(value.split("|")) <= measured()[series][label], (
                series,
                label,
                sign,
                value,
            )
    for grouped in re.findall(r"\bby \((.*?)\)", asked):
        known = set().union(*(measured()[name] for name in re.findall(r"\bbobbin_\w+", asked)))
        assert set(grouped.split(", ")) <= known


@pytest.mark.parametrize("query", queries())
def test_the_dashboard_queries_the_chosen_job_over_grafanas_rate_interval(
    query: str,
) -> None:
    """Counters are never shown as they are: they end with their process."""
    counted = set(re.findall(r"\b\w+_(?:total|bucket)\b", query))

    assert re.findall(r"\b(?:bobbin|process)_\w+\b(?!\{job=\"\$job\")", query) == []
    assert re.findall(r"\[(.*?)\]", query) == ["$__rate_interval"] * len(counted)


def test_the_dashboard_can_be_imported() -> None:
    """Panels do not overlap and every one has something to show."""
    cells = [
        (x, y)
        for panel in panels()
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23
    assert len({panel["id"] for panel in panels()}) == len(panels())
    assert all(panel["targets"] for panel in panels())


def test_every_alert_has_a_firing_and_a_silent_case() -> None:
    """In `alarms.yaml`, which the next test runs."""
    tried: dict[str, set[bool]] = defaultdict(set)
    for each in yaml.safe_load(ALARMS.read_text())["tests"]:
        for case in each["alert_rule_test"]:
            tried[case["alertname"]].add("exp_alerts" in case)

    assert {name for name, outcomes in tried.items() if outcomes == {True, False}} == {
        rule["alert"] for rule in rules()
    }


@pytest.mark.parametrize(
    "arguments", [("check", "config", DOCS / "prometheus.yaml"), ("test", "rules", ALARMS)]
)
def test_alerts_fire_when_they_should(promtool: str, arguments: tuple[str | Path, ...]) -> None:
    done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr

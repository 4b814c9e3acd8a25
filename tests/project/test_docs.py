"""The documents are true: settings, commands, links and targets are compared with the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bot.config.settings import Settings
from bot.manifest import manifest_link
from bot.observability import Metrics

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def table(page: str, heading: str) -> dict[str, str]:
    """First cell to second cell of the table below a heading."""
    section = (ROOT / page).read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.+?) \| (.+) \|$", section, re.MULTILINE)
    return dict(rows)


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_setting_is_documented_and_every_documented_setting_exists() -> None:
    """One row each, in the README."""
    documented = [name for cell in table("README.md", "Settings") for name in names(cell)]

    assert sorted(documented) == sorted(name.upper() for name in Settings.model_fields)


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_the_documented_default_is_the_real_one(name: str) -> None:
    """Where a setting has one that can be shown."""
    (meaning,) = (
        row for cell, row in table("README.md", "Settings").items() if name.upper() in names(cell)
    )
    default = Settings.model_fields[name].default
    if default in (None, ()):
        return
    if name == "bobbin_system_prompt":
        assert "a sensible default" in meaning
        return

    assert re.search(rf"(?<![\w.]){re.escape(str(default))}(?![\w.]\w)", meaning)


def test_the_example_of_an_env_file_is_the_one_that_make_docs_writes() -> None:
    """Every setting with its meaning and default."""
    printed = subprocess.run(
        [sys.executable, "-m", "scripts.env_example"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert (ROOT / ".env.example").read_text() == printed


def test_the_example_of_an_env_file_sets_nothing_and_its_defaults_are_valid(tmp_path: Path) -> None:
    """With every # before a variable removed it is still a valid file."""
    example = (ROOT / ".env.example").read_text()
    uncommented = tmp_path / ".env"
    uncommented.write_text(re.sub(r"^#([A-Z_]+=)", r"\1", example, flags=re.MULTILINE))

    assert not re.search(r"^[^#\n]", example, re.MULTILINE)
    assert Settings.load(uncommented) == Settings.load(None)


def test_the_readme_links_to_the_dialog_with_the_manifest_in_it() -> None:
    """Whoever follows the link pastes nothing."""
    assert (ROOT / "README.md").read_text().endswith(f"[new-app]: {manifest_link()}\n")


def test_the_readme_names_every_command() -> None:
    """And no other."""
    listed = {
        name.removeprefix("bobbin ")
        for cell in table("README.md", "Commands")
        for name in names(cell)
    }
    shown = set(
        re.findall(r"^## bobbin (\w+)$", (ROOT / "docs" / "commands.md").read_text(), re.MULTILINE)
    )

    assert listed == shown


def test_the_commands_page_matches_the_program() -> None:
    """`make docs` writes it."""
    written = subprocess.run(
        [sys.executable, "scripts/commands_page.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert (ROOT / "docs" / "commands.md").read_text() == written.stdout


def test_mentioned_make_targets_exist() -> None:
    """In any page."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    mentioned = {
        target
        for page in PAGES
        for target in re.findall(r"(?:`|\$ )make ([a-z]+)", page.read_text())
    }

    assert {"run", "test", "check"} <= mentioned
    assert mentioned <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_have_targets(page: Path) -> None:
    """Those to other files of the project."""
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())

    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]

    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_mentioned_variables_exist(page: Path) -> None:
    """A renamed setting leaves no trace."""
    prefixes = r"(?:SLACK|BOBBIN|OPENROUTER|VENICE|OPENAI|OLLAMA|LOG|REDIS|DATABASE)"
    mentioned = set(re.findall(rf"\b{prefixes}_[A-Z_]+\b", page.read_text()))

    printed = {"SLACK_WEBHOOK_URL"}  # by the sandbox, for other apps
    assert mentioned - printed <= {name.upper() for name in Settings.model_fields}


def test_every_metric_is_documented() -> None:
    """And every documented one exists."""
    documented = {
        name.partition("{")[0]
        for cell in table("docs/operations.md", "Metrics")
        for name in names(cell)
    }
    families = re.findall(r"^# TYPE (bobbin_\w+) (\w+)", Metrics().render().decode(), re.MULTILINE)

    assert documented == {name for name, kind in families if not name.endswith("_created")}


@pytest.mark.parametrize("page", ["grafana.json", "alerts.yaml"])
def test_dashboard_and_alerts_use_existing_metrics(page: str) -> None:
    """Every one of our metrics is on the dashboard, and nothing asks for one that does not exist."""
    lines = re.findall(r"^# TYPE (\w+) (\w+)$", Metrics().render().decode(), re.MULTILINE)
    own = {name for name, _ in lines if not name.endswith("_created")}
    series = own | {f"{name}_bucket" for name, kind in lines if kind == "histogram"}
    asked = set(re.findall(r"\b(?:bobbin|process)_[a-z_]+\b", (ROOT / "docs" / page).read_text()))

    assert asked - series == set()
    if page == "grafana.json":
        assert {name for name in own if name.startswith("bobbin")} - {
            name.removesuffix("_bucket") for name in asked
        } == set()


def test_every_alert_is_explained() -> None:
    """With what to do about it."""
    rules = yaml.safe_load((ROOT / "docs" / "alerts.yaml").read_text())["groups"][0]["rules"]
    rows = table("docs/operations.md", "Alarms")

    assert [name for cell in rows for name in names(cell)] == [rule["alert"] for rule in rules]

"""The documents cannot lie: settings, commands, links and targets are compared with the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bot.config import Settings
from bot.errors import BobbinError
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
    (meaning,) = (row for cell, row in table("README.md", "Settings").items() if name.upper() in names(cell))
    default = Settings.model_fields[name].default
    if default in (None, ()):
        return
    if name == "bobbin_system_prompt":
        assert "a sensible default" in meaning
        return

    assert re.search(rf"(?<![\w.]){re.escape(str(default))}(?![\w.]\w)", meaning)


def test_the_readme_names_every_command() -> None:
    """And no other."""
    listed = {name.removeprefix("bobbin ") for cell in table("README.md", "Commands") for name in names(cell)}
    shown = set(re.findall(r"^## bobbin (\w+)$", (ROOT / "docs" / "commands.md").read_text(), re.MULTILINE))

    assert listed == shown


def test_the_page_of_commands_is_what_the_program_says() -> None:
    """`make docs` writes it."""
    written = subprocess.run(
        [sys.executable, "scripts/commands_page.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert (ROOT / "docs" / "commands.md").read_text() == written.stdout


def test_every_make_target_that_is_mentioned_exists() -> None:
    """In any page."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    mentioned = {target for page in PAGES for target in re.findall(r"(?:`|\$ )make ([a-z]+)", page.read_text())}

    assert {"run", "test", "check"} <= mentioned
    assert mentioned <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Those to other files of the project."""
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())

    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]

    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_variable_that_is_mentioned_exists(page: Path) -> None:
    """A renamed setting leaves no trace."""
    prefixes = r"(?:SLACK|BOBBIN|OPENROUTER|VENICE|OPENAI|OLLAMA|LOG|REDIS|DATABASE)"
    mentioned = set(re.findall(rf"\b{prefixes}_[A-Z_]+\b", page.read_text()))

    assert mentioned <= {name.upper() for name in Settings.model_fields}


def test_every_metric_is_documented() -> None:
    """And every documented one exists."""
    documented = {name.partition("{")[0] for cell in table("docs/operating.md", "Metrics") for name in names(cell)}
    families = re.findall(r"^# TYPE (bobbin_\w+) (\w+)", Metrics().render().decode(), re.MULTILINE)

    assert documented == {name for name, kind in families if not name.endswith("_created")}


def test_the_tree_of_errors_is_drawn_whole() -> None:
    """The docstring of `bot/errors.py` is what people read first."""
    import bot.errors

    def below(error: type[BaseException]) -> set[str]:
        return {error.__name__}.union(*(below(child) for child in error.__subclasses__()))

    own = {name for name in below(BobbinError) if hasattr(bot.errors, name)}
    drawn = set(re.findall(r"^    (?:│   |    )*(?:├── |└── )?([A-Z]\w+)", bot.errors.__doc__ or "", re.MULTILINE))

    assert drawn == own

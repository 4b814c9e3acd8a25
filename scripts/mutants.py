"""`make mutants`: mutation tests of the modules that matter most. Lists the changes that no test notices.

Each run takes a sample, because all two thousand changes with whole-product tests would take a day. It works in a clone
of the last commit and runs, for each change, only the tests that execute the changed statement, fastest first. Exit
code 1 when a change survives.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import itertools
import json
import os
import random
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from cosmic_ray.commands.init import init
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, WorkResult

ROOT = Path(__file__).resolve().parent.parent
ANSWER_TESTS = (
    *(
        f"tests/handlers/test_{name}.py"
        for name in ("control", "delivery", "hard_cases", "never_stuck", "direct")
    ),
    *(f"tests/handlers/test_{name}.py" for name in ("start", "people", "continue", "takeovers")),
    *(f"tests/handlers/test_{name}.py" for name in ("restarts", "missing_text")),
    "tests/handlers/answers",
    "tests/handlers/threads",
    "tests/cluster/test_kills.py",
)
TESTS = {
    "handlers/rate_limits/scheduler.py": ("tests/handlers/rate_limits",),
    "handlers/answers/writer.py": ANSWER_TESTS,
    "handlers/answers/page_writer.py": ANSWER_TESTS,
    "handlers/answers/message_recovery.py": ANSWER_TESTS,
    "bot/chats/prompt.py": ("tests/chats/test_prompt.py", "tests/handlers/test_people.py"),
    "bot/chats/chat_request_lifecycle.py": ("tests/chats/test_chat_request_lifecycle.py",),
    "bot/chats/chat_request_service.py": (
        *(f"tests/handlers/test_{name}.py" for name in ("start", "people", "dialogs", "shortcuts")),
        *(
            f"tests/handlers/test_{name}.py"
            for name in ("attachments", "missing_text", "preselection")
        ),
        "tests/handlers/threads/test_dialog_chats.py",
    ),
    "bot/chats/service.py": (
        *(
            f"tests/handlers/test_{name}.py"
            for name in ("start", "continue", "control", "titles", "lists", "direct")
        ),
        *(
            f"tests/handlers/test_{name}.py"
            for name in ("home", "attachments", "dialogs", "shortcuts", "never_stuck")
        ),
        *(
            f"tests/handlers/test_{name}.py"
            for name in ("people", "restarts", "message_limit", "missing_text", "preselection")
        ),
        "tests/handlers/live_views",
        "tests/handlers/threads",
        "tests/api/test_compat.py",
    ),
}
"""The modules, and the tests that must fail when something in them is wrong."""
ANNOTATION_ONLY = ("ReplaceBinaryOperator_BitOr",)
"""Mutation operators that only change annotations, which nothing evaluates."""
MAX_TEST_SECONDS = 240.0
"""Seconds of tests that are run for one change."""
PATIENCE = 40.0
"""Seconds that a test waits for something that a change may prevent; less than usual."""
TIMEOUT = 600.0
"""Seconds after which the tests count as hanging, which means that they noticed the change."""


@dataclass(frozen=True, slots=True)
class TestTrace:
    """A test, how many seconds it takes, and the lines of the module that it executes."""

    test: str
    seconds: float
    lines: frozenset[int]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", help="only these")
    parser.add_argument("--sample", type=int, default=40, help="changes in each module")
    parser.add_argument(
        "--seed", type=int, default=random.randrange(1_000_000), help="take the same sample again"
    )
    parser.add_argument("--skip", type=int, default=0, help="go on in the sample after so many")
    parser.add_argument(
        "--traces",
        type=lambda name: Path(name).resolve(),
        help="a folder that keeps the traces for the next run at the same commit",
    )
    options = parser.parse_args()
    os.environ["TEST_WAIT_TIMEOUT"] = str(PATIENCE)
    print(f"seed {options.seed}", flush=True)
    survived = 0
    for module in options.modules or TESTS:
        with tempfile.TemporaryDirectory(prefix="bobbin-mutants-") as folder:
            clone = Path(folder, "clone")
            subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
            with contextlib.chdir(clone):
                traces = _trace_tests(module, options.traces or Path(folder))
                sample = _sample(module, options.sample, random.Random(options.seed))
                survived += _try(module, sample, options.skip, traces)
    return min(survived, 1)


def _trace_tests(module: str, folder: Path) -> list[TestTrace]:
    """The module's tests, fastest first; last those that execute it in other processes, where it cannot be traced."""
    file = folder / f"{module.replace('/', '.')}.jsonl"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        new = file.with_suffix(".new")
        command = _pytest(
            "-n2",
            "-p",
            "scripts.lines_per_test",
            "--trace-module",
            module,
            "--trace-output",
            str(new),
        )
        done = subprocess.run([*command, *TESTS[module]], check=False)
        if done.returncode not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            sys.exit(f"the tests of {module} did not run")
        new.rename(file)
    traces = [json.loads(line) for line in file.read_text().splitlines()]
    found = [
        TestTrace(one["test"], one["seconds"], frozenset(one["lines"][module])) for one in traces
    ]
    return sorted(found, key=lambda one: (not one.lines, one.seconds))


def _pytest(*options: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]


def _sample(module: str, size: int, chance: random.Random) -> list[MutationSpec]:
    """Random changes, no two in the same place as long as there are others."""
    with use_db(":memory:", WorkDB.Mode.create) as work:
        init([Path(module)], work, {})
        changes = [item.mutations[0] for item in work.work_items]
    places: dict[tuple[int, int], list[MutationSpec]] = {}
    for change in sorted(
        changes, key=lambda one: (one.start_pos, one.operator_name, one.occurrence)
    ):
        if not _name(change).startswith(ANNOTATION_ONLY):
            places.setdefault(change.start_pos, []).append(change)
    rounds: list[MutationSpec] = []
    while len(rounds) < size and places:
        here = chance.sample(sorted(places), len(places))
        rounds += [places[place].pop(chance.randrange(len(places[place]))) for place in here]
        places = {place: left for place, left in places.items() if left}
    return rounds[:size]


def _try(
    module: str, sample: Sequence[MutationSpec], skip: int, traces: Sequence[TestTrace]
) -> int:
    """Print the result of each change; return how many survived."""
    survived = 0
    for number, change in enumerate(sample[skip:], skip + 1):
        tests = _tests_of(module, change, traces)
        result, noticed = _run(change, tests)
        survived += not result.is_killed
        said = (
            f"noticed by {noticed}"
            if result.is_killed
            else f"SURVIVED {len(tests)} tests\n{result.diff}\n"
        )
        print(f"{number}. {_name(change)} at {module}:{change.start_pos[0]}: {said}", flush=True)
    tried = len(sample[skip:])
    print(f"{module}: {tried} tried, {tried - survived} noticed, {survived} survived", flush=True)
    return survived


def _run(change: MutationSpec, tests: Sequence[str]) -> tuple[WorkResult, str]:
    """The result of a change, and the test that notices it: run twice, because a test may fail by chance under load."""
    left = list(tests)
    while True:
        result = mutate_and_test([change], shlex.join(_pytest("-x", "-n0", *left)), TIMEOUT)
        noticed = _noticed_by(result)
        if not result.is_killed or noticed not in left:
            return result, noticed
        again = mutate_and_test([change], shlex.join(_pytest("-n0", noticed)), TIMEOUT)
        left = left[left.index(noticed) + 1 :]
        if again.is_killed or not left:
            return again, noticed


def _tests_of(module: str, change: MutationSpec, traces: Sequence[TestTrace]) -> list[str]:
    """The tests that execute the changed statement, and those for which that is not known.

    Of tests that execute the same lines the quickest comes first; the others come at the end.
    """
    lines = _statement(Path(module).read_text(), change.start_pos[0])
    ways: set[frozenset[int]] = set()
    first: list[TestTrace] = []
    others: list[TestTrace] = []
    for one in traces:
        if not (one.lines and lines) or one.lines & lines:
            (others if one.lines in ways else first).append(one)
            ways |= {one.lines}
    spent = itertools.accumulate(one.seconds for one in (*first, *others))
    return [
        one.test
        for one, until in zip((*first, *others), spent, strict=True)
        if until < MAX_TEST_SECONDS
    ]


def _statement(source: str, line: int) -> frozenset[int]:
    """The lines of the smallest statement at this line; none outside of functions, where it runs at import."""
    inside: frozenset[int] = frozenset()
    for function in _at(ast.parse(source), line):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            smallest = min(_at(function, line), key=lambda one: (one.end_lineno or 0) - one.lineno)
            inside = frozenset(range(smallest.lineno, (smallest.end_lineno or 0) + 1))
    return inside


def _at(node: ast.AST, line: int) -> Iterator[ast.stmt]:
    return (
        one
        for one in ast.walk(node)
        if isinstance(one, ast.stmt) and one.lineno <= line <= (one.end_lineno or 0)
    )


def _noticed_by(result: WorkResult) -> str:
    """The test that failed, or the end of the output."""
    output = result.output or ""
    found = re.search(r"^(?:FAILED|ERROR) (\S+::.+?)(?: - .*)?$", output, re.MULTILINE)
    return found[1] if found else output[-200:]


def _name(change: MutationSpec) -> str:
    return str(change.operator_name).removeprefix("core/")


if __name__ == "__main__":
    sys.exit(main())

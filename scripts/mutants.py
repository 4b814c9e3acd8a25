"""`make mutants`: changes one place after the other in the modules that matter most, and tells what no test notices.

Each run takes a sample, since all two thousand changes with tests of the whole product would take a day. It works in a
clone of the last commit. Exit code 1 when a change survived.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import WorkerOutcome, WorkItem, WorkResult

ROOT = Path(__file__).resolve().parent.parent
TESTS = {
    "handlers/pace.py": "tests/unit/test_pace.py tests/unit/test_pace_turns.py tests/unit/test_pace_endings.py "
    "tests/unit/test_pace_replicas.py",
    "handlers/answer.py": "tests/slack/test_control.py tests/slack/test_delivery.py tests/slack/test_hard_cases.py "
    "tests/slack/test_never_stuck.py tests/slack/test_direct.py tests/cluster/test_kills.py",
    "bot/chats/history.py": "tests/unit/test_history.py tests/slack/test_people.py",
    "bot/chats/service.py": "tests/slack/test_start.py tests/slack/test_continue.py tests/slack/test_control.py "
    "tests/slack/test_titles.py tests/slack/test_lists.py tests/slack/test_direct.py tests/api/test_calls.py",
}
"""The modules, and the tests that must notice when something in them is wrong."""
SILENT = ("ReplaceBinaryOperator_BitOr",)
"""Changes that only touch annotations, which nothing evaluates."""
TIMEOUT = 600.0
CONFIGURATION = """[cosmic-ray]
module-path = "{module}"
timeout = {timeout}
excluded-modules = []
test-command = "{python} -m pytest -x -q -n0 -p no:cacheprovider {tests}"
[cosmic-ray.distributor]
name = "local"
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", help="only these")
    parser.add_argument("--sample", type=int, default=40, help="changes in each module")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    survived = 0
    for module in options.modules or TESTS:
        survived += _mutate(module, options.sample, random.Random(options.seed))
    return min(survived, 1)


def _mutate(module: str, sample: int, chance: random.Random) -> int:
    with tempfile.TemporaryDirectory(prefix="bobbin-mutants-") as folder:
        clone, session = Path(folder, "clone"), Path(folder, "session.sqlite")
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        configuration = Path(folder, "cosmic-ray.toml")
        configuration.write_text(
            CONFIGURATION.format(module=module, timeout=TIMEOUT, python=sys.executable, tests=TESTS[module])
        )
        _cosmic_ray(clone, "init", configuration, session)
        with use_db(str(session), WorkDB.Mode.open) as work:
            _thin_out(work, sample, chance)
        _cosmic_ray(clone, "exec", configuration, session)
        with use_db(str(session), WorkDB.Mode.open) as work:
            return _report(module, work)


def _cosmic_ray(clone: Path, command: str, configuration: Path, session: Path) -> None:
    program = shutil.which("cosmic-ray", path=str(Path(sys.executable).parent))
    assert program is not None
    subprocess.run([program, command, str(configuration), str(session)], cwd=clone, check=True)


def _thin_out(work: WorkDB, sample: int, chance: random.Random) -> None:
    items: list[WorkItem] = list(work.work_items)
    worth = [item for item in items if not _operator(item).startswith(SILENT)]
    chosen = {item.job_id for item in chance.sample(worth, min(sample, len(worth)))}
    for item in items:
        if item.job_id not in chosen:
            work.set_result(item.job_id, WorkResult(worker_outcome=WorkerOutcome.SKIPPED))


def _operator(item: WorkItem) -> str:
    return str(item.mutations[0].operator_name).removeprefix("core/")


def _report(module: str, work: WorkDB) -> int:
    """Prints what came of each change that was tried; gives how many survived."""
    tried = survived = 0
    items = {item.job_id: item for item in work.work_items}
    for job, result in work.results:
        if result.worker_outcome == WorkerOutcome.SKIPPED:
            continue
        tried += 1
        if result.is_killed:
            continue
        survived += 1
        mutation = items[job].mutations[0]
        print(f"\nsurvived: {_operator(items[job])} at {module}:{mutation.start_pos[0]}\n{result.diff or ''}")
    print(f"{module}: {tried} tried, {tried - survived} noticed, {survived} survived", flush=True)
    return survived


if __name__ == "__main__":
    sys.exit(main())

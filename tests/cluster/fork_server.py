"""Starts `bobbin run` quickly: a process that has imported everything and forks one child for each line it reads.

A line is JSON: the child's whole environment, and the file for its output. The answer is the child's process id.
Two variables of the environment are for the tests and not passed on to the bot:

- `TEST_RATE_SCALE`: how many times as many calls Slack allows as it really does, so that minutes pass in seconds;
- `TEST_LEASE`: seconds of a lease instead of eight, with everything that is measured against it in proportion.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import NoReturn

from bot.cli.running import run_to_completion
from bot.commands.run import run
from bot.config.settings import Settings
from bot.timing import Timing
from handlers.rate_limits.slack_rates import RATES, Rate
from tests.deadlines import DEADLINE_SCALE

NORMAL = Timing()


def child(environment: dict[str, str], log: str) -> NoReturn:
    """Be `bobbin run` in this environment, with its output at the end of the file `log`."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, output), (2, output)):
        os.dup2(source, target)
    rate_scale = float(environment.pop("TEST_RATE_SCALE", "1"))
    lease = float(environment.pop("TEST_LEASE", NORMAL.lease))
    os.environ.clear()
    os.environ.update(environment)
    run_scaled(rate_scale, lease)


def run_scaled(rate_scale: float, lease: float = NORMAL.lease) -> NoReturn:
    """Be `bobbin run`, at a Slack that allows so many times as many calls and is done with them as much sooner."""
    lease_scale = lease / NORMAL.lease
    timing = Timing(
        lease=lease,
        lease_safe=NORMAL.lease_safe * lease_scale,
        lease_renew_interval=NORMAL.lease_renew_interval * lease_scale,
        sweep_interval=NORMAL.sweep_interval * lease_scale,
        late_effect=NORMAL.late_effect / rate_scale,
        # On a loaded machine posts wait long, however many Slack allows.
        duplicate_menu_delay=NORMAL.duplicate_menu_delay / 2.0,
        thread_sweep_interval=NORMAL.thread_sweep_interval / rate_scale,
        question_timeout=NORMAL.question_timeout * DEADLINE_SCALE,
        question_resumed_timeout=NORMAL.question_resumed_timeout * DEADLINE_SCALE,
    )
    rates = {
        method: Rate(rate.per_second * rate_scale, rate.burst * rate_scale)
        for method, rate in RATES.items()
    }
    sys.exit(run_to_completion(run(Settings.load(), timing, rates)))


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the children
    print("ready", flush=True)
    for line in sys.stdin:
        wanted = json.loads(line)
        pid = os.fork()
        if pid == 0:
            child(wanted["environment"], wanted["log"])
        print(pid, flush=True)


if __name__ == "__main__":
    main()

"""`bobbin run` as the tests want it: `python -m tests.cluster.scaled_bot`.

Two variables of the environment are for the tests and not passed on to the bot:

- `TEST_RATE_SCALE`: how many times as many calls Slack allows as it really does, so that minutes pass in seconds;
- `TEST_LEASE`: seconds of a lease instead of eight, with everything that is measured against it in proportion.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from bot.cli.running import run_to_completion
from bot.commands.run import run
from bot.config.settings import Settings
from bot.timing import Timing
from handlers.rate_limits.slack_rates import RATES, Rate
from tests.deadlines import DEADLINE_SCALE

NORMAL = Timing()


def run_scaled(rate_scale: float, lease: float = NORMAL.lease_duration) -> NoReturn:
    """Runs `bobbin run` with rate limits that allow this many times more calls, and correspondingly shorter times."""
    lease_scale = lease / NORMAL.lease_duration
    timing = Timing(
        lease_duration=lease,
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


if __name__ == "__main__":
    run_scaled(
        float(os.environ.pop("TEST_RATE_SCALE", "1")),
        float(os.environ.pop("TEST_LEASE", NORMAL.lease_duration)),
    )

"""Asks for one address again and again, in a process of its own, and prints how long each answer took.

    python -m tests.bench.asker URL TOKEN

It is a separate process, because delays caused by the load generator itself would count as the server's.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress

import httpx

INTERVAL = 0.6
"""Seconds between two requests, well within what one person may ask."""


def main(url: str, token: str) -> None:
    with httpx.Client(timeout=120, trust_env=False) as http:
        headers = {"Authorization": f"Bearer {token}"}
        while True:
            began = time.perf_counter()
            with suppress(httpx.HTTPError):
                http.get(url, headers=headers)
            print(time.perf_counter() - began, flush=True)
            time.sleep(INTERVAL)


if __name__ == "__main__":
    main(*sys.argv[1:])

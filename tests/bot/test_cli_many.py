"""`bobbin run` for many workspaces, run as a program."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from storage.encryption import TokenCipher
from storage.engine.database import Database
from storage.installations import Installation, Installations
from tests.bot.program import Bobbin
from tests.bot.test_cli import servers
from tests.deadlines import WAIT_TIMEOUT

__all__ = ["servers"]

MANY = {
    "SLACK_CLIENT_ID": "1.2",
    "SLACK_CLIENT_SECRET": "client-secret",
    "SLACK_SIGNING_SECRET": "signing-secret",
    "BOBBIN_SECRET_KEY": "the-key-of-this-test",
    "PORT": "0",
    "LOG_FORMAT": "json",
}


def run(folder: Path, settings: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bot", "run"]
    environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), **settings}
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def test_run_without_a_bot_token_waits_for_workspaces_to_install(
    tmp_path: Path, servers: dict[str, str]
) -> None:
    """It serves the pages, is ready, and ends at SIGTERM."""
    with run(tmp_path, MANY | servers) as process:
        try:
            assert process.stderr is not None
            url = next(
                filter(None, (re.search(r'"url": "(http[^"]+)"', line) for line in process.stderr))
            )[1]
            with httpx.Client(base_url=url, trust_env=False) as http:
                deadline = time.monotonic() + WAIT_TIMEOUT
                while http.get("/readyz").status_code != 200:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
                assert "Add to Slack" in http.get("/slack/install").text
                assert http.post("/slack/events").status_code == 401
            process.send_signal(signal.SIGTERM)
            assert process.wait(WAIT_TIMEOUT) == 0
        finally:
            process.kill()


def test_run_without_any_way_into_slack_is_refused_in_one_line(
    bobbin: Bobbin, servers: dict[str, str]
) -> None:
    done = bobbin("run", **servers)

    assert done.returncode == 2
    assert done.stderr.startswith("bobbin: SLACK_BOT_TOKEN is missing")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("key", ["another-key", "new-key another-key"])
def test_run_with_a_key_that_cannot_decrypt_the_tokens_is_refused_in_one_line(
    bobbin: Bobbin, servers: dict[str, str], key: str
) -> None:
    address = f"sqlite:///{bobbin.folder}/kept.sqlite3"
    asyncio.run(install(address))
    done = bobbin("run", **(MANY | servers | {"DATABASE_URL": address, "BOBBIN_SECRET_KEY": key}))

    last = done.stderr.splitlines()[-1]
    assert done.returncode == 2
    assert last.startswith("bobbin: BOBBIN_SECRET_KEY does not decrypt")
    assert not {"another-key", "xoxb-kept"} & set(re.split(r"[\s/:@'\"]+", done.stderr))


async def install(address: str) -> None:
    database = Database.open(address)
    await database.migrate()
    kept = Installation("", "T1", "U1", "xoxb-kept")
    await Installations(database, TokenCipher(MANY["BOBBIN_SECRET_KEY"])).save(kept)
    await database.close()

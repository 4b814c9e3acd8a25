"""`.env` files as people write them: read, or refused in one line that names the place and shows no value."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.config.env_file_checks import MAX_BYTES
from bot.config.settings import SandboxSettings, Settings
from bot.config.suspicious import suspicious_settings
from bot.errors import SettingsError
from tests.bot.program import Bobbin

READ = {
    "plain": "PORT=4000\n",
    "no line's end": "PORT=4000",
    "Windows": "PORT=4000\r\nHOST=::1\r\n",
    "old Macs": "HOST=::1\rPORT=4000\r",
    "a mark at its beginning": "\ufeffPORT=4000\n",
    "export": "export PORT=4000\nexport\tHOST=::1\n",
    "tabs and blanks": "\t PORT\t= 4000 \t\n\n\n",
    "quotes": "PORT='4000'\nHOST=\"::1\"\n",
    "inline comments": "PORT=4000 # not 5000\nHOST= # none\n",
    "lower case": "port=4000\n",
    "a name alone": "HOST\nPORT=4000\n",
    "twice": "PORT=5000\nPORT=4000\n",
    "names of other programs": "my.name=1\nmy-name=2\nPORT=4000\nCOMPOSE_PROJECT_NAME=bobbin\n",
    "emoji and several lines": 'BOBBIN_SYSTEM_PROMPT="Be brief. 🧵\nBe kind."\nPORT=4000\n',
}


@pytest.mark.parametrize("text", READ.values(), ids=READ)
def test_what_people_write_is_read(tmp_path: Path, text: str) -> None:
    file = tmp_path / ".env"
    file.write_bytes(text.encode())
    assert Settings.load(file).port == 4000


BROKEN: dict[str, tuple[bytes, str]] = {
    "a colon": (b"# mine\n\nPORT: 4000\n", "line 3 is not of the form NAME=value"),
    "a colon without a blank": (b"PORT:4000\n", "line 1 is not"),
    "no equals sign": (b"SLACK_BOT_TOKEN xoxb-secret\n", "line 1 is not"),
    "an open quote": (b'HOST=::1\n\n\nOPENAI_API_KEY="sk-secret\n', "line 4 is not"),
    "an open quote before another": (b"A='secret\nB='x'\n", "line 1 is not"),
    "text after a quote": (b'OPENAI_API_KEY="sk-secret"x\n', "line 1 is not"),
    "a wrapped value": (b"PORT=4000\nxoxb-secret-rest\n", "line 2 is not"),
    "JSON": (b'{\n  "PORT": 4000\n}\n', "lines 1, 2, 3 are not"),
    "a shell's": (b"set PORT=4000\n$env:PORT=4000\n", "lines 1, 2 are not"),
    "a list": (b"- PORT=4000\n", "line 1 is not"),
    "an unseen character in a name": ("PORT\u200b=4000\n".encode(), "line 1 is not"),
    "Latin-1": ("BOBBIN_SYSTEM_PROMPT=Grüße\n".encode("latin-1"), "cannot be read"),
    "UTF-16": ("PORT=4000".encode("utf-16"), "cannot be read"),
    "UTF-16 without a mark": ("PORT=4000".encode("utf-16-le"), "is no text in UTF-8"),
    "huge": (b"#" * (MAX_BYTES + 1), "is larger than a megabyte"),
}  # fmt: skip


@pytest.mark.parametrize("kind", [Settings, SandboxSettings])
@pytest.mark.parametrize(("content", "expected"), BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_read_is_one_line(
    tmp_path: Path, content: bytes, expected: str, kind: type[Settings]
) -> None:
    """A skipped line might have been the one about who may use the bot."""
    file = tmp_path / ".env"
    file.write_bytes(content)
    line = _refusal(lambda: kind.load(file))
    assert line.startswith(f"{file}")
    assert expected in line
    assert "secret" not in line


def test_an_env_file_that_is_not_a_file_is_reported_in_one_line(tmp_path: Path) -> None:
    """Docker creates a folder in place of a file that it should mount but does not find."""
    folder, link = tmp_path / ".env", tmp_path / "link"
    folder.mkdir()
    link.symlink_to("nowhere")
    assert _refusal(lambda: Settings.load(folder)).startswith(f"{folder} is no file")
    assert _refusal(lambda: Settings.load(link)).startswith(f"{link} is no file")
    assert Settings.load(tmp_path / "none").port == 3000


SUSPICIOUS = {
    "SLACK_BOT_TOKN=x": "SLACK_BOT_TOKN is not a setting and has no effect; did you mean SLACK_BOT_TOKEN?",
    "SLACK-BOT-TOKEN=x": "did you mean SLACK_BOT_TOKEN?",
    "SLACK_TOKEN=x": "did you mean SLACK_BOT_TOKEN?",
    "slack_sining_secret=x": "did you mean SLACK_SIGNING_SECRET?",
    "OPENROUTER_KEY=x": "did you mean OPENROUTER_API_KEY?",
    "OPENAI_API_BASE=x": "did you mean OPENAI_BASE_URL?",
    "OPENAI_MODEL=x": "did you mean OPENAI_MODELS?",
    "GOOGLE_API_KEY=x": "did you mean GEMINI_API_KEY?",
    "DATABASE_URI=x": "did you mean DATABASE_URL?",
    "HTTPS_PROXIES=x": "did you mean HTTPS_PROXY?",
    "BOBBIN_BUDGET=x": "did you mean BOBBIN_BUDGET_",
    "PORT=1\nHOST=::1\nPORT=2": "sets PORT in lines 1 and 3, and the last one counts",
    "Port=1\nPORT=2": "sets PORT in lines 1 and 2",
    "PORT=1\nPORT=1": None,
    "COMPOSE_PROJECT_NAME=x\nPOSTGRES_PASSWORD=x\nTZ=x\nNODE_EXTRA_CA_CERTS=x": None,
    "SLACK_TOKEN=x\nSLACK_BOT_TOKEN=x\nOPENAI_API_BASE=x\nOPENAI_BASE_URL=x": None,  # another program's
    "OPENAI_ORG_ID=x\nSLACK_APP_ID=A1\nSLACK_TEAM_ID=T1": None,
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), SUSPICIOUS.items())
def test_misspelt_settings_are_reported(tmp_path: Path, text: str, expected: str | None) -> None:
    """In the file, which belongs to Bobbin, all unknown names are reported."""
    file = tmp_path / ".env"
    file.write_text(text)
    hints = [hint for hint in suspicious_settings(file) if "=x" in text or str(file) in hint]
    assert (len(hints) == 1 and expected in hints[0]) if expected else not hints


def test_the_environments_other_variables_are_not_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_BASE", "DATABASE_URI", "OPENAI_MODEL", "SLACK_BOT_TOKN"):
        monkeypatch.setenv(name, "x")
    (hint,) = suspicious_settings(tmp_path / ".env")
    assert hint.startswith("SLACK_BOT_TOKN ")


def test_a_missing_setting_is_reported_with_where_it_may_be(bobbin: Bobbin) -> None:
    """Misspelt, or in a file outside this folder."""
    assert f"there is no file .env in {os.path.realpath(bobbin.folder)}" in bobbin("run").stderr
    (bobbin.folder / ".env").write_text("SLACK_BOT_TOKN=xoxb-1\nSLACK_APP_TOKEN=xapp-1\n")
    done = bobbin("run")
    assert done.returncode == 2
    assert done.stderr.startswith("bobbin: SLACK_BOT_TOKEN is missing")
    assert "did you mean SLACK_BOT_TOKEN?" in done.stderr
    assert "there is no file" not in done.stderr
    assert done.stderr.count("\n") == 1


def _refusal(call: Callable[[], object]) -> str:
    with pytest.raises(SettingsError) as refused:
        call()
    assert "\n" not in str(refused.value)
    return str(refused.value)

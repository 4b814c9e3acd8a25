"""Prepares a release without publishing it: checks the versions, builds the wheel and tries it in an empty environment.

Leaves the wheel in `dist`. `--final` also requires a dated section in CHANGELOG.md. The image is built too if docker
runs here. Nothing is uploaded.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
from pathlib import Path

from scripts import bootstrap

ROOT = Path(__file__).parents[1]
START_TIMEOUT = 60


def main() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    check_changelog(version)
    uv = (
        bootstrap.uv_on_path()
        or bootstrap.uv_in_tools()
        or bootstrap.uv_by_pip()
        or bootstrap.uv_by_download()
    )
    wheel = build(uv, version)
    with tempfile.TemporaryDirectory(prefix="bobbin-release-") as folder:
        try_out(uv, wheel, Path(folder), version)
    image(version)
    print(
        f"{wheel.relative_to(ROOT)} is ready, {wheel.stat().st_size / 1e6:.1f} MB. Next: git tag v{version}."
    )


def check_changelog(version: str) -> None:
    """Check that the newest section is about this version, or about unreleased changes."""
    headings = re.findall(
        r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$",
        (ROOT / "CHANGELOG.md").read_text(),
        re.MULTILINE,
    )
    released = [name for name, date in headings if date]
    if version not in released:
        note = f"CHANGELOG.md has no “## [{version}] - date” yet: name what is unreleased so"
        if "--final" in sys.argv:
            sys.exit(note)
        print(f"note: {note}")
    elif released[0] != version:
        sys.exit(f"pyproject.toml says {version}, the newest in CHANGELOG.md is {released[0]}")


def build(uv: str, version: str) -> Path:
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    run(uv, "build", "--quiet", "--wheel", "--sdist", "--out-dir", "dist", cwd=ROOT)
    return ROOT / "dist" / f"bobbin-{version}-py3-none-any.whl"


def try_out(uv: str, wheel: Path, folder: Path, version: str) -> None:
    """Try the wheel in an environment with only its dependencies, away from the checkout."""
    run(uv, "venv", "--quiet", "--python", sys.executable, folder / "venv", cwd=folder)
    run(uv, "pip", "install", "--quiet", "--python", folder / "venv", wheel, cwd=folder)
    bobbin = folder / "venv" / "bin" / "bobbin"
    said = run(bobbin, "--version", cwd=folder)
    if version not in said:
        sys.exit(f"the wheel calls itself {said.strip()}, not {version}")
    if run(bobbin, "manifest", cwd=folder) != (ROOT / "app.yaml").read_text():
        sys.exit("the wheel's manifest is not app.yaml")
    run(bobbin, "migrate", cwd=folder, DATABASE_URL=f"sqlite:///{folder}/migrated.sqlite3")
    sandbox(bobbin, folder)


def sandbox(bobbin: Path, folder: Path) -> None:
    """Check that the sandbox serves its page with all files from the wheel alone."""
    command = [
        str(bobbin),
        "sandbox",
        "--no-open",
        "--port",
        "0",
        "--data",
        str(folder / "chats.sqlite3"),
    ]
    with subprocess.Popen(
        command, cwd=folder, env=bare(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        signal.alarm(START_TIMEOUT)  # ends this script if the sandbox never prints its address
        try:
            address = next(
                found[1]
                for line in process.stdout
                if (found := re.search(r"open at +(http://\S+)", line))
            )
            for path in (
                "/",
                "/static/js/app.js",
                "/static/vendor/preact-htm.js",
                "/static/css/base.css",
            ):
                with urllib.request.urlopen(address.rstrip("/") + path) as page:
                    if page.status != 200 or not page.read():
                        sys.exit(f"the sandbox's page lacks {path}")
        finally:
            signal.alarm(0)
            process.terminate()
    if process.returncode != 0:
        sys.exit(f"the sandbox of the wheel ended with {process.returncode}")


def image(version: str) -> None:
    docker = shutil.which("docker")
    if (
        docker is None
        or subprocess.run([docker, "info"], capture_output=True, check=False).returncode
    ):
        print("no docker runs here: the image was not built")
        return
    run("docker", "build", "--quiet", "--tag", f"bobbin:{version}", ".", cwd=ROOT)


def bare(**more: str) -> dict[str, str]:
    """Environment variables without any setting of the person who makes the release."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    indexes = {
        name: value
        for name, value in bootstrap.environment().items()
        if name.startswith(("UV_", "SSL_"))
    }
    return {**kept, **indexes, **more}


def run(*command: object, cwd: Path, **environment: str) -> str:
    """The output of a program; exits when it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=bare(**environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()

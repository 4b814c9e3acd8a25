"""Prepares `.venv` from uv.lock on a machine that has nothing but Python; downloads uv if it is missing.

Uses only the standard library and runs on Pythons older than the project needs: uv then finds one that is new enough.
Debian's bare Python has neither pip nor venv, so the last resort is to unpack uv's wheel from the package index.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import platform
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
OLDEST_UV = (0, 9)
PINNED_UV = "0.13.8"  # if the index does not have it, the newest version is used

CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)


def main() -> None:
    """Install the packages: `--dev` with those for tests, `--mutants` with those for mutation tests.

    One call at a time: a second one waits and then finds everything installed.
    """
    os.chdir(ROOT)
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        uv = uv_on_path() or uv_in_tools() or uv_by_pip() or uv_by_download()
        groups = [] if {"--dev", "--mutants"} & set(sys.argv) else ["--no-dev"]
        groups += ["--group", "mutants"] if "--mutants" in sys.argv else []
        print("Fetching Bobbin's packages …", flush=True)
        # Quiet: no list of packages, but errors are printed.
        command = [uv, "sync", "--locked", "--inexact", "--quiet", *groups]
        done = subprocess.run(command, env=environment(), check=False)
    if done.returncode:
        sys.exit(
            f"The packages could not be installed (see above). Bobbin needs Python 3.11 or newer; {hint()}"
        )


def environment() -> dict[str, str]:
    """The environment of uv: no other virtual environment, and the certificates that this machine trusts."""
    values = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    values.setdefault("UV_PYTHON_DOWNLOADS", "never")
    if not may_cache():
        values.setdefault("UV_CACHE_DIR", str(TOOLS / "cache"))
    if sys.version_info >= (
        3,
        11,
    ):  # the Python that make was given, not the first one that uv finds
        values.setdefault("UV_PYTHON", sys.executable)
    if sys.platform == "darwin" or any(Path(bundle).exists() for bundle in CERTIFICATES):
        values.setdefault("UV_SYSTEM_CERTS", "1")  # which may include a company's own
    return values


def may_cache() -> bool:
    """Whether uv can write where it usually keeps its cache. Users such as `nobody` have no home to write to."""
    try:
        usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except (
        RuntimeError
    ):  # no HOME, and no such user: a container that runs under an arbitrary user id
        return False
    existing = next(path for path in (usual / "uv", *(usual / "uv").parents) if path.exists())
    return os.access(existing, os.W_OK)


def hint() -> str:
    """The advice that helps most often."""
    return "behind a company's package index set UV_DEFAULT_INDEX and SSL_CERT_FILE."


def uv_on_path() -> str | None:
    """An installed uv, if it is new enough to read the lock file."""
    found = shutil.which("uv")
    return found if found and works(found) else None


def uv_in_tools() -> str | None:
    """The uv that an earlier call downloaded."""
    found = str(TOOLS / "bin" / "uv")
    return found if works(found) else None


def works(uv: str) -> bool:
    """Whether it starts and is new enough."""
    try:
        said = subprocess.run([uv, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return False
    version = re.search(r"(\d+)\.(\d+)", said)
    return version is not None and (int(version[1]), int(version[2])) >= OLDEST_UV


def uv_by_pip() -> str | None:
    """Install with pip, if Python has it: pip knows this machine's index, proxy and certificates."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--target",
        str(TOOLS / "pip"),
        "--upgrade",
    ]
    done = subprocess.run(
        [*command, f"uv>={OLDEST_UV[0]}.{OLDEST_UV[1]}"], capture_output=True, check=False
    )
    fetched = TOOLS / "pip" / "bin" / "uv"
    if done.returncode or not fetched.exists():
        return None
    place(fetched.read_bytes())
    shutil.rmtree(TOOLS / "pip")
    return uv_in_tools()


def uv_by_download() -> str:
    """Download from the package index. Exits with one line of advice when that fails."""
    index = (
        os.environ.get("UV_DEFAULT_INDEX")
        or os.environ.get("UV_INDEX_URL")
        or os.environ.get("PIP_INDEX_URL")
    )
    page = f"{(index or 'https://pypi.org/simple').rstrip('/')}/uv/"
    host = urllib.parse.urlsplit(
        page
    ).hostname  # only the host, because the address may contain a password
    print(f"Fetching uv from {host} …", flush=True)
    try:
        name, address, digest = pick(links(page))
        wheel = fetch(address)
    except (OSError, LookupError) as error:
        sys.exit(f"uv could not be fetched from {host} ({error}); {hint()}")
    if hashlib.sha256(wheel).hexdigest() != digest:
        sys.exit(f"{name} does not have the checksum that {host} publishes; nothing was installed.")
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        inside = next(entry for entry in archive.namelist() if entry.endswith(".data/scripts/uv"))
        place(archive.read(inside))
    return uv_in_tools() or sys.exit(f"{name} does not run on this machine; install uv by hand.")


def place(binary: bytes) -> None:
    """Put the program where `uv_in_tools` looks, atomically."""
    (TOOLS / "bin").mkdir(exist_ok=True)
    part = TOOLS / "bin" / "uv.part"
    part.write_bytes(binary)
    part.chmod(0o755)
    part.replace(TOOLS / "bin" / "uv")


def fetch(address: str) -> bytes:
    """The body at an address; a user and password in it are sent as basic authentication."""
    parts = urllib.parse.urlsplit(address)
    if parts.scheme not in ("http", "https"):
        raise urllib.error.URLError(f"not a web address: {parts.scheme}")
    request = urllib.request.Request(
        urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    )
    if parts.username:
        import base64

        login = (
            f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        )
        request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
    with urllib.request.urlopen(request, timeout=60) as response:
        body: bytes = response.read()
    return body


class Links(HTMLParser):
    """The links of an index page to files that are not yanked."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called for each tag."""
        values = dict(attrs)
        if tag == "a" and values.get("href") and "data-yanked" not in values:
            self.found.append(str(values["href"]))


def links(page: str) -> list[str]:
    """The full address of every file on an index page."""
    parser = Links()
    parser.feed(fetch(page).decode())
    return [urllib.parse.urljoin(page, found) for found in parser.found]


def pick(addresses: list[str]) -> tuple[str, str, str]:
    """Name, address and SHA-256 of the wheel for this machine: the pinned version's, else the newest's."""
    fitting = {}
    for address in addresses:
        bare, _, fragment = address.partition("#")
        name = urllib.parse.unquote(bare.rpartition("/")[2])
        version = re.match(r"uv-(\d+(?:\.\d+)+)-", name)
        if version and name.endswith(".whl") and fragment.startswith("sha256=") and fits(name):
            fitting[version[1]] = (name, bare, fragment[len("sha256=") :])
    if not fitting:
        raise LookupError(f"no wheel for {platform.system()} on {platform.machine()}")
    newest = max(fitting, key=lambda version: [int(number) for number in version.split(".")])
    return fitting.get(PINNED_UV) or fitting[newest]


def fits(wheel: str) -> bool:
    """Whether a wheel's platform is this one."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    if sys.platform == "darwin":
        return "macosx" in wheel and ("arm64" if machine == "aarch64" else "x86_64") in wheel
    libc = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
    return libc in wheel and f"{machine}.whl" in wheel


if __name__ == "__main__":
    main()

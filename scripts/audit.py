"""Checks the origin and the licence of each dependency; with `--online` known vulnerabilities too.

Offline it checks uv.lock and the installed packages against three rules: every package comes from a package index with
checksums; the licence of everything installed with Bobbin allows everyone to use and change Bobbin under MIT; every
script vendored in the sandbox's page and in the API's has its licence beside it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from scripts import bootstrap

ROOT = Path(__file__).parents[1]
VENDORS = (ROOT / "bot" / "sandbox" / "static" / "vendor", ROOT / "bot" / "api" / "vendor")
FREE = re.compile(
    r"\b(MIT|BSD|Apache|ISC|ISCL|PSF|Python Software Foundation)\b"
    r"|Redistribution and use in source and binary forms"  # the BSD licence, if it is not named
)
BOUND = re.compile(r"GPL|\bMPL|CDDL|EUPL|SSPL|BUSL|Mozilla|Proprietary|Commercial", re.IGNORECASE)
ACCEPTED = {
    "certifi": "MPL",  # a list of certificates: only changes to it would have to be published
    "psycopg": "LGPL",  # a separate library, which anyone may replace
    "psycopg-binary": "LGPL",
}
"""Licences with conditions, each accepted explicitly."""


def main() -> None:
    if "--online" in sys.argv:
        sys.exit(known_vulnerabilities())
    faults = [*sources(), *licences(), *vendored()]
    for fault in faults:
        print(fault, file=sys.stderr)
    sys.exit(1 if faults else 0)


def sources() -> Iterator[str]:
    """Packages of uv.lock that do not come from an index or have no checksum."""
    lock: dict[str, Any] = tomllib.loads((ROOT / "uv.lock").read_text())
    for package in lock["package"]:
        files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else ())]
        if package["name"] == "bobbin":
            continue
        if "registry" not in package["source"]:
            yield f"{package['name']} comes from {package['source']}, not from a package index"
        if not files or not all(str(file.get("hash", "")).startswith("sha256:") for file in files):
            yield f"{package['name']} has a file without a checksum in uv.lock"


def licences() -> Iterator[str]:
    """Packages installed with Bobbin whose licence is not known to be free."""
    for package in sorted(installed("bobbin"), key=lambda found: found.name):
        said = licence(package)
        wanted = ACCEPTED.get(package.name.lower())
        if not (wanted in said if wanted else free(said)):
            yield f"{package.name}: the licence “{said[:60]}” is not among those agreed to (scripts/audit.py)"


def free(said: str) -> bool:
    """Whether a licence requires no more than attribution."""
    return FREE.search(said) is not None and BOUND.search(said) is None


def installed(name: str) -> list[Distribution]:
    """The package and all its dependencies on this platform, without development dependencies."""
    found: dict[str, Distribution] = {}
    wanted = [Requirement(name)]
    while wanted:
        asked = wanted.pop()
        package = distribution(asked.name)
        known = f"{asked.name.lower()}{sorted(asked.extras)}"
        if known in found:
            continue
        found[known] = package
        for text in package.requires or ():
            need = Requirement(text)
            if need.marker is None or any(
                need.marker.evaluate({"extra": extra}) for extra in ("", *asked.extras)
            ):
                wanted.append(need)
    return list({package.name.lower(): package for package in found.values()}.values())


def licence(package: Distribution) -> str:
    """A package's statement of its licence, which is in one of three places depending on its age."""
    metadata = package.metadata
    fields = {
        name: "; ".join(metadata.get_all(name) or ())
        for name in ("License-Expression", "Classifier", "License")
    }
    labels = "; ".join(
        label for label in fields["Classifier"].split("; ") if label.startswith("License ::")
    )
    return fields["License-Expression"] or labels or fields["License"] or "none stated"


def vendored() -> Iterator[str]:
    """Third-party scripts and fonts in the page that lack their licence."""
    for folder in VENDORS:
        licensed = {file.stem for file in folder.glob("*.LICENSE")}
        for file in folder.iterdir():
            names = {file.stem, file.stem.partition("-")[0]}
            if file.suffix in (".js", ".css", ".woff2") and not names & licensed:
                yield f"{file.relative_to(ROOT)} has no licence beside it"


def known_vulnerabilities() -> int:
    """Query the OSV database for every version in uv.lock; the exit code."""
    uv = (
        bootstrap.uv_on_path()
        or bootstrap.uv_in_tools()
        or bootstrap.uv_by_pip()
        or bootstrap.uv_by_download()
    )
    command = [uv, "audit", "--locked", "--preview-features", "audit-command"]
    return subprocess.run(command, cwd=ROOT, env=bootstrap.environment(), check=False).returncode


if __name__ == "__main__":
    main()

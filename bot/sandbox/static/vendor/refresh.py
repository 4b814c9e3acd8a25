"""Fetches the page's libraries again: `python refresh.py` (needs npm; users of the sandbox do not).

Built files are copied as published, with their licences. Two files are generated from data: `emoji.js` (Slack's emoji
names) and `icons.js` (the few icons that the page uses). VERSIONS holds the versions; they are written to README.md.
"""

import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent

VERSIONS = {
    "htm": "3.1.1",
    "preact": "10",  # inside htm's build; only its licence is taken
    "markdown-it": "15.0.3",
    "dompurify": "3.4.18",
    "@highlightjs/cdn-assets": "11.12.0",
    "@fontsource/lato": "",
    "emoji-datasource": "16.0.0",
    "lucide-static": "1.62.0",
}

FILES = {
    "htm": {"preact/standalone.module.js": "preact-htm.js", "LICENSE": "preact-htm.LICENSE"},
    "preact": {"LICENSE": "preact.LICENSE"},
    "markdown-it": {"dist/browser/markdown-it.esm.min.mjs": "markdown-it.js", "LICENSE": "markdown-it.LICENSE"},
    "dompurify": {"dist/purify.es.mjs": "purify.js", "LICENSE": "purify.LICENSE"},
    "@highlightjs/cdn-assets": {"es/highlight.min.js": "highlight.js", "LICENSE": "highlight.LICENSE"},
    "@fontsource/lato": {
        "files/lato-latin-400-normal.woff2": "lato-400.woff2",
        "files/lato-latin-400-italic.woff2": "lato-400-italic.woff2",
        "files/lato-latin-700-normal.woff2": "lato-700.woff2",
        "files/lato-latin-900-normal.woff2": "lato-900.woff2",
        "LICENSE": "lato.LICENSE",
    },
    "emoji-datasource": {"LICENSE": "emoji.LICENSE"},
    "lucide-static": {"LICENSE": "icons.LICENSE"},
}

ICONS = """
face-slightly-smiling
arrow-down at-sign bot check chevron-down chevron-right circle-alert copy ellipsis
ellipsis-vertical eraser file-text hash house image lock menu
message-square-text messages-square mic moon paperclip pause pencil play
unplug plus search send-horizontal sparkles square sun thumbs-down thumbs-up
trash triangle-alert user users x zap eye wifi-off
"""


def fetch(name: str, version: str, into: Path) -> tuple[Path, str]:
    """Unpack one package. Returns its folder and its version."""
    wanted = f"{name}@{version}" if version else name
    done = subprocess.run(["npm", "pack", wanted, "--silent"], cwd=into, check=True, capture_output=True, text=True)
    folder = into / name.replace("/", "-").lstrip("@")
    with tarfile.open(into / done.stdout.strip().splitlines()[-1]) as archive:
        archive.extractall(folder, filter="data")
    root = next(path for path in folder.iterdir() if path.is_dir())
    return root, json.loads((root / "package.json").read_text())["version"]


def emoji_module(root: Path) -> str:
    """All of Slack's emoji names, each with its characters."""
    names: dict[str, str] = {}
    for entry in json.loads((root / "emoji.json").read_text()):
        text = "".join(chr(int(code, 16)) for code in entry["unified"].split("-"))
        names.update(dict.fromkeys(entry["short_names"], text))
    return f"export default {json.dumps(names, ensure_ascii=False, separators=(',', ':'))};\n"


def icons_module(root: Path) -> str:
    """The icons in use, each as a list of [tag, attributes]."""
    nodes = json.loads((root / "icon-nodes.json").read_text())
    return (
        f"export default {json.dumps({name: nodes[name] for name in sorted(ICONS.split())}, separators=(',', ':'))};\n"
    )


def readme(came: dict[str, str]) -> str:
    rows = "\n".join(f"| {name} | {version} |" for name, version in came.items() if name != "preact")
    return (
        "# Libraries of the sandbox's page\n\nBuilt files as published on the npm registry, each beside its licence; "
        "`refresh.py` fetches them again.\n`preact-htm.js` is htm's standalone build: Preact, its hooks and htm in one "
        f"file (`preact.LICENSE` is for the part of it that is Preact).\n\n| package | version |\n| --- | --- |\n{rows}\n"
    )


def main() -> None:
    came: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name, version in VERSIONS.items():
            root, came[name] = fetch(name, version, Path(temporary))
            for source, target in FILES[name].items():
                data = (root / source).read_bytes()
                if target.endswith(".js"):
                    data = b"\n".join(
                        line for line in data.split(b"\n") if not line.startswith(b"//# sourceMappingURL")
                    )
                (HERE / target).write_bytes(data)
            if name == "emoji-datasource":
                (HERE / "emoji.js").write_text(emoji_module(root), encoding="utf-8")
            if name == "lucide-static":
                (HERE / "icons.js").write_text(icons_module(root), encoding="utf-8")
    (HERE / "README.md").write_text(readme(came), encoding="utf-8")


if __name__ == "__main__":
    main()

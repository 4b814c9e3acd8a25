"""Draws docs/images/step-1.svg to step-4.svg: the places in Slack's settings where the setup is done.

They are drawings, and say so: Slack's pages need an account and change. What the sandbox can show is photographed by
`scripts/picture.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path

IMAGES = Path(__file__).parents[1] / "docs" / "images"
WIDTH = 640
FONT = "Lato, 'Helvetica Neue', Arial, sans-serif"
MONO = "'DejaVu Sans Mono', Menlo, Consolas, monospace"
INK, FAINT, LINE, GREEN, MARK = "#1d1c1d", "#616061", "#c8c8c8", "#007a5a", "#e01e5a"


def text(x: float, y: float, words: str, **style: str) -> str:
    """A line of text; `style`: SVG attributes, with `_` for `-`."""
    given = {"font_size": "14", "fill": INK, **style}
    attributes = " ".join(
        f'{name.replace("_", "-")}="{escape(value)}"' for name, value in given.items()
    )
    return f'<text x="{x}" y="{y}" {attributes}>{escape(words)}</text>'


def box(
    x: float, y: float, width: float, height: float, fill: str = "#fff", line: str = LINE
) -> str:
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="{fill}" stroke="{line}"/>'


def button(x: float, y: float, words: str, width: float) -> str:
    """A button that is to be pressed."""
    label = text(x + width / 2, y + 20, words, fill="#fff", text_anchor="middle", font_weight="700")
    return box(x, y, width, 30, GREEN, GREEN) + label


def field(x: float, y: float, label: str, value: str, width: float) -> str:
    """A labelled field with what stands in it."""
    return (
        text(x, y, label, font_weight="700", font_size="13")
        + box(x, y + 8, width, 32)
        + text(x + 10, y + 29, value, font_family=MONO, font_size="13")
    )


def number(x: float, y: float, count: int) -> str:
    """The order in which things are pressed."""
    digit = text(x, y + 4.5, str(count), fill="#fff", text_anchor="middle", font_size="13")
    return f'<circle cx="{x}" cy="{y}" r="11" fill="{MARK}"/>{digit}'


def menu(entries: Iterable[str], chosen: str) -> str:
    """The list at the left of an app's settings."""
    parts = []
    for place, entry in enumerate(entries):
        y = 62 + place * 30
        if entry == chosen:
            parts.append(box(8, y, 170, 26, "#e8f5fa", "#e8f5fa"))
        weight = "700" if entry == chosen else "400"
        parts.append(text(38, y + 18, entry, font_weight=weight, font_size="12"))
    return "".join(parts) + f'<path d="M184 40V{HEIGHT - 1}" stroke="{LINE}"/>'


HEIGHT = 250
SETTINGS = ("Basic Information", "Socket Mode", "Install App", "OAuth & Permissions")


def window(address: str, *parts: str) -> str:
    """A browser window as SVG."""
    dots = "".join(f'<circle cx="{18 + 16 * n}" cy="20" r="5" fill="{LINE}"/>' for n in range(3))
    frame = box(0.5, 0.5, WIDTH - 1, HEIGHT - 1) + dots + box(80, 8, 360, 24, "#f3f3f3", "#f3f3f3")
    bar = text(92, 25, address, font_size="12", fill=FAINT)
    said = text(
        WIDTH - 12, 25, "a drawing, not a screenshot", font_size="11", fill=FAINT, text_anchor="end"
    )
    rule = f'<path d="M0 40H{WIDTH}" stroke="{LINE}"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="{FONT}">\n' + "\n".join([frame, bar, said, rule, *parts]) + "\n</svg>\n"
    )


def create_the_app() -> str:
    return window(
        "api.slack.com/apps?new_app=1",
        text(24, 76, "Pick a workspace to develop your app in", font_weight="900", font_size="18"),
        field(24, 106, "Workspace", "Your workspace", 300),
        button(520, 196, "Next", 96),
        number(514, 196, 1),
        text(24, 176, "Then Slack shows the manifest and what the app may do:", fill=FAINT),
        text(24, 196, "press Create there.", fill=FAINT),
        text(
            24,
            226,
            "No workspace in the list? Sign in to it in this browser first.",
            fill=FAINT,
            font_size="13",
        ),
    )


def install_it() -> str:
    return window(
        "api.slack.com/apps/…/oauth",
        menu(SETTINGS, "OAuth & Permissions"),
        number(20, 165, 1),
        text(204, 72, "OAuth Tokens", font_weight="900", font_size="18"),
        button(204, 90, "Install to Your workspace", 210),
        number(414, 90, 2),
        text(434, 104, "“Request to Install”: an admin", fill=FAINT, font_size="12"),
        text(434, 119, "has to approve it first", fill=FAINT, font_size="12"),
        text(204, 146, "Then: Allow", fill=FAINT),
        field(204, 174, "Bot User OAuth Token", "xoxb-…", 300),
        box(514, 182, 70, 32),
        text(549, 203, "Copy", text_anchor="middle", font_weight="700"),
        number(514, 182, 3),
    )


def create_a_token() -> str:
    return window(
        "api.slack.com/apps/…/general",
        menu(SETTINGS, "Basic Information"),
        number(20, 75, 1),
        text(204, 76, "Generate an app-level token", font_weight="900", font_size="18"),
        text(204, 96, "(App-Level Tokens, Generate Token and Scopes)", fill=FAINT, font_size="13"),
        field(204, 124, "Token Name", "any name", 220),
        number(424, 148, 2),
        field(204, 188, "Scopes (Add Scope)", "connections:write", 220),
        number(424, 212, 3),
        button(460, 196, "Generate", 110),
        number(454, 196, 4),
        text(460, 150, "Then copy the", fill=FAINT, font_size="13"),
        text(460, 168, "token: xapp-…", fill=FAINT, font_size="13"),
    )


def write_env() -> str:
    lines = ("SLACK_BOT_TOKEN=xoxb-…", "SLACK_APP_TOKEN=xapp-…", "OPENROUTER_API_KEY=sk-or-…")
    notes = ("from step 2", "from step 3", "or any other provider's key")
    rows = [
        text(24, 92 + 30 * place, line, font_family=MONO)
        + text(330, 92 + 30 * place, f"← {note}", fill=FAINT, font_size="13")
        for place, (line, note) in enumerate(zip(lines, notes, strict=True))
    ]
    return window(
        "the file .env in Bobbin's folder",
        *rows,
        text(24, 196, "Each of them whole, without quotation marks or blanks.", fill=FAINT),
        text(24, 220, ".venv/bin/bobbin doctor", font_family=MONO, font_size="13"),
        text(220, 220, "says what is wrong, if anything is", fill=FAINT, font_size="13"),
    )


def main() -> None:
    steps = (create_the_app, install_it, create_a_token, write_env)
    for count, draw in enumerate(steps, 1):
        (IMAGES / f"step-{count}.svg").write_text(draw())


if __name__ == "__main__":
    main()

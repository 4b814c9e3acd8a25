"""Finds faults in the file `.env` that its reader would silently skip, and a setting with them."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from io import StringIO
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from bot.errors import SettingsError

MAX_BYTES = 1_000_000
_NAME = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
_BARE_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
"""A bare name without `=` leaves a variable unchanged; some people write that."""


def check_env_file(path: str | Path) -> None:
    """Raises SettingsError with one line, which shows none of the content, unless every line can be read.

    A missing file is fine, and so is something that is not a plain file but can be read once, such as a pipe.
    """
    file = Path(path)
    if not os.path.lexists(file) or file.is_fifo():
        return
    if not file.is_file():
        raise SettingsError(f"{path} is no file: put a text file there, or remove it")
    broken = [str(line) for line in _broken_lines(_text(file))]
    if broken:
        lines = f"line {broken[0]} is" if len(broken) == 1 else f"lines {', '.join(broken)} are"
        raise SettingsError(
            f"{path}: {lines} not of the form NAME=value (a colon in place of =, or a quotation mark that nothing "
            "closes?); correct this, or begin the line with #"
        )


def repeated_settings(path: str | Path, known: Iterable[str]) -> Iterator[str]:
    """One line for each of the `known` variables that the file sets twice, to different values."""
    found: dict[str, list[Binding]] = defaultdict(list)
    for each in _bindings(_text(Path(path))) if Path(path).is_file() else ():
        if each.key is not None and each.value is not None:
            found[each.key.upper()].append(each)
    for name in known:
        if len({each.value for each in found[name]}) > 1:
            lines = " and ".join(str(_line(each)) for each in found[name])
            yield f"{path} sets {name} in lines {lines}, and the last one counts; remove the others"


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise SettingsError(f"{file} is larger than a megabyte: is it the right file?")
        text = file.read_text("utf-8")
    except OSError as error:
        raise SettingsError(
            f"{file} cannot be read ({error.strerror}): let this user read it"
        ) from None
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{file} cannot be read (byte {error.start + 1} is not UTF-8): save it as UTF-8"
        ) from None
    if "\0" in text:  # UTF-16 without a byte order mark
        raise SettingsError(f"{file} is no text in UTF-8: save it as such")
    return text


def _bindings(text: str) -> Iterator[Binding]:
    return parse_stream(StringIO(text))


def _broken_lines(text: str) -> Iterator[int]:
    return (_line(each) for each in _bindings(text) if each.error or not _is_assignment(each))


def _is_assignment(binding: Binding) -> bool:
    if binding.key is None:  # a comment, or blank lines
        return True
    return bool((_BARE_NAME if binding.value is None else _NAME).fullmatch(binding.key))


def _line(binding: Binding) -> int:
    """The line of the name: preceding blank lines belong to the binding too."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")

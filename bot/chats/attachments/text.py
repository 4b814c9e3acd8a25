"""Text files: whether bytes are text, and in which encoding."""

from __future__ import annotations

import codecs
import re

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before the one of UTF-16, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LIKELY = [
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "koi8_r", "cp874",
    "cp932", "euc_jp", "iso2022_jp", "gb18030", "big5", "euc_kr", "utf_16_le", "utf_16_be",
]  # fmt: skip
"""What people's files are in when they are not in UTF-8; the rest of the world's encodings are mostly mistaken for
one of these, and one of these for them."""
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_SAMPLE = 64_000
"""Bytes by which an encoding is guessed."""


def decode_text(data: bytes, *, cut: bool = False) -> str | None:
    """The text that these bytes are, or None where they are none. `cut`: they may end within a character."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _read(data[len(mark) :], encoding, cut, "replace")
    text = _read(data, "utf-8", cut)
    if text is None:
        text = _guessed(data, cut)
    return None if text is None or _is_binary(text) else text


def _guessed(data: bytes, cut: bool) -> str | None:
    from charset_normalizer import (
        from_bytes,
    )  # takes a twentieth of the program's start, and few files need it

    best = from_bytes(data[: _SAMPLE // 4 * 4], cp_isolation=_LIKELY).best()
    if best is None:
        return None
    encoding = "cp1252" if best.encoding == "cp1250" and _western(data) else best.encoding
    return _read(data, encoding, cut, "replace")


def _western(data: bytes) -> bool:
    """Whether the letters are those that Western and Central European encodings share or only the former has."""
    shared = "ÄÖÜäöüßÉéÁáÍíÓóÚúÝýÇçËë§°´„“”‚‘’–—…€«»©®±µ·÷×ÂâÎîÔô"
    high = data[:_SAMPLE].translate(None, bytes(range(128)))
    return all(char in shared or not char.isalpha() for char in high.decode("cp1250", "replace"))


def _read(data: bytes, encoding: str, cut: bool, errors: str = "strict") -> str | None:
    try:
        return codecs.getincrementaldecoder(encoding)(errors).decode(data, final=not cut)
    except UnicodeDecodeError:
        return None


def _is_binary(text: str) -> bool:
    """Bytes of other things may pass for text; control characters give them away."""
    sample = text[:_SAMPLE]
    return len(_CONTROLS.findall(sample)) * 100 > len(sample) or "\x00" in sample

"""Decodes text: decides whether bytes are text, and in which encoding."""

from __future__ import annotations

import codecs
import re

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark begins this one
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LIKELY_ENCODINGS = [
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "koi8_r", "cp874",
    "cp932", "euc_jp", "iso2022_jp", "gb18030", "big5", "euc_kr", "utf_16_le", "utf_16_be",
]  # fmt: skip
"""The encodings to try when a file is not UTF-8. Adding rarer ones would misread files in these."""
_WIDER = {
    "iso-8859-1": "cp1252", "latin-1": "cp1252", "latin1": "cp1252", "us-ascii": "cp1252", "ascii": "cp1252",
    "iso-8859-9": "cp1254", "iso-8859-11": "cp874", "tis-620": "cp874", "gb2312": "gb18030", "gbk": "gb18030",
    "x-gbk": "gb18030", "shift_jis": "cp932", "shift-jis": "cp932", "x-sjis": "cp932", "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949", "x-mac-roman": "mac_roman", "macintosh": "mac_roman", "iso-8859-8-i": "cp1255",
}  # fmt: skip
"""Encodings that contain the stated one: files labelled with the narrower name are often in the wider encoding."""
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_C1 = re.compile(r"[\x80-\x9f]")
"""Control characters that do not occur in text."""
_SAMPLE_SIZE = 64_000
"""Bytes from which an encoding is guessed."""


def decode_text(data: bytes, *, cut: bool = False) -> str | None:
    """The text in these bytes, or None if they are not text. `cut`: they may end within a character."""
    if (marked := _marked(data, cut)) is not None:
        return marked
    text = _read(data, "utf-8", cut)
    if text is None:
        text = _guessed(data, cut)
    return None if text is None or _is_binary(text) else text


def decode_stated(data: bytes, stated: str | None) -> str:
    """The text of a page or e-mail that may state its encoding, possibly wrongly: anything valid as UTF-8 is UTF-8.

    ISO-8859-1 and its like are read as Windows-1252, as browsers do (https://encoding.spec.whatwg.org).
    """
    encoding = _WIDER.get((stated or "").lower(), stated or "")
    if encoding.lower().startswith(("utf-16", "utf-32", "iso-2022", "hz", "utf-7")):
        return _stated(data, encoding) or data.decode("utf-8", "replace")
    return (
        _marked(data) or _read(data, "utf-8", cut=False) or _stated(data, encoding) or _likely(data)
    )


def _likely(data: bytes) -> str:
    """The guessed encoding; Windows-1252 if guessing fails, as with the few bytes of a short e-mail."""
    guess = _guessed(data, cut=False)
    return data.decode("cp1252", "replace") if guess is None or _C1.search(guess) else guess


def _stated(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding, "replace") if encoding else None
    except (LookupError, ValueError):  # no such encoding
        return None


def _marked(data: bytes, cut: bool = False) -> str | None:
    """Decodes by the byte order mark."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return _read(data[len(mark) :], encoding, cut, "replace")
    return None


def _guessed(data: bytes, cut: bool) -> str | None:
    # Imported late: it takes a twentieth of the program's start, and few files need it.
    from charset_normalizer import from_bytes

    best = from_bytes(data[: _SAMPLE_SIZE // 4 * 4], cp_isolation=_LIKELY_ENCODINGS).best()
    if best is None:
        return None
    encoding = "cp1252" if best.encoding == "cp1250" and _western(data) else best.encoding
    return _read(data, encoding, cut, "replace")


def _western(data: bytes) -> bool:
    """Whether all letters are shared by Western and Central European encodings, or exist only in the Western ones."""
    shared = "ÄÖÜäöüßÉéÁáÍíÓóÚúÝýÇçËë§°´„“”‚‘’–—…€«»©®±µ·÷×ÂâÎîÔô"
    high = data[:_SAMPLE_SIZE].translate(None, bytes(range(128)))
    return all(char in shared or not char.isalpha() for char in high.decode("cp1250", "replace"))


def _read(data: bytes, encoding: str, cut: bool, errors: str = "strict") -> str | None:
    try:
        return codecs.getincrementaldecoder(encoding)(errors).decode(data, final=not cut)
    except UnicodeDecodeError:
        return None


def _is_binary(text: str) -> bool:
    """Whether the text contains a NUL, or more than one control character in a hundred."""
    sample = text[:_SAMPLE_SIZE]
    return len(_CONTROLS.findall(sample)) * 100 > len(sample) or "\x00" in sample

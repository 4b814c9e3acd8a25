"""The process that reads one document: `python -I -m bot.documents.worker CONTAINER LIMIT`, bytes in, JSON out.

It has no secrets in its environment, cannot write files, and has limits on memory and time. Whatever a hostile document
does ends with this process.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable

from bot.documents.formats import read_document
from bot.documents.kinds import Container
from bot.documents.problems import DocumentError, DocumentProblem

MAX_MEMORY = 1_000_000_000
"""Bytes of address space."""
MAX_CPU_SECONDS = 15
# Characters that text never needs: PostgreSQL rejects NUL, and lone surrogates cannot be encoded.
_USELESS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def main() -> None:
    """Reads the document from standard input, and prints its text or the problem."""
    container, limit = Container(sys.argv[1]), int(sys.argv[2])
    _limit_resources()
    _leave_css_selectors_out()
    json.dump(convert(container, sys.stdin.buffer.read(), limit), sys.stdout)


def convert(container: Container, data: bytes, limit: int) -> dict[str, object]:
    """Returns `text` (at most `limit` characters) and `truncated`, or the `problem`; for a scan also `notes`, cut like
    a text.
    """
    try:
        text, truncated = _joined(read_document(container, data), limit)
    except DocumentError as error:
        notes, truncated = _joined([error.notes], limit)
        found: dict[str, object] = {"problem": error.problem.value}
        return found | {"notes": notes, "truncated": truncated} if notes else found
    except (MemoryError, RecursionError):
        return {"problem": DocumentProblem.TOO_COMPLEX.value}
    except Exception:  # libraries raise all kinds of errors for broken documents
        return {"problem": DocumentProblem.BROKEN.value}
    if not re.search(r"\w", text):
        return {"problem": DocumentProblem.SCAN.value}
    return {"text": text, "truncated": truncated}


def _joined(pieces: Iterable[str], limit: int) -> tuple[str, bool]:
    """The pieces up to `limit` characters, and whether something was left out."""
    kept: list[str] = []
    room = limit
    for piece in pieces:
        text = _USELESS.sub("", piece).strip()
        if not text:
            continue
        kept.append(text[:room])
        if len(text) > room:
            return "\n\n".join(kept), True
        room -= len(text) + 2
        if room <= 0:
            return "\n\n".join(kept), True
    return "\n\n".join(kept), False


def _limit_resources() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    limits = {
        resource.RLIMIT_AS: (MAX_MEMORY, MAX_MEMORY),
        resource.RLIMIT_CPU: (MAX_CPU_SECONDS, MAX_CPU_SECONDS + 5),
        resource.RLIMIT_FSIZE: (0, 0),
        resource.RLIMIT_CORE: (0, 0),
    }
    for kind, values in limits.items():
        try:
            resource.setrlimit(kind, values)
        except (ValueError, OSError):  # macOS does not limit address space; the other limits apply
            continue


def _leave_css_selectors_out() -> None:
    """Beautiful Soup does without them where they are not installed; loading them takes longer than most documents."""
    sys.modules["soupsieve"] = None  # type: ignore[assignment]


if __name__ == "__main__":
    main()

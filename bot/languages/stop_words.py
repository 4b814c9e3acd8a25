"""The words that stop an answer when a reply consists of nothing else.

Each word works for everybody, since many people write in another language than the one chosen in Slack.
"""

from __future__ import annotations

import unicodedata

from bot.languages.language import Language

STOP_WORDS: dict[Language, frozenset[str]] = {
    Language.ENGLISH: frozenset({"stop"}),
    Language.GERMAN: frozenset({"stopp", "halt", "abbrechen", "aufhören"}),
    Language.FRENCH: frozenset({"arrête", "arrete", "arrêtez", "arretez", "arrêter", "arreter"}),
    Language.SPANISH: frozenset({"para", "parar", "detente", "detener", "alto"}),
    Language.JAPANESE: frozenset({"ストップ", "停止", "中止", "止めて", "とめて", "やめて"}),
}
_WORDS = frozenset().union(*STOP_WORDS.values())
_MARKS = " \n\t.!…¡。！、"


def asks_to_stop(text: str) -> bool:
    """Whether a reply asks for the answer that is being written to be stopped."""
    return unicodedata.normalize("NFKC", text).strip(_MARKS).casefold() in _WORDS

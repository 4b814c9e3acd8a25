"""eml to Markdown: who wrote to whom, when, the text, and the names of what was attached."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator
from email.message import EmailMessage

from bot.documents.markdown import html_to_markdown
from bot.documents.problems import DocumentError, DocumentProblem

_HEADERS = ("From", "To", "Cc", "Date", "Subject")


def read_email(data: bytes) -> Iterator[str]:
    """Raises DocumentError if it is no message."""
    message = email.message_from_bytes(data, policy=email.policy.default)
    if not any(message[name] for name in _HEADERS):
        raise DocumentError(DocumentProblem.BROKEN)
    yield "\n".join(f"{name}: {message[name]}" for name in _HEADERS if message[name])
    yield _body(message)
    names = [part.get_filename() or part.get_content_type() for part in message.iter_attachments()]
    if names:
        yield f"Attached to this e-mail: {', '.join(names)}"


def _body(message: EmailMessage) -> str:
    part = message.get_body(("plain", "html"))
    if part is None:
        return ""
    try:
        text = part.get_content()
    except (LookupError, KeyError, ValueError):  # an unknown character set
        payload = part.get_payload(decode=True)
        text = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
    return html_to_markdown(text) if part.get_content_type() == "text/html" else text.strip()

"""Sentences chosen or built from the texts of `bot.strings`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bot import strings
from bot.domain import Attachment, AttachmentKind, Chat, TitleBy
from bot.domain.model_options import ModelOptions
from bot.errors import BudgetUsedUp
from bot.usage.limits import from_detail
from bot.usage.sentences import budget_reached

FAILURES_WITH_REASON = frozenset(
    {
        "blocked",
        "busy",
        "daily_limit",
        "data_policy",
        "filtered",
        "key_rejected",
        "model_gone",
        "no_access",
    }
    | {
        "no_credit",
        "out_of_memory",
        "refused",
        "region",
        "server_fault",
        "too_long",
        "wrong_address",
    }
)
"""Failures whose detail is the provider's own message."""


def title(chat: Chat) -> str:
    """The chat's title, or a placeholder until it has one."""
    return strings.NEW_CONVERSATION if chat.title_by is TitleBy.DEFAULT else chat.title


def chosen(options: ModelOptions) -> list[str]:
    """The options chosen with a chat's model, a few words for each."""
    searches = [strings.HEADER_SEARCHES] if options.web_search else []
    return searches + ([strings.HEADER_EFFORT[options.effort]] if options.effort else [])


def sent_with(attachments: Sequence[Attachment]) -> str:
    """How many images and documents there are; empty for none."""
    counts = Counter(each.kind for each in attachments)
    texts = {
        AttachmentKind.IMAGE: strings.SENT_WITH_IMAGES,
        AttachmentKind.DOCUMENT: strings.SENT_WITH_DOCUMENTS,
    }
    return ", ".join(
        text.format(count=counts[kind]) for kind, text in texts.items() if counts[kind]
    )


def file_problem(code: str, names: str) -> str:
    """Why shared files couldn't be read. `names`: their names."""
    problems = strings.FILE_PROBLEMS
    return problems.get(code, problems["unreachable"]).format(names=names)


def failure(code: str | None, model: str, detail: str | None = None) -> str:
    """The sentence for a failed answer."""
    failures = strings.FAILURES
    if code == BudgetUsedUp.code and (reached := from_detail(detail or "")):
        return budget_reached(reached)
    sentence = failures.get(code or "", failures["provider_error"])
    sentence = sentence.format(model=model, detail=f" ({detail})" if detail else "")
    if code in FAILURES_WITH_REASON and detail and not detail.startswith("HTTP "):
        return f"{sentence} {strings.FAILURE_REASON.format(reason=detail)}"
    return sentence

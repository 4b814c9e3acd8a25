"""The small lines that show an answer's steps if Slack shows no task cards. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bot.chats.step_texts import step_title
from bot.domain.steps import Step, StepKind
from handlers.markdown.plain_text import mrkdwn_escape, plain
from handlers.views.blocks import MAX_CONTEXT_LENGTH, Block, context

MAX_SHOWN_DETAIL = 300
"""Characters of a step's detail, because a line can't be expanded."""
_MARKS = {
    StepKind.THINKING: "💭",
    StepKind.SEARCH: "🔎",
    StepKind.DOCUMENT: "📄",
    StepKind.TOOLS: "🔧",
    StepKind.TOOL: "🔧",
}


def step_lines(steps: Sequence[Step]) -> list[Block]:
    """One block or none: the steps in one line, with the revealed reasoning below."""
    if not steps:
        return []
    titles = "   ".join(f"{_MARKS[step.kind]} {_text(step_title(step), 150)}" for step in steps)
    read = [step for step in steps if step.detail and step.kind is not StepKind.TOOL]
    details = [f"_{_text(step.detail, MAX_SHOWN_DETAIL)}_" for step in read]
    return [context("\n".join([titles, *details])[:MAX_CONTEXT_LENGTH])]


def _text(text: str, limit: int) -> str:
    return mrkdwn_escape(plain(text, limit))

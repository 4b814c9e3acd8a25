"""The blocks below an answer: facts and sources, or the failure, and the ways to continue. Pure."""

from __future__ import annotations

from textwrap import shorten

from bot import sentences, strings
from bot.domain import Answer, AnswerResult, Status
from bot.errors import ProviderError
from bot.usage.sentences import budget_near
from handlers.markdown.plain_text import mrkdwn_escape, plain
from handlers.views.blocks import (
    ASK_ANOTHER_ACTION,
    FEEDBACK_ACTION,
    MAX_CONTEXT_LENGTH,
    RETRY_ANSWER_ACTION,
    RETRY_WITH_MODEL_ACTION,
    Block,
    button,
    context,
    plain_text,
    section,
)
from handlers.views.chat_header import continue_button
from handlers.views.model_select import model_select

MAX_LINK_WORDS = 60
"""Characters of a question in the text of its link."""


def answer_footer(
    answer: Answer,
    result: AnswerResult,
    model: str,
    left: int | None,
    rich: bool,
    question_link: str = "",
) -> list[Block]:
    """The blocks below an answer: a line of facts and the feedback buttons or Retry, or the failure and the ways to
    continue.

    `left`: messages that the chat may still hold, if they are to be announced. `rich` is False when Slack has refused
    the newer block types. `question_link`: a link to the question in mrkdwn, if it should be named.
    """
    answered = [strings.ANSWERS.format(link=question_link)] if question_link else []
    if result.status is Status.FAILED:
        lines = [*map(budget_near, result.near_budgets), *answered]
        return [*_failure(answer, result, model), *map(context, lines)]
    line = " · ".join([*_facts(result, model, left), *answered])
    facts: list[Block] = [*_sources(result), context(line)]
    if result.status is Status.STOPPED:
        return [*facts, _answer_actions(answer, _retry(answer), _ask_another())]
    feedback = [_feedback(answer.id)] if rich else []
    return [*facts, *feedback, _answer_actions(answer, _ask_another())]


def _sources(result: AnswerResult) -> list[Block]:
    """The answer's sources as numbered links, in as many blocks as they need."""
    lines = [
        strings.SOURCE.format(
            number=number, url=_url_in_link(source.url), title=_link_text(source.title)
        )
        for number, source in enumerate(result.sources, 1)
    ]
    groups: list[str] = []
    for line in (line for line in lines if len(line) <= MAX_CONTEXT_LENGTH):
        if groups and len(groups[-1]) + 1 + len(line) <= MAX_CONTEXT_LENGTH:
            groups[-1] += f"\n{line}"
        else:
            groups.append(line)
    return [context(group) for group in groups]


def _url_in_link(url: str) -> str:
    return mrkdwn_escape(url.replace("|", "%7C").replace("<", "%3C").replace(">", "%3E"))


def _link_text(title: str) -> str:
    return mrkdwn_escape(plain(title, 150)).replace("|", "¦") or "–"


def _failure(answer: Answer, result: AnswerResult, model: str) -> list[Block]:
    sentence = sentences.failure(result.error, plain(model, 150), plain(result.detail or "", 200))
    ways_on = [_retry(answer, "primary"), _ask_another()]
    if ProviderError.class_of(result.error).needs_other_model:
        select = model_select(RETRY_WITH_MODEL_ACTION)
        ways_on = [select, *ways_on, continue_button(answer.chat_id)]
    return [section(f":warning: {mrkdwn_escape(sentence)}"), _answer_actions(answer, *ways_on)]


def _ask_another() -> Block:
    """A menu; choosing a model asks it the same question in its own chat."""
    return model_select(ASK_ANOTHER_ACTION, placeholder=strings.ASK_ANOTHER)


def _answer_actions(answer: Answer, *elements: Block) -> Block:
    block_id = f"answer.{answer.id}.{answer.attempt}"
    return {"type": "actions", "block_id": block_id, "elements": list(elements)}


def _retry(answer: Answer, style: str | None = None) -> Block:
    return button(strings.RETRY_BUTTON, RETRY_ANSWER_ACTION, answer.id, style)


def parse_answer_block_id(block_id: str) -> str:
    """The answer's id. Raises ValueError for any other block."""
    kind, _, rest = block_id.partition(".")
    if kind != "answer":
        raise ValueError("not an answer")
    return rest.partition(".")[0]


def question_link(question: str, address: str) -> str:
    """A link to a question, labelled with its first words, as mrkdwn."""
    words = _link_text(shorten(plain(question, 500), MAX_LINK_WORDS, placeholder="…"))
    return f"<{_url_in_link(address)}|“{words}”>"


def _facts(result: AnswerResult, model: str, left: int | None) -> list[str]:
    facts = [mrkdwn_escape(plain(model, 150))]
    if result.seconds is not None:
        facts.append(strings.SECONDS.format(seconds=result.seconds))
    if result.usage is not None:
        count = result.usage.prompt_tokens + result.usage.completion_tokens
        cached = result.usage.cached_tokens
        template = strings.TOKENS_CACHED if cached else strings.TOKENS
        facts.append(template.format(count=count, cached=cached))
        if result.usage.cost:
            facts.append(strings.COST.format(dollars=result.usage.cost))
    if result.stopped_by is not None:
        facts.append(strings.STOPPED_BY.format(user=result.stopped_by))
    if result.truncated:
        facts.append(strings.CUT_BY_LENGTH)
    if result.prompt.summarised:
        facts.append(strings.SUMMARISED.format(count=result.prompt.summarised))
    if result.prompt.omitted:
        facts.append(strings.OMITTED.format(count=result.prompt.omitted))
    facts += map(budget_near, result.near_budgets)
    if left is not None:
        facts.append(strings.MESSAGES_LEFT.format(count=left) if left else strings.CHAT_FULL_NOW)
    return facts


def _feedback(answer_id: str) -> Block:
    return {
        "type": "context_actions",
        "elements": [
            {
                "type": "feedback_buttons",
                "action_id": FEEDBACK_ACTION,
                "positive_button": {"text": plain_text("👍", emoji=True), "value": f"{answer_id}:1",
                                    "accessibility_label": strings.GOOD_ANSWER},
                "negative_button": {"text": plain_text("👎", emoji=True), "value": f"{answer_id}:-1",
                                    "accessibility_label": strings.BAD_ANSWER},
            }
        ],
    }  # fmt: skip

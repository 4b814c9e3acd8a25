"""What an answer has come to when the model has ended: stopped, failed or done."""

from __future__ import annotations

from bot.answers.running_answer import RunningAnswer, RunState
from bot.domain import AnswerResult, Status
from bot.errors import OwnFault, ProviderError


def result_of(run: RunningAnswer, error: ProviderError | None, seconds: float) -> AnswerResult:
    """`error`: why the model failed; None if it did not. `seconds`: that the answer has taken."""
    text = "".join(run.text)
    if run.state is RunState.STOPPING:
        return AnswerResult(
            Status.STOPPED,
            text,
            usage=run.usage,
            seconds=seconds,
            prompt=run.prompt,
            sources=run.sources,
            steps=run.steps.steps,
            pictures=len(run.pictures),
        )
    if error is not None:
        return AnswerResult(
            Status.FAILED,
            text,
            error=error.code,
            detail=None if isinstance(error, OwnFault) else error.detail or None,
            usage=run.usage,
            seconds=seconds,
            steps=run.steps.steps,
            pictures=len(run.pictures),
        )
    return AnswerResult(
        Status.DONE,
        text,
        usage=run.usage,
        seconds=seconds,
        truncated=run.finish_reason == "length",
        sources=run.sources,
        steps=run.steps.steps,
        pictures=len(run.pictures),
        prompt=run.prompt,
    )

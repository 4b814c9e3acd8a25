"""The result of an answer once the model has ended: stopped, failed or done."""

from __future__ import annotations

from dataclasses import replace

from bot.answers.running_answer import RunningAnswer, RunState
from bot.domain import AnswerResult, Status
from bot.errors import OwnFault, ProviderError


def result_of(run: RunningAnswer, error: ProviderError | None, seconds: float) -> AnswerResult:
    """`error`: why the model failed; None if it did not. `seconds`: how long the answer took."""
    result = AnswerResult(
        Status.DONE,
        "".join(run.text),
        usage=run.usage,
        seconds=seconds,
        steps=run.steps.steps,
        pictures=len(run.pictures),
    )
    if error is not None and run.state is not RunState.STOPPING:
        detail = None if isinstance(error, OwnFault) else error.detail or None
        return replace(result, status=Status.FAILED, error=error.code, detail=detail)
    result = replace(result, sources=run.sources, prompt=run.prompt)
    if run.state is RunState.STOPPING:
        return replace(result, status=Status.STOPPED)
    return replace(result, truncated=run.finish_reason == "length")

"""What the models of a world answer, and what they were asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.sandbox.models.demo import asks_for_title
from bot.sandbox.models.scripts import Fault, ModelScript, script_from_text, text_of, words
from bot.sandbox.models.server import ModelServer

MODEL = "demo/quick"


class ModelAnswers:
    """The half of a world that tells its models what to say."""

    def __init__(self, models: ModelServer | None) -> None:
        self.models = models or ModelServer(words_per_second=5000.0)
        self._texts: set[str] = set()

    def say(self, *texts: str, rate: float | None = None, model: str = MODEL, **more: Any) -> None:
        """The next answers of a model, word by word at `rate` words a second (all at once without)."""
        for text in texts:
            self._texts.add(text)
            self.models.queue(model, ModelScript(words(text), rate=rate, **more))

    def fail(
        self,
        kind: Any,
        text: str = "",
        *,
        model: str = MODEL,
        times: int = 1,
        rate: float | None = None,
        **details: Any,
    ) -> None:
        """The next answers of a model go wrong after `text`. `rate`: pieces a second; None for as fast as it goes."""
        pieces = words(text)
        self._texts.add(text)
        script = ModelScript(pieces, rate=rate, fault=Fault(kind, after=len(pieces), **details))
        self.models.queue(model, *[script] * times)

    def reply_to(self, answers: Mapping[str, str], rate: float | None = None) -> None:
        """What every model answers whenever it is asked this, by the last words of the question."""
        self._texts |= set(answers.values())

        def answering(asked: Any) -> ModelScript | None:
            last = text_of(asked.messages[-1])
            found = next(
                (answer for question, answer in answers.items() if last.endswith(question)), None
            )
            return (
                None
                if found is None or asks_for_title(asked.messages)
                else ModelScript(words(found), rate=rate)
            )

        self.models.answer_with("*", answering)

    def entitle(self, title: str | None, model: str = MODEL) -> None:
        """What the model calls conversations; None: it fails to."""

        def answering(asked: Any) -> ModelScript | None:
            if not asks_for_title(asked.messages):
                return None
            return (
                ModelScript([], fault=Fault("http", status=400))
                if title is None
                else script_from_text(title, 5000)
            )

        self.models.answer_with(model, answering)

    def requests(self) -> list[list[tuple[str, str]]]:
        """What the models were sent, titles aside: role and text of each message."""
        return [
            [(str(m["role"]), text_of(m)) for m in asked.messages]
            for asked in self.models.requests()
        ]

    def said_by_models(self) -> set[str]:
        """Every text that a model was told to say, or said."""
        return self._texts | {asked.text for asked in self.models.journal}

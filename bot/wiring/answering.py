"""The parts that write answers: the engine, the models it asks, and what it needs of chats, files and tools."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

from bot.answers.after_work import AfterWork
from bot.answers.engine import Engine
from bot.answers.generator import AnswerGenerator
from bot.answers.recovery import Recovery
from bot.answers.step_log import ReasoningDisplay
from bot.answers.tool_loop import ToolLoop
from bot.answers.tool_pictures import ToolPictures
from bot.answers.workers import new_worker_id
from bot.chats.attachments.loader import AttachmentLoader
from bot.chats.attachments.single_run import SingleRun
from bot.chats.attachments.voice_clips import VoiceClips
from bot.chats.auxiliary_calls import AuxiliaryCalls
from bot.chats.earlier_tool_calls import EarlierToolCallsReader
from bot.chats.models import ModelChoice
from bot.chats.prompt import IMAGE_BUDGET, PromptBuilder
from bot.chats.prompt_fitting import PromptFitter
from bot.chats.prompt_size import room_for_tools
from bot.chats.summarizer import Summarizer
from bot.chats.titles import Titles
from bot.config.chats import LongChatsMode, ReasoningMode
from bot.config.models import NO_TRANSCRIBER, not_allowed
from bot.config.settings import Settings
from bot.errors import ModelNotAllowed, SettingsError
from bot.observability import get_logger
from bot.providers.transcription import Transcriber
from bot.wiring.resources import Resources
from handlers.answers.factory import SlackSinkFactory
from handlers.client.files import SlackFiles
from handlers.client.user_names import UserNames
from handlers.threads.file_notices import FileNotices
from handlers.threads.queued_reaction import QueuedReactions
from storage.repositories import Repositories

log = get_logger(__name__)


@dataclass(frozen=True, eq=False)
class Answering:
    """Each part is built once, when it is first used. Building one may raise SettingsError."""

    settings: Settings
    resources: Resources
    repositories: Repositories

    # -- models ------------------------------------------------------------------------------------------------

    @cached_property
    def models(self) -> ModelChoice:
        return ModelChoice(
            catalogue=self.resources.providers.catalogue,
            people=self.repositories.people,
            default=self.settings.bobbin_default_model,
            shows_pictures=self.resources.workspaces.shows_pictures,
            web_search=self.settings.bobbin_web_search.value,
            transcribes=self.transcriber is not None,
        )

    @cached_property
    def auxiliary_calls(self) -> AuxiliaryCalls:
        return AuxiliaryCalls(
            self.resources.providers,
            self.repositories.ledger,
            self.resources.metrics,
            self.resources.providers.catalogue.price,
        )

    @cached_property
    def titles(self) -> Titles:
        return Titles(
            chats=self.repositories.chats,
            auxiliary_calls=self.auxiliary_calls,
            publisher=self.resources.publisher,
            model=partial(self.models.configured, self.settings.bobbin_title_model),
            writes=self.models.writes,
            timing=self.resources.timing,
        )

    @cached_property
    def summarizer(self) -> Summarizer:
        return Summarizer(
            self.repositories.summaries,
            self.repositories.claims,
            self.auxiliary_calls,
            self.resources.tasks,
            self.resources.timing,
        )

    @cached_property
    def voice_clips(self) -> VoiceClips:
        return VoiceClips(self.transcriber, self.auxiliary_calls)

    @cached_property
    def transcriber(self) -> Transcriber | None:
        """None if none is configured, or it is not allowed. Raises SettingsError."""
        if (name := self.settings.bobbin_transcribe_model) is None:
            return None
        providers, timeout = self.resources.providers, self.resources.timing.transcription_timeout
        try:
            transcriber = providers.transcriber(name, timeout)
        except ModelNotAllowed:
            raise SettingsError(NO_TRANSCRIBER) from None
        if providers.catalogue.allows(transcriber.model):
            return transcriber
        log.warning("transcribe_model_not_allowed", problem=not_allowed(name))
        return None

    # -- what models are sent ----------------------------------------------------------------------------------

    @cached_property
    def names(self) -> UserNames:
        return UserNames(
            self.repositories.people,
            self.resources.workspaces,
            self.resources.tasks,
            self.resources.timing,
        )

    @cached_property
    def file_notices(self) -> FileNotices:
        return FileNotices(self.models, self.resources.workspaces, self.names, self.resources.tasks)

    @cached_property
    def attachments(self) -> AttachmentLoader:
        return AttachmentLoader(
            chats=self.repositories.chats,
            models=self.models,
            source=SlackFiles(
                self.resources.workspaces, self.settings.slack_api_url, self.resources.timing
            ),
            documents=self.resources.documents,
            notify=self.file_notices.notify,
            fitter=self.resources.image_fitter,
            memory=self.resources.memory,
            voice_clips=self.voice_clips,
            single_run=SingleRun(
                self.repositories.claims, self.resources.tasks, self.resources.timing
            ),
            begin_chores=self.after_work.start,
            timing=self.resources.timing,
        )

    @cached_property
    def prompts(self) -> PromptBuilder:
        return PromptBuilder(
            chats=self.repositories.chats,
            system_prompt=self.settings.bobbin_system_prompt,
            names=self.names,
            attachments=self.attachments,
            fitter=PromptFitter(
                models=self.models,
                answers=self.repositories.answers,
                summaries=self.repositories.summaries,
                summarizer=self.summarizer,
                summarise=self.settings.bobbin_long_chats is LongChatsMode.SUMMARISE,
            ),
            calls=EarlierToolCallsReader(self.repositories.tool_call_history, self.models),
            read=self.repositories.pictures.read,
            options=self.models.options_in,
        )

    # -- the job -----------------------------------------------------------------------------------------------

    @cached_property
    def worker_id(self) -> str:
        return new_worker_id()

    @cached_property
    def queued_reactions(self) -> QueuedReactions:
        return QueuedReactions(self.repositories.answers, self.resources.tasks)

    @cached_property
    def after_work(self) -> AfterWork:
        return AfterWork(
            chores=self.repositories.chores,
            chats=self.repositories.chats,
            answers=self.repositories.answers,
            tasks=self.resources.tasks,
            timing=self.resources.timing,
            worker_id=self.worker_id,
        )

    @cached_property
    def tool_loop(self) -> ToolLoop:
        return ToolLoop(
            tools=self.resources.tools,
            calls=self.repositories.tool_calls,
            publisher=self.resources.publisher,
            worker_id=self.worker_id,
            steps=self.settings.bobbin_tool_steps,
            seconds=self.settings.bobbin_tool_timeout,
            rules=self.repositories.channel_settings.tools_for,
            pictures=ToolPictures(
                self.resources.image_fitter.fit,
                lambda chat: self.models.can_see(chat.model),
                IMAGE_BUDGET,
            ),
            room=lambda chat: room_for_tools(self.models.window(chat.model)),
        )

    @cached_property
    def generator(self) -> AnswerGenerator:
        mode = self.settings.bobbin_reasoning
        return AnswerGenerator(
            models=self.resources.providers,
            read_prompt=self.prompts.read,
            publisher=self.resources.publisher,
            metrics=self.resources.metrics,
            ledger=self.repositories.ledger,
            fit_picture=self.resources.image_fitter.fit,
            tool_loop=self.tool_loop,
            reasoning_display=ReasoningDisplay(
                as_steps=mode is not ReasoningMode.OFF, with_text=mode is ReasoningMode.SHOWN
            ),
            price_of=self.resources.providers.catalogue.price,
        )

    @cached_property
    def sinks(self) -> SlackSinkFactory:
        return SlackSinkFactory(
            workspaces=self.resources.workspaces,
            models=self.models,
            chats=self.repositories.chats,
            answers=self.repositories.answers,
            names=self.names,
            mode=self.settings.bobbin_stream.value,
            max_messages=self.settings.bobbin_max_messages,
        )

    @cached_property
    def engine(self) -> Engine:
        return Engine(
            chats=self.repositories.chats,
            answers=self.repositories.answers,
            generator=self.generator,
            sinks=self.sinks,
            publisher=self.resources.publisher,
            after_work=self.after_work,
            on_end=self.models.on_answer_ended,
            metrics=self.resources.metrics,
            worker_id=self.worker_id,
            memory=self.resources.memory,
            tool_loop=self.tool_loop,
            timing=self.resources.timing,
        )

    @cached_property
    def recovery(self) -> Recovery:
        return Recovery(
            engine=self.engine,
            after_work=self.after_work,
            answers=self.repositories.answers,
            coordination=self.resources.coordination,
            metrics=self.resources.metrics,
            single_host=self.resources.database.dialect == "sqlite",
            timing=self.resources.timing,
        )

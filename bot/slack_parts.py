"""The parts of the bot that write in Slack, built from the resources, the repositories and the use cases."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from bot.chats.attachments.loader import AttachmentLoader
from bot.chats.attachments.paid_once import PaidOnce
from bot.chats.attachments.voice_clips import VoiceClips
from bot.chats.earlier_calls import EarlierCallsReader
from bot.chats.long_chats import LongChats
from bot.chats.models import ModelChoice
from bot.chats.prompt import PromptBuilder
from bot.chats.side_calls import SideCalls
from bot.chats.summarizer import Summarizer
from bot.chats.titles import Titles
from bot.config.chats import LongChatsMode
from bot.config.models import NO_TRANSCRIBER
from bot.config.settings import Settings
from bot.errors import ModelNotAllowed, SettingsError
from bot.providers.transcription import Transcriber
from bot.resources import Resources
from bot.use_cases import Repositories, UseCases
from handlers.answers.after_work import SlackAfterWork
from handlers.client.files import SlackFiles
from handlers.client.user_names import UserNames
from handlers.listeners.context import ListenerContext
from handlers.live_views.chat_lists import ChatLists
from handlers.live_views.home_tabs import HomeTabs
from handlers.threads.answer_pictures import AnswerPictures
from handlers.threads.api_echo import ApiEcho
from handlers.threads.approvals import Approvals
from handlers.threads.chat_exports import ChatExports
from handlers.threads.chat_header import ChatHeaders
from handlers.threads.dialog_chats import DialogChats
from handlers.threads.file_notices import FileNotices
from handlers.threads.model_menu import ModelMenus
from handlers.threads.queued_reaction import QueuedReactions
from handlers.threads.spoken_words import SpokenWords
from handlers.threads.successors import SuccessorThreads
from handlers.threads.thread_context import ThreadContextReader
from handlers.threads.thread_messages import ThreadMessages


@dataclass(frozen=True)
class AnswerParts:
    """What the engine needs to write answers in Slack; listeners use some of it too."""

    models: ModelChoice
    titles: Titles
    names: UserNames
    queued_reactions: QueuedReactions
    file_notices: FileNotices
    summarizer: Summarizer
    voice_clips: VoiceClips


@dataclass(frozen=True)
class ThreadParts:
    """What the bot writes in Slack threads besides answers."""

    menus: ModelMenus
    headers: ChatHeaders
    dialog_chats: DialogChats
    successors: SuccessorThreads


def answer_parts(
    settings: Settings, resources: Resources, repositories: Repositories
) -> AnswerParts:
    models = ModelChoice(
        catalogue=resources.providers.catalogue,
        people=repositories.people,
        default=settings.bobbin_default_model,
        shows_pictures=resources.workspaces.shows_pictures,
        web_search=settings.bobbin_web_search.value,
        hears=settings.bobbin_transcribe_model is not None,
    )
    side_calls = SideCalls(resources.providers, repositories.ledger, resources.metrics)
    titles = Titles(
        chats=repositories.chats,
        side_calls=side_calls,
        publisher=resources.publisher,
        model=partial(models.configured, settings.bobbin_title_model),
        writes=models.writes,
        timing=resources.timing,
    )
    names = UserNames(repositories.people, resources.workspaces, resources.tasks, resources.timing)
    return AnswerParts(
        models=models,
        titles=titles,
        names=names,
        queued_reactions=QueuedReactions(repositories.answers, resources.tasks),
        file_notices=FileNotices(models, resources.workspaces, names, resources.tasks),
        summarizer=Summarizer(
            repositories.summaries,
            repositories.claims,
            side_calls,
            resources.tasks,
            resources.timing,
        ),
        voice_clips=VoiceClips(_transcriber(settings, resources), side_calls),
    )


def _transcriber(settings: Settings, resources: Resources) -> Transcriber | None:
    """Raises SettingsError."""
    if (name := settings.bobbin_transcribe_model) is None:
        return None
    try:
        return resources.providers.transcriber(name, resources.timing.transcription_timeout)
    except ModelNotAllowed:
        raise SettingsError(NO_TRANSCRIBER) from None


def prompts(
    settings: Settings,
    resources: Resources,
    repositories: Repositories,
    parts: AnswerParts,
    begin_chores: Callable[[str], object],
) -> PromptBuilder:
    attachments = AttachmentLoader(
        chats=repositories.chats,
        models=parts.models,
        source=SlackFiles(resources.workspaces, settings.slack_api_url, resources.timing),
        documents=resources.documents,
        notify=parts.file_notices.notify,
        fitter=resources.image_fitter,
        memory=resources.memory,
        voice_clips=parts.voice_clips,
        paid_once=PaidOnce(repositories.claims, resources.tasks, resources.timing),
        begin_chores=begin_chores,
        timing=resources.timing,
    )
    return PromptBuilder(
        chats=repositories.chats,
        system_prompt=settings.bobbin_system_prompt,
        names=parts.names,
        attachments=attachments,
        long_chats=LongChats(
            models=parts.models,
            answers=repositories.answers,
            summarizer=parts.summarizer,
            summarise=settings.bobbin_long_chats is LongChatsMode.SUMMARISE,
        ),
        calls=EarlierCallsReader(repositories.call_history, parts.models),
        read=repositories.pictures.read,
        options=parts.models.options_in,
    )


def slack_after_work(
    resources: Resources, repositories: Repositories, parts: AnswerParts, threads: ThreadParts
) -> SlackAfterWork:
    return SlackAfterWork(
        workspaces=resources.workspaces,
        answers=repositories.answers,
        chats=repositories.chats,
        chores=repositories.chores,
        api_echo=ApiEcho(repositories.chats, parts.names),
        queued_reactions=parts.queued_reactions,
        headers=threads.headers,
        spoken=SpokenWords(repositories.chats, parts.names),
        pictures=AnswerPictures(
            repositories.pictures, resources.memory, parts.names, parts.models.label
        ),
        approvals=Approvals(repositories.tool_calls, parts.names),
        names=parts.names,
    )


def thread_parts(
    resources: Resources, repositories: Repositories, parts: AnswerParts, use_cases: UseCases
) -> ThreadParts:
    messages = ThreadMessages(resources.workspaces, use_cases.lifecycle)
    contexts = ThreadContextReader(
        use_cases.lifecycle, parts.names, parts.models.hears, resources.timing
    )
    headers = _headers(resources, repositories, parts, use_cases, messages)
    menus = ModelMenus(
        service=use_cases.service,
        requests=use_cases.requests,
        lifecycle=use_cases.lifecycle,
        chat_requests=repositories.requests,
        models=parts.models,
        channels=use_cases.channels,
        names=parts.names,
        messages=messages,
        headers=headers,
        contexts=contexts,
        queued_reactions=parts.queued_reactions,
        timing=resources.timing,
    )
    return ThreadParts(
        menus=menus,
        headers=headers,
        dialog_chats=_dialog_chats(resources, repositories, parts, use_cases, menus, contexts),
        successors=_successor_threads(resources, repositories, parts, use_cases, headers),
    )


def _headers(
    resources: Resources,
    repositories: Repositories,
    parts: AnswerParts,
    use_cases: UseCases,
    messages: ThreadMessages,
) -> ChatHeaders:
    return ChatHeaders(
        service=use_cases.service,
        requests=repositories.requests,
        chats=repositories.chats,
        successors=use_cases.successors,
        stop_buttons=repositories.stop_buttons,
        models=parts.models,
        workspaces=resources.workspaces,
        messages=messages,
        names=parts.names,
        timing=resources.timing,
    )


def _dialog_chats(
    resources: Resources,
    repositories: Repositories,
    parts: AnswerParts,
    use_cases: UseCases,
    menus: ModelMenus,
    contexts: ThreadContextReader,
) -> DialogChats:
    return DialogChats(
        requests=use_cases.requests,
        lifecycle=use_cases.lifecycle,
        chat_requests=repositories.requests,
        chats=repositories.chats,
        models=parts.models,
        channels=use_cases.channels,
        workspaces=resources.workspaces,
        menus=menus,
        contexts=contexts,
        names=parts.names,
        rules=resources.gate.rules,
        tasks=resources.tasks,
        timing=resources.timing,
    )


def _successor_threads(
    resources: Resources,
    repositories: Repositories,
    parts: AnswerParts,
    use_cases: UseCases,
    headers: ChatHeaders,
) -> SuccessorThreads:
    return SuccessorThreads(
        service=use_cases.successors,
        headers=headers,
        chats=repositories.chats,
        workspaces=resources.workspaces,
        claims=repositories.claims,
        names=parts.names,
        tasks=resources.tasks,
        timing=resources.timing,
    )


async def listener_context(
    stack: AsyncExitStack,
    resources: Resources,
    repositories: Repositories,
    parts: AnswerParts,
    use_cases: UseCases,
    threads: ThreadParts,
) -> ListenerContext:
    home_tabs, chat_lists = await _live_views(stack, resources, repositories, parts, use_cases)
    return ListenerContext(
        gate=resources.gate,
        service=use_cases.service,
        requests=use_cases.requests,
        api_tokens=use_cases.api_tokens,
        usage=use_cases.usage,
        approvals=use_cases.approvals,
        models=parts.models,
        channels=use_cases.channels,
        chats=repositories.chats,
        claims=repositories.claims,
        workspaces=resources.workspaces,
        people=resources.people,
        publisher=resources.publisher,
        names=parts.names,
        menus=threads.menus,
        headers=threads.headers,
        dialog_chats=threads.dialog_chats,
        continue_service=use_cases.continuations,
        branch_service=use_cases.branches,
        successors=threads.successors,
        exports=ChatExports(use_cases.exporter, resources.memory),
        queued_reactions=parts.queued_reactions,
        file_notices=parts.file_notices,
        home_tabs=home_tabs,
        chat_lists=chat_lists,
        membership=use_cases.membership,
        tasks=resources.tasks,
        timing=resources.timing,
    )


async def _live_views(
    stack: AsyncExitStack,
    resources: Resources,
    repositories: Repositories,
    parts: AnswerParts,
    use_cases: UseCases,
) -> tuple[HomeTabs, ChatLists]:
    home_tabs = HomeTabs(
        chats=repositories.chats,
        people=repositories.people,
        models=parts.models,
        usage=use_cases.usage,
        workspaces=resources.workspaces,
        feed=use_cases.feed,
        membership=use_cases.membership,
        names=parts.names,
    )
    chat_lists = ChatLists(
        chats=repositories.chats,
        models=parts.models,
        workspaces=resources.workspaces,
        feed=use_cases.feed,
        membership=use_cases.membership,
        names=parts.names,
        coordination=resources.coordination,
        timing=resources.timing,
    )
    await stack.enter_async_context(home_tabs.running())
    await stack.enter_async_context(chat_lists.running())
    return home_tabs, chat_lists

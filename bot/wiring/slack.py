"""The parts of the bot that write in Slack, except for the answers, and the context of its listeners."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from bot.wiring.answering import Answering
from bot.wiring.resources import Resources
from bot.wiring.use_cases import UseCases
from handlers.answers.after_work import SlackAfterWork
from handlers.listeners.context import ListenerContext
from handlers.live_views.chat_lists import ChatLists
from handlers.live_views.home_tabs import HomeTabs
from handlers.threads.answer_pictures import AnswerPictures
from handlers.threads.api_echo import ApiEcho
from handlers.threads.approvals import Approvals
from handlers.threads.chat_exports import ChatExports
from handlers.threads.chat_header import ChatHeaders
from handlers.threads.dialog_chats import DialogChats
from handlers.threads.model_menu import ModelMenus
from handlers.threads.recovery import ThreadRecovery
from handlers.threads.successors import SuccessorThreads
from handlers.threads.thread_context import ThreadContextReader
from handlers.threads.thread_messages import ThreadMessages
from handlers.threads.voice_transcripts import VoiceTranscripts
from storage.repositories import Repositories


@dataclass(frozen=True, eq=False)
class SlackParts:
    """Each part is built once, when it is first used."""

    resources: Resources
    repositories: Repositories
    answering: Answering
    use_cases: UseCases

    # -- threads -----------------------------------------------------------------------------------------------

    @cached_property
    def messages(self) -> ThreadMessages:
        return ThreadMessages(self.resources.workspaces, self.use_cases.lifecycle)

    @cached_property
    def contexts(self) -> ThreadContextReader:
        return ThreadContextReader(
            self.use_cases.lifecycle,
            self.answering.names,
            self.answering.models.transcribes,
            self.resources.tasks,
            self.resources.timing,
        )

    @cached_property
    def headers(self) -> ChatHeaders:
        return ChatHeaders(
            service=self.use_cases.service,
            requests=self.repositories.requests,
            chats=self.repositories.chats,
            successors=self.use_cases.successors,
            stop_buttons=self.repositories.stop_buttons,
            models=self.answering.models,
            workspaces=self.resources.workspaces,
            messages=self.messages,
            names=self.answering.names,
            timing=self.resources.timing,
        )

    @cached_property
    def menus(self) -> ModelMenus:
        return ModelMenus(
            service=self.use_cases.service,
            requests=self.use_cases.requests,
            lifecycle=self.use_cases.lifecycle,
            chat_requests=self.repositories.requests,
            models=self.answering.models,
            channels=self.use_cases.channels,
            names=self.answering.names,
            messages=self.messages,
            headers=self.headers,
            contexts=self.contexts,
            queued_reactions=self.answering.queued_reactions,
            file_notices=self.answering.file_notices,
            tasks=self.resources.tasks,
            timing=self.resources.timing,
        )

    @cached_property
    def dialog_chats(self) -> DialogChats:
        return DialogChats(
            requests=self.use_cases.requests,
            lifecycle=self.use_cases.lifecycle,
            chat_requests=self.repositories.requests,
            chats=self.repositories.chats,
            models=self.answering.models,
            channels=self.use_cases.channels,
            workspaces=self.resources.workspaces,
            menus=self.menus,
            contexts=self.contexts,
            names=self.answering.names,
            rules=self.resources.access_control.rules,
            tasks=self.resources.tasks,
            timing=self.resources.timing,
        )

    @cached_property
    def successors(self) -> SuccessorThreads:
        return SuccessorThreads(
            service=self.use_cases.successors,
            continuations=self.use_cases.continuations,
            successors=self.repositories.successors,
            headers=self.headers,
            chats=self.repositories.chats,
            workspaces=self.resources.workspaces,
            claims=self.repositories.claims,
            names=self.answering.names,
            tasks=self.resources.tasks,
            timing=self.resources.timing,
        )

    @cached_property
    def recovery(self) -> ThreadRecovery:
        return ThreadRecovery(
            menus=self.menus,
            headers=self.headers,
            dialog_chats=self.dialog_chats,
            successors=self.successors,
            timing=self.resources.timing,
        )

    @cached_property
    def after_work(self) -> SlackAfterWork:
        return SlackAfterWork(
            workspaces=self.resources.workspaces,
            answers=self.repositories.answers,
            chats=self.repositories.chats,
            chores=self.repositories.chores,
            api_echo=ApiEcho(self.repositories.chats, self.answering.names),
            queued_reactions=self.answering.queued_reactions,
            headers=self.headers,
            transcripts=VoiceTranscripts(self.repositories.chats, self.answering.names),
            pictures=AnswerPictures(
                self.repositories.pictures,
                self.resources.memory,
                self.answering.names,
                self.answering.models.label,
            ),
            approvals=Approvals(
                self.repositories.tool_calls, self.repositories.chores, self.answering.names
            ),
            names=self.answering.names,
        )

    # -- live views --------------------------------------------------------------------------------------------

    @cached_property
    def home_tabs(self) -> HomeTabs:
        return HomeTabs(
            chats=self.repositories.chats,
            people=self.repositories.people,
            models=self.answering.models,
            usage=self.use_cases.usage,
            workspaces=self.resources.workspaces,
            feed=self.use_cases.feed,
            membership=self.use_cases.membership,
            names=self.answering.names,
        )

    @cached_property
    def chat_lists(self) -> ChatLists:
        return ChatLists(
            chats=self.repositories.chats,
            models=self.answering.models,
            workspaces=self.resources.workspaces,
            feed=self.use_cases.feed,
            membership=self.use_cases.membership,
            names=self.answering.names,
            coordination=self.resources.coordination,
            timing=self.resources.timing,
        )

    # -- listeners ---------------------------------------------------------------------------------------------

    @cached_property
    def listener_context(self) -> ListenerContext:
        return ListenerContext(
            access_control=self.resources.access_control,
            service=self.use_cases.service,
            requests=self.use_cases.requests,
            api_tokens=self.resources.api_tokens,
            usage=self.use_cases.usage,
            approvals=self.use_cases.approvals,
            models=self.answering.models,
            channels=self.use_cases.channels,
            chats=self.repositories.chats,
            claims=self.repositories.claims,
            workspaces=self.resources.workspaces,
            people=self.resources.people,
            publisher=self.resources.publisher,
            names=self.answering.names,
            menus=self.menus,
            headers=self.headers,
            dialog_chats=self.dialog_chats,
            continue_service=self.use_cases.continuations,
            branch_service=self.use_cases.branches,
            successors=self.successors,
            exports=ChatExports(self.use_cases.exporter, self.resources.memory),
            queued_reactions=self.answering.queued_reactions,
            file_notices=self.answering.file_notices,
            home_tabs=self.home_tabs,
            chat_lists=self.chat_lists,
            membership=self.use_cases.membership,
            tasks=self.resources.tasks,
            timing=self.resources.timing,
        )

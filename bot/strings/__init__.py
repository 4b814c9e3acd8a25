"""Every text that a person reads, in one place: one voice, short, kind, without jargon.

Written in English, one module per subject, translated in the catalogues of `bot.languages`, and read as `strings.NAME`
in the current language: see `bot.languages.texts`. A sentence made of several texts is in `bot.sentences`.
"""

from __future__ import annotations

from bot.languages.texts import translatable
from bot.strings.access import *
from bot.strings.answers import *
from bot.strings.api_tokens import *
from bot.strings.approvals import *
from bot.strings.channel_settings import *
from bot.strings.chat_list import *
from bot.strings.dialogs import *
from bot.strings.exports import *
from bot.strings.failures import *
from bot.strings.files import *
from bot.strings.header import *
from bot.strings.home_tab import *
from bot.strings.menu import *
from bot.strings.presses import *
from bot.strings.successors import *

translatable(__name__)

"""Runs the work of a command: reads the settings, and turns problems into one line and an exit code."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import typer

from bot.errors import BobbinError, SettingsError
from bot.runtime.allocator import return_large_memory

if TYPE_CHECKING:
    from bot.config.settings import Settings

T = TypeVar("T")

SETTINGS_EXIT_CODE = 2
"""The exit code when a setting is missing or invalid."""

_ADDRESS_ERRNOS = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES)


def read_settings(log_level: str | None = None) -> Settings:
    """The settings of the bot. `log_level` overrides the configured one."""
    from bot.config.settings import Settings

    return load_settings(Settings, log_level)


def load_settings(kind: type[Settings], log_level: str | None = None) -> Settings:
    """The settings of this class, with logging configured accordingly."""
    from bot.observability import configure_logging

    settings = exit_on_error(kind.load)
    configure_logging(log_level or settings.log_level, settings.log_format, settings.secrets())
    return settings


def run_to_completion(work: Coroutine[Any, Any, T]) -> T:
    """Runs a command. A problem with the settings, the database or Slack becomes one line and an exit code."""
    return_large_memory()

    def run_all() -> T:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(work)

    try:
        return exit_on_error(run_all)
    except KeyboardInterrupt:  # before the bot installs its signal handlers
        raise typer.Exit(130) from None


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop, where it is available."""
    try:
        import uvloop
    except ImportError:  # Windows
        return None
    return uvloop.new_event_loop


def exit_on_error(call: Callable[[], T]) -> T:
    """Returns the call's result; errors that people can fix end the program with one line."""
    try:
        return call()
    except SettingsError as error:
        exit_with(str(error))
    except BobbinError as error:
        exit_with(f"{error}; 'bobbin doctor' says more", code=1)
    except OSError as error:
        if error.errno not in _ADDRESS_ERRNOS:
            raise
        exit_with(
            f"cannot listen there ({error.strerror}): choose another port, or 0 for any free one"
        )


def exit_with(line: str, code: int = SETTINGS_EXIT_CODE) -> NoReturn:
    """Ends the program with this line on standard error."""
    typer.echo(f"bobbin: {' '.join(line.split())}", err=True)
    raise typer.Exit(code)

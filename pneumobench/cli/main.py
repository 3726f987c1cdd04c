"""Command line. It parses, calls, prints, and turns errors into one clear message and an exit code."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from pneumobench.cli import (
    audits,
    data,
    explain,
    help_pages,
    networks,
    papers,
    readers,
    receive,
    run,
    search,
    serving,
    suites,
    tables,
    tracking,
    use,
)
from pneumobench.cli.exit_codes import DONE, INTERRUPTED, TERMINATED, WRONG_SETTINGS
from pneumobench.cli.options import arguments_of, command_parser, parsed
from pneumobench.cli.shown import ANSWERS, TYPED
from pneumobench.errors import PneumobenchError
from pneumobench.files import NO_ROOM, cannot_write
from pneumobench.runs.ending import WORDS, end_when_asked, tell_dead_loaders_once
from pneumobench.texts import safe_text

# a command is a function; its parser is made from its parameters and its docstring
COMMANDS = (
    *run.COMMANDS,
    *tables.COMMANDS,
    *search.COMMANDS,
    *suites.COMMANDS,
    *data.COMMANDS,
    *networks.COMMANDS,
    *explain.COMMANDS,
    *use.COMMANDS,
    *serving.COMMANDS,
    *receive.COMMANDS,
    *tracking.COMMANDS,
    *audits.COMMANDS,
    *readers.COMMANDS,
    *papers.COMMANDS,
    *help_pages.COMMANDS,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors of the user's end as one message on stderr."""
    try:
        parser = command_parser(COMMANDS)
        words = sys.argv[1:] if arguments is None else arguments
        options, overrides = parsed(parser, words)
        TYPED.set(tuple(words))
        if options.command is None:
            parser.print_help()
            return DONE
        answers = getattr(options, "json", False)
        with (
            _answers_alone() if answers else contextlib.nullcontext(),
            _silenced(answers=answers) if options.quiet else contextlib.nullcontext(),
        ):
            code: int = options.call(**arguments_of(options, overrides))
        return code
    except PneumobenchError as error:
        print(f"pneumobench: {safe_text(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(WORDS[signal.SIGINT], file=sys.stderr)
        return INTERRUPTED
    except SystemExit as error:
        if error.code == TERMINATED:
            print(WORDS[signal.SIGTERM], file=sys.stderr)
        raise
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:  # a full disk, a file without permission
        full = error.errno in NO_ROOM
        what = str(cannot_write(Path(error.filename or "a file"), error)) if full else f"{_place(error)}."
        print(f"pneumobench: {safe_text(what)}", file=sys.stderr)
        return WRONG_SETTINGS


def _place(error: OSError) -> str:
    return f"{error.filename or 'writing'}: {error.strerror or error}"


@contextlib.contextmanager
def _answers_alone() -> Iterator[None]:
    """Leave stdout to the answer for a program: what plugins, libraries and compiled code print goes to stderr."""
    with contextlib.ExitStack() as undo:
        answers = sys.stdout
        if _is_process_output(answers):
            answers.flush()
            answers = undo.enter_context(os.fdopen(os.dup(1), "w", encoding="utf-8"))
            undo.callback(os.dup2, answers.fileno(), 1)
            os.dup2(2, 1)
        undo.callback(ANSWERS.reset, ANSWERS.set(answers))
        undo.enter_context(contextlib.redirect_stdout(sys.stderr))
        yield


def _is_process_output(stream: TextIO) -> bool:
    """Tell whether a stream is the standard output of this process, not that of a notebook or a test."""
    try:
        return stream.fileno() == 1
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def _silenced(*, answers: bool) -> Iterator[None]:
    """Print nothing; an answer for a program stays, and what is told beside it goes."""
    with (
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere) if answers else contextlib.nullcontext(),
    ):
        yield


def quiet_libraries() -> None:
    """Keep what libraries log and warn of from the terminal: it is meant for who writes programs with them.

    `python -W default -m pneumobench ...` shows the warnings.
    """
    logging.getLogger().addHandler(logging.NullHandler())  # else warnings of every library go to stderr
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def entry() -> None:
    """Console script."""
    quiet_libraries()
    end_when_asked()
    tell_dead_loaders_once()
    raise SystemExit(main())

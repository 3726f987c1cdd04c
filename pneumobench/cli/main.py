"""Command line. It parses, calls, prints, and turns errors into one clear message and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from pneumobench.cli import data, explain, networks, papers, run, search
from pneumobench.cli.exit_codes import DONE, INTERRUPTED, WRONG_SETTINGS
from pneumobench.cli.options import arguments_of, command_parser, split_overrides
from pneumobench.errors import PneumobenchError

# a command is a function; its parser is made from its parameters and its docstring
COMMANDS = (
    *run.COMMANDS,
    *search.COMMANDS,
    *data.COMMANDS,
    *networks.COMMANDS,
    *explain.COMMANDS,
    *papers.COMMANDS,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors of the user's end as one message on stderr."""
    overrides, plain = split_overrides(sys.argv[1:] if arguments is None else arguments)
    try:
        options, rest = command_parser(COMMANDS).parse_known_args(plain)
        code: int = options.call(**arguments_of(options, rest + overrides))
        return code
    except PneumobenchError as error:
        print(f"pneumobench: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("pneumobench: interrupted; finished jobs are kept, start again to go on.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:  # a full disk, a file without permission
        print(f"pneumobench: {error.filename or 'writing'}: {error.strerror or error}.", file=sys.stderr)
        return WRONG_SETTINGS


def entry() -> None:
    """Console script."""
    raise SystemExit(main())

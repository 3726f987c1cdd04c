"""Command line. It parses, calls, prints, and turns errors into one clear message and an exit code."""

from __future__ import annotations

import argparse
import dataclasses
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pneumobench.cli import data as cli_data
from pneumobench.cli import explain as cli_questions
from pneumobench.cli import papers as cli_papers
from pneumobench.cli import search as cli_search
from pneumobench.cli.options import command_parser, folds_asked, split_overrides
from pneumobench.cli.papers import EXIT_CHECK_FAILED
from pneumobench.errors import PneumobenchError, SettingsError

if TYPE_CHECKING:
    from rich.console import Console

    from pneumobench.leaderboard.board import Leaderboard
    from pneumobench.suite.spec import Suite

EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors of the user's end as one message on stderr."""
    parser = command_parser()
    overrides, plain = split_overrides(sys.argv[1:] if arguments is None else arguments)
    options, rest = parser.parse_known_args(plain)
    rest += overrides
    try:
        if rest and options.command not in ("run", "papers", "tune"):
            raise SettingsError(f"{rest[0]!r} is not understood; see `pneumobench {options.command} --help`.")
        commands = {
            "run": _run, "audit": cli_data.audit, "datasets": cli_data.datasets, "download": cli_data.download,
            "suite": _suite, "architectures": _architectures, "check": _check,
            "explain": cli_questions.explain, "gallery": cli_questions.gallery, "evaluate": cli_questions.evaluate,
            "conformance": _conformance, "claims": cli_papers.claims,
            "papers": cli_papers.papers, "tune": cli_search.tune,
            "leaderboard": _leaderboard,
        }  # fmt: skip
        return commands[options.command](options, rest)
    except PneumobenchError as error:
        print(f"pneumobench: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("pneumobench: interrupted; finished jobs are kept, start again to go on.", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a full disk, a file without permission
        print(f"pneumobench: {error.filename or 'writing'}: {error.strerror or error}.", file=sys.stderr)
        return SettingsError.exit_code


def entry() -> None:
    """Console script."""
    raise SystemExit(main())


def _overrides(options: argparse.Namespace, rest: list[str]) -> list[str]:
    overrides = list(rest)
    if options.data is not None:
        overrides += ["--data.root", options.data]
    if options.limit is not None:
        overrides += ["--data.limit_images", str(options.limit)]
    if options.architectures is not None:
        overrides += ["--architectures.names", f"[{options.architectures}]"]
    if options.name is not None:
        overrides += ["--name", options.name]
    if options.wandb is not None:
        overrides += ["--logging.wandb", options.wandb]
    return overrides


def _public_command(options: argparse.Namespace, rest: list[str]) -> str:
    """Return the command that others type for the same run: without the folders of this machine."""
    words = ["pneumobench", "run", Path(options.suite).stem if options.suite.endswith(".yaml") else options.suite]
    for name in ("architectures", "folds", "limit", "name", "protocols"):
        if getattr(options, name) is not None:
            words += [f"--{name}", str(getattr(options, name))]
    for plugin in options.plugin:
        words += ["--plugin", Path(plugin).name]
    settings = list(rest)
    for key in ("--data.root", "--architectures.weights", "--architectures.plugins"):
        settings = [word for word in settings if not word.startswith(f"{key}=")]
        while key in settings:
            del settings[settings.index(key) : settings.index(key) + 2]
    return shlex.join([*words, *settings])


def _run(options: argparse.Namespace, rest: list[str]) -> int:
    from rich.console import Console

    from pneumobench.suite.reader import load_suite
    from pneumobench.suite.registry import load_plugin_file
    from pneumobench.suite.rules import suites_by_protocol
    from pneumobench.suite.shipped import suite_path

    for plugin in options.plugin:  # first, because the suite may name what they register
        load_plugin_file(Path(plugin))
    suite = load_suite(suite_path(options.suite), _overrides(options, rest))
    if options.limit is not None and options.name is None:  # a narrowed data set is another run
        suite = dataclasses.replace(suite, name=f"{suite.name}-limit{options.limit}")
    if options.plugin:
        architectures = suite.architectures
        plugins = (*architectures.plugins, *options.plugin)
        suite = dataclasses.replace(suite, architectures=dataclasses.replace(architectures, plugins=plugins))
    console = Console()
    if options.protocols is not None and options.folds is not None:
        raise SettingsError("--folds leaves protocols incomplete, and only complete ones are compared: leave one out.")
    if options.protocols is None:
        return _run_suite(suite, options, rest, console)[0]
    from pneumobench.leaderboard.protocol_effect import REFERENCE, protocol_effects
    from pneumobench.records.run_folder import RunFolder
    from pneumobench.reporting.protocol_table import protocol_table, write_protocol_table

    boards: dict[str, Leaderboard] = {}
    codes = []
    for one in suites_by_protocol(suite, options.protocols.split(",")):
        code, boards[one.folds.protocol] = _run_suite(one, options, rest, console)
        codes.append(code)
    index, _ = RunFolder(options.output / one.name).index_and_folds()
    effects = protocol_effects(boards, index.table.set_index("image_id")["group"])
    console.print(protocol_table(effects))
    folder, command = options.output / f"{suite.name}-protocols", _public_command(options, rest)
    page = write_protocol_table(folder, effects, boards[REFERENCE], command)
    console.print(f"table: {page}", highlight=False, soft_wrap=True)
    return max(codes)


def _run_suite(suite: Suite, options: argparse.Namespace, rest: list[str], console: Console) -> tuple[int, Leaderboard]:
    folds = folds_asked(options.folds)
    console.print(f"loading PyTorch; suite {suite.name!r}", highlight=False)
    from pneumobench.reporting.terminal import print_leaderboard
    from pneumobench.reporting.wandb_tracking import tracker_for
    from pneumobench.runs.run import run

    outcome = run(
        suite,
        output=options.output,
        console=console,
        tracker=tracker_for(suite, options.output),
        folds=folds,
        command=_public_command(options, rest),
        retry_failed=options.retry_failed,
    )
    print_leaderboard(outcome.leaderboard.board, console)
    console.print(f"page: {outcome.leaderboard.page}", highlight=False, soft_wrap=True)
    failed = [record for record in outcome.records if not record.completed]
    for record in failed:
        console.print(f"{record.architecture} fold {record.fold} {record.status}: {record.reason}", markup=False)
    return (EXIT_CHECK_FAILED if failed else 0), outcome.leaderboard.board


def _suite(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from pneumobench.suite.reader import load_suite
    from pneumobench.suite.shipped import suite_names, suite_path

    print(load_suite(suite_path(options.suite)).to_yaml() if options.suite else "\n".join(suite_names()))
    return 0


def _architectures(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from fnmatch import fnmatch

    import timm

    from pneumobench.architectures.registry import ARCHITECTURES
    from pneumobench.suite.registry import load_plugin_file

    for plugin in options.plugin:
        load_plugin_file(Path(plugin))
    ARCHITECTURES.import_installed()
    plugins = [item for name, item in ARCHITECTURES.loaded().items() if fnmatch(name, options.pattern)]
    names = [name for name in timm.list_models() if fnmatch(name, options.pattern)]
    for item in plugins:
        print(f"{item.name}  (plugin: {item.source})")
    print("\n".join(names))
    print(f"{len(plugins)} plugins, {len(names)} timm models", file=sys.stderr)
    return 0


def _check(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from pneumobench.architectures.contract import check_contract
    from pneumobench.suite.registry import load_plugin_file

    for plugin in options.plugin:
        load_plugin_file(Path(plugin))
    findings = check_contract(options.name, in_channels=options.channels, image_side_px=options.side)
    for finding in findings:
        print(f"{'ok  ' if finding.kept else 'FAIL'}  {finding.rule}: {finding.detail}")
    return 0 if all(finding.kept for finding in findings) else SettingsError.exit_code


def _conformance(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from pneumobench.attributions.conformance import SMALL_MEMBERS, conformance, verdict_lines
    from pneumobench.suite.registry import load_plugin_file

    for plugin in options.plugin:
        load_plugin_file(Path(plugin))
    names = options.architectures.split(",") if options.architectures else list(SMALL_MEMBERS)
    methods = options.methods.split(",") if options.methods else ()
    verdicts = conformance(
        names, methods, report=lambda seen: print(f"{seen.architecture} {seen.method} {seen.state}", file=sys.stderr)
    )
    print("\n".join(verdict_lines(verdicts)))
    return EXIT_CHECK_FAILED if any(verdict.state == "fail" for verdict in verdicts) else 0


def _leaderboard(options: argparse.Namespace, rest: list[str]) -> int:
    del rest
    from rich.console import Console

    from pneumobench.reporting.leaderboard import write_leaderboard
    from pneumobench.reporting.terminal import print_leaderboard

    console = Console()
    paths = write_leaderboard(options.run)
    print_leaderboard(paths.board, console)
    console.print(f"page: {paths.page}", highlight=False, soft_wrap=True)
    return 0

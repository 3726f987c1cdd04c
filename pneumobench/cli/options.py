"""The words of the command line: commands, their options, and overrides of a suite's keys."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from pneumobench.errors import SettingsError

DEFAULT_SUITE = "quickstart"


def command_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="pneumobench",
        description="Compare deep networks for pneumonia detection on chest X-rays of children.",
        epilog="Exit codes: 0 done, 2 wrong settings, 3 unusable data, 4 a job or a check failed, 130 interrupted.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser(
        "run",
        help="run a suite: train, score, explain, rank (without a name: the quickstart on synthetic radiographs)",
        description="Run every job of a suite that has no record yet, then write its leaderboard. Any setting can be "
        "overridden as --group.key VALUE, e.g. --training.epochs 3; `pneumobench suite NAME` shows all keys.",
        allow_abbrev=False,
    )
    run.add_argument("suite", nargs="?", default=DEFAULT_SUITE, help="name of a shipped suite, or a YAML file")
    _data_options(run)
    run.add_argument("--output", type=Path, default=Path("runs"), metavar="FOLDER", help="where runs go (runs)")
    run.add_argument("--name", help="name of the run and its folder, instead of the suite's")
    run.add_argument("--architectures", metavar="A,B", help="only these architectures")
    run.add_argument("--plugin", action="append", default=[], metavar="FILE", help="a Python file that registers more")
    run.add_argument("--folds", metavar="0,1", help="only these folds")
    run.add_argument(
        "--protocols",
        metavar="A,B",
        help="run the suite under each of these splits and compare: patient, image_random, official, holdout",
    )
    run.add_argument("--retry-failed", action="store_true", help="run jobs again that failed or diverged before")
    run.add_argument("--wandb", choices=("off", "offline", "online"), help="track with Weights & Biases")

    tune = commands.add_parser(
        "tune",
        help="search for the best settings of one architecture, on validation parts alone",
        description="Run trials with values from the suite's search.space until search.trials are finished, and write "
        "the winner as a suite. Start the command again to go on, or several times at once to share the work. Any "
        "setting can be overridden, e.g. --search.trials 50.",
        allow_abbrev=False,
    )
    tune.add_argument("suite", help="name of a shipped suite, a YAML file, or the file of a paper")
    tune.add_argument("--data", metavar="FOLDER", help="data folder (default: the variable PNEUMOBENCH_DATA)")
    tune.add_argument("--output", type=Path, default=Path("runs"), metavar="FOLDER", help="where searches go (runs)")
    tune.add_argument("--name", help="name of the search and its folder, instead of the suite's")
    tune.add_argument("--architectures", metavar="A", help="the architecture, if the suite names several")
    tune.add_argument("--plugin", action="append", default=[], metavar="FILE", help="a Python file that registers more")
    tune.add_argument("--storage", metavar="URL", help="database of the trials (sqlite:///RUNS/NAME-search/study.db)")

    audit = commands.add_parser(
        "audit",
        help="check radiographs before anything is trained",
        description="Count images, patients and classes, and find whatever is wrong. The layout is recognised by its "
        "files; `pneumobench datasets NAME` shows it for a published data set.",
        allow_abbrev=False,
    )
    audit.add_argument("data", help="data folder, or a CSV table of images")
    audit.add_argument("--source", metavar="LAYOUT", help="layout of the folder, instead of the one recognised")
    audit.add_argument("--plugin", action="append", default=[], metavar="FILE", help="a plugin file")
    audit.add_argument("--lung-masks", default="", metavar="FOLDER", help="drawn lung masks, relative to the folder")
    audit.add_argument("--output", type=Path, default=Path("audit.json"), metavar="FILE", help="report (audit.json)")

    known = commands.add_parser("datasets", help="list known data sets, or print the card of one", allow_abbrev=False)
    known.add_argument("name", nargs="?", help="name of a card, e.g. kermany")
    fetch = commands.add_parser(
        "download",
        help="fetch a published data set, unpack it safely and compare it with its card",
        description="Uses kagglehub (the extra `data`) and the credentials that it finds, if Kaggle asks for any.",
        allow_abbrev=False,
    )
    fetch.add_argument("name", help="name of a card, e.g. kermany")
    fetch.add_argument("--to", type=Path, metavar="FOLDER", help="new folder of the data set (data/NAME)")

    show = commands.add_parser("suite", help="print a suite with every key and value", allow_abbrev=False)
    show.add_argument("suite", nargs="?", help="name or YAML file; without one: the names of the shipped suites")

    listing = commands.add_parser("architectures", help="list architectures that a suite may name", allow_abbrev=False)
    listing.add_argument("pattern", nargs="?", default="*", help="only names like this, e.g. 'convnext*'")
    listing.add_argument("--plugin", action="append", default=[], metavar="FILE", help="a plugin file")

    check = commands.add_parser("check", help="check that an architecture keeps the contract", allow_abbrev=False)
    check.add_argument("name", help="architecture")
    check.add_argument("--plugin", action="append", default=[], metavar="FILE", help="a plugin file")
    check.add_argument("--side", type=int, default=64, metavar="PX", help="side of the input in pixels (64)")
    check.add_argument("--channels", type=int, default=1, choices=(1, 3), help="input channels (1)")

    explain = commands.add_parser("explain", help="ask the trained networks of a run more", allow_abbrev=False)
    _question_options(explain)
    explain.add_argument("--images", type=int, metavar="N", help="images of each fold (default: as the suite says)")
    explain.add_argument("--image", type=Path, metavar="FILE", help="one image instead, of the run's data or a new one")
    gallery = commands.add_parser(
        "gallery", help="draw mean heat maps and every error of the trained networks of a run", allow_abbrev=False
    )
    _question_options(gallery)
    external = commands.add_parser(
        "evaluate",
        help="score the trained networks of a run on images of another source, without training",
        allow_abbrev=False,
    )
    external.add_argument("run", type=Path, help="folder of a run with its weights, e.g. runs/quickstart")
    external.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="TABLE",
        help="CSV table image,label[,patient], paths relative to it; or a folder of a layout that `audit` recognises",
    )
    external.add_argument("--name", help="what the data are called (default: the name of their folder)")
    _choice_options(external)
    proof = commands.add_parser(
        "conformance",
        help="check that heat maps show planted evidence, by architecture and attribution method",
        description="Train small networks to find a planted patch, then see whether each method shows it. A cell gives "
        "the share of maps that point at the patch, and the heat in it relative to chance.",
        allow_abbrev=False,
    )
    proof.add_argument("--architectures", metavar="A,B", help="families or architectures (default: all families)")
    proof.add_argument("--methods", metavar="A,B", help="only these attribution methods")
    proof.add_argument("--plugin", action="append", default=[], metavar="FILE", help="a plugin file")

    claims = commands.add_parser(
        "claims",
        help="check whether the reported numbers of a paper can be true",
        description="For each entry of the list `reported`: the confusion matrices that fit the printed metrics, a "
        "rounding slip, or the contradiction.",
        allow_abbrev=False,
    )
    claims.add_argument("file", type=Path, help="YAML file, e.g. benchmark/papers/a-densenet-efficientnet.yaml")

    papers = commands.add_parser(
        "papers",
        help="run the recipes of published systems and set what they report against what comes out",
        description="Any setting of the recipes can be overridden as --group.key VALUE; what is changed is said in the "
        "table.",
        allow_abbrev=False,
    )
    papers.add_argument("files", type=Path, nargs="+", metavar="FILE", help="files such as those of benchmark/papers")
    papers.add_argument("--data", metavar="FOLDER", help="data folder (default: the variable PNEUMOBENCH_DATA)")
    papers.add_argument("--output", type=Path, default=Path("runs"), metavar="FOLDER", help="where runs go (runs)")

    board = commands.add_parser("leaderboard", help="recompute a leaderboard from records", allow_abbrev=False)
    board.add_argument("run", type=Path, help="folder of a run, e.g. runs/quickstart")
    return parser


def split_overrides(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take `--group.key VALUE` and `--seed VALUE` out, so that a value is never taken for the name of the suite."""
    overrides, plain, rest = [], [], list(arguments)
    while rest:
        word = rest.pop(0)
        option = word.partition("=")[0]
        if option.startswith("--") and ("." in option or option == "--seed"):
            overrides += [word] if "=" in word or not rest else [word, rest.pop(0)]
        else:
            plain.append(word)
    return overrides, plain


def _data_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", metavar="FOLDER", help="data folder (default: the variable PNEUMOBENCH_DATA)")
    parser.add_argument("--limit", type=int, metavar="N", help="use only about N training and N official test images")


def _question_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="folder of a run with its weights, e.g. runs/quickstart")
    parser.add_argument("--methods", metavar="A,B", help="attribution methods (default: those of the suite)")
    parser.add_argument("--data", metavar="FOLDER", help="data folder (default: the variable PNEUMOBENCH_DATA)")
    _choice_options(parser)


def _choice_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--architectures", metavar="A,B", help="only these")
    parser.add_argument("--folds", metavar="0,1", help="only these")
    parser.add_argument("--plugin", action="append", default=[], metavar="FILE", help="a plugin file")


def folds_asked(text: str | None) -> list[int] | None:
    """Return the folds of `0,1`; None = all.

    Raises:
        SettingsError: something else than numbers with commas.
    """
    try:
        return [int(fold) for fold in text.split(",")] if text else None
    except ValueError as error:
        raise SettingsError(f"--folds {text}: expected numbers with commas, e.g. 0,1.") from error

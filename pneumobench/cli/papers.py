"""Commands on published systems: check their numbers, and run their recipes."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pneumobench.errors import SettingsError

if TYPE_CHECKING:
    from pneumobench.suite.spec import Suite

EXIT_CHECK_FAILED = 4
PAPER_KEYS = ("paper", "reported", "assumed", "suite")


def claims(options: argparse.Namespace, rest: list[str]) -> int:
    """Check whether reported numbers can be true."""
    del rest
    from rich.console import Console

    from pneumobench.claims.checker import check_claim
    from pneumobench.claims.reader import read_claims

    console, contradicted = Console(), False
    for claim in read_claims(options.file):
        verdict = check_claim(claim)
        style = {"consistent": "green", "slip": "yellow", "contradiction": "red"}[verdict.kind]
        console.print(f"{claim.system}: {verdict.kind}", style=style, markup=False, highlight=False)
        for words in verdict.words:
            console.print(f"  {words}", markup=False, highlight=False)
        contradicted |= verdict.kind == "contradiction"
    return EXIT_CHECK_FAILED if contradicted else 0


def papers(options: argparse.Namespace, rest: list[str]) -> int:
    """Run the recipes of papers and set what they report against what comes out."""
    from rich.console import Console

    from pneumobench.claims.reader import read_claims
    from pneumobench.leaderboard.reproduction import reproductions
    from pneumobench.records.run_folder import RunFolder
    from pneumobench.reporting.paper_table import PaperResult, paper_table, write_paper_table
    from pneumobench.reporting.tracking import NoTracking
    from pneumobench.runs.run import run
    from pneumobench.suite.reader import load_suite

    overrides = list(rest)
    if options.data is not None:
        overrides += ["--data.root", options.data]
    prepared = []
    for path in options.files:  # all that can be wrong is found before the first training
        metadata, original = read_paper(path), load_suite(path, section="suite")
        suite = load_suite(path, overrides, section="suite")
        if _differences(original, suite):  # what is not the recipe is another run
            suite = dataclasses.replace(suite, name=f"{suite.name}-changed")
        prepared.append((metadata, original, suite, read_claims(path)))
    console, results, failed = Console(), [], False
    command = " ".join(["pneumobench papers", *(path.name for path in options.files), *_public(rest)])
    for metadata, original, suite, reported in prepared:
        outcome = run(suite, output=options.output, console=console, tracker=NoTracking(), command=command)
        failed |= any(not record.completed for record in outcome.records)
        index, _ = RunFolder(options.output / suite.name).index_and_folds()
        group = index.table.set_index("image_id")["group"]
        results.append(
            PaperResult(
                title=str(metadata["paper"]),
                run=suite.name,
                reproductions=reproductions(reported, outcome.leaderboard.board, group),
                assumed={str(key): str(why) for key, why in (metadata.get("assumed") or {}).items()},
                differences=tuple(_differences(original, suite)),
            )
        )
        console.print(paper_table(results[-1]))
    page = options.output / "papers.md"
    write_paper_table(page, results, command)
    console.print(f"table: {page}", highlight=False, soft_wrap=True)
    return EXIT_CHECK_FAILED if failed else 0


def read_paper(path: Path) -> dict[str, Any]:
    """Return the facts of a paper's file: paper, reported, assumed and suite.

    Raises:
        SettingsError: the file is missing or has other keys.
    """
    try:
        metadata = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}).") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: is no YAML: {' '.join(str(error).split())}") from error
    expected = f"expected the keys {', '.join(PAPER_KEYS)}"
    if not isinstance(metadata, dict) or not {"paper", "reported", "suite"} <= set(metadata):
        raise SettingsError(f"{path}: is no file of a paper; {expected}.")
    if unknown := set(metadata) - set(PAPER_KEYS):
        raise SettingsError(f"{path}: unknown key {min(unknown)!r}; {expected}.")
    return metadata


def _differences(original: Suite, suite: Suite) -> list[str]:
    """Say in words which settings of the recipe were changed for this run."""
    from pneumobench.suite.spec import SearchSpec

    def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
        leaves: dict[str, Any] = {}
        for key, value in values.items():
            leaves |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
        return leaves

    # a search is not part of what is run
    before, after = (flat(dataclasses.replace(one, search=SearchSpec()).plain()) for one in (original, suite))
    changed = [
        f"`{key}` is {after[key]} instead of {before[key]}"
        for key in after
        if after[key] != before[key] and key not in ("name", "data.root")
    ]
    if suite.architectures.weights == "none":
        changed.insert(0, "random weights, where the paper fine-tunes networks that were pretrained on ImageNet")
    return changed


def _public(rest: list[str]) -> list[str]:
    """Return the overrides that others type for the same run, without folders of this machine."""
    words = list(rest)
    while "--data.root" in words:
        place = words.index("--data.root")
        del words[place : place + 2]
    return words

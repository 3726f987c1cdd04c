"""Commands on published systems: check their numbers, and run their recipes."""

from __future__ import annotations

from pathlib import Path

from pneumobench.cli.exit_codes import CHECK_FAILED, DONE
from pneumobench.cli.shown import console_for, next_step, print_json, tell


def claims(file: Path, *, json: bool = False) -> int:
    """Check whether the reported numbers of a paper can be true.

    For each entry of the list `reported`: the confusion matrices that fit the printed metrics, a rounding slip, or the
    contradiction.

    Args:
        file: YAML file, e.g. benchmark/papers/a-densenet-efficientnet.yaml.
        json: print the verdicts as JSON, for a program.
    """
    from pneumobench.claims.checker import check_claim
    from pneumobench.claims.reader import read_claims
    from pneumobench.suite.reader import section_of

    console, contradicted, verdicts = console_for(json=json), False, []
    for claim in read_claims(file):
        verdict = check_claim(claim)
        style = {"consistent": "green", "slip": "yellow", "contradiction": "red"}[verdict.kind]
        console.print(f"{claim.system}: {verdict.kind}", style=style, markup=False, highlight=False)
        for words in verdict.words:
            console.print(f"  {words}", markup=False, highlight=False)
        contradicted |= verdict.kind == "contradiction"
        verdicts.append({"system": claim.system, "verdict": verdict.kind, "words": list(verdict.words)})
    if json:
        print_json(verdicts)
    if section_of(file) is not None:  # there is a recipe
        next_step(console, "papers", file, "--data", "DATA")
    return CHECK_FAILED if contradicted else DONE


def papers(files: list[Path], *, overrides: list[str], data: str | None = None, output: Path = Path("runs")) -> int:
    """Run the recipes of published systems and set what they report against what comes out.

    Any setting of the recipes can be overridden as --group.key VALUE; what is changed is said in the table.

    Args:
        files: files such as those of benchmark/papers.
        overrides: settings of all recipes.
        data: data folder (default: the variable PNEUMOBENCH_DATA).
        output: where runs go.
    """
    from pneumobench.runs.papers import run_papers

    console = console_for()
    settings = [*overrides, *(["--data.root", data] if data is not None else [])]
    runs, page = run_papers(files, settings, output=output, console=console)
    tell(console, "table", page)
    next_step(console, "gallery", runs[-1].path)
    return CHECK_FAILED if any(run.failed for run in runs) else DONE


COMMANDS = (claims, papers)

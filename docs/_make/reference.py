"""Reference pages made from the code: commands, keys of a suite, metrics, Python API."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence

import pneumobench
from pneumobench import metrics
from pneumobench.cli.main import COMMANDS
from pneumobench.cli.options import command_parser
from pneumobench.metrics.table import METRICS
from pneumobench.reporting.columns import COST, LUNG_ATTENTION
from pneumobench.reporting.masked_regions import ABLATION_SCORES, NORMALS_CALLED
from pneumobench.reporting.uncertainty_columns import SPLIT_DECISIONS, UNCERTAINTY
from pneumobench.suite.described import described_keys

FURTHER_COLUMNS = {
    "Lung attention": LUNG_ATTENTION,
    "Test-time masking": (*ABLATION_SCORES, *NORMALS_CALLED),
    "What is left to a reader": (*UNCERTAINTY, SPLIT_DECISIONS),
    "Cost": COST,
}


def commands_page(introduction: str) -> str:
    """Return the introduction and a section for each command, with its options, as the parser knows them."""
    parser = command_parser(COMMANDS)
    lines = [introduction, "", *_code(parser.format_usage()), "", str(parser.epilog), ""]
    for name, command, summary in commands(parser):
        lines += [f"## {name}", "", _sentence(command.description or summary), ""]
        lines += _code(command.format_usage().removeprefix("usage: "))
        lines += ["", *_options(command), "", *_code((command.epilog or "").removeprefix("examples:\n")), ""]
    return "\n".join(lines)


def commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser, str]]:
    """Yield name, parser and one line of help of every command."""
    for action in parser._actions:
        if isinstance(action.choices, Mapping):
            helps = {choice.dest: choice.help or "" for choice in getattr(action, "_choices_actions", ())}
            for name, command in action.choices.items():
                yield name, command, helps.get(name, "")


def _options(command: argparse.ArgumentParser) -> list[str]:
    rows = []
    for action in command._actions:
        if action.help == argparse.SUPPRESS or isinstance(action, argparse._HelpAction):
            continue
        shown = action.metavar if isinstance(action.metavar, str) else ""
        names = "`, `".join(action.option_strings) or shown or action.dest
        if action.option_strings and action.nargs != 0:
            names += f" {shown or _choices(action) or action.dest.upper()}"
        help_text = (action.help or "").replace("%%", "%")
        allowed = f" One of {_choices(action)}." if action.choices and shown else ""
        rows.append((f"`{names}`", help_text + allowed))
    return _table(("option", "meaning"), rows) if rows else []


def _choices(action: argparse.Action) -> str:
    return "{" + ",".join(map(str, action.choices)) + "}" if action.choices else ""


def suite_page(introduction: str) -> str:
    """Return a table for each group of keys of a suite: key, what may stand there, default, meaning."""
    lines = [introduction.rstrip(), "", "## The suite itself", "", *_keys(""), ""]
    for key in described_keys().values():
        if key.keys:
            lines += [f"## {key.name}", "", key.meaning, "", *_keys(f"{key.name}."), ""]
    return "\n".join(lines)


def _keys(prefix: str) -> list[str]:
    rows = [
        (f"`{key.name}`", key.expected, f"`{'none' if key.default == '{}' else key.default}`", key.meaning)
        for key in described_keys().values()
        if not key.keys and key.name.rpartition(".")[0] == prefix.rstrip(".")
    ]
    return _table(("key", "value", "default", "meaning"), rows)


def metrics_page(introduction: str) -> str:
    """Return what each metric is, and what the further columns of a leaderboard mean."""
    lines = [introduction.rstrip(), "", "## Scores", ""]
    rows = [
        (metric.heading, f"`{metric.name}`", f"{metric.low:g} to {metric.high:g}".replace("inf", "\N{INFINITY}"),
         "higher" if metric.higher_is_better else "lower", metric.meaning)
        for metric in METRICS.values()
    ]  # fmt: skip
    lines += [*_table(("metric", "key in files", "range", "better", "meaning"), rows), ""]
    for heading, columns in FURTHER_COLUMNS.items():
        rows_of = [(column.heading, f"`{column.key}`", column.meaning) for column in columns]
        lines += [f"## {heading}", "", *_table(("column", "key in files", "meaning"), rows_of), ""]
    return "\n".join(lines)


def api_page(introduction: str) -> str:
    """Return directives that show every public name of the package and of its metrics."""
    lines = [introduction.rstrip(), ""]
    for name in pneumobench.__all__:
        if not name.startswith("__"):
            lines += [f"::: pneumobench.{name}", ""]
    lines += ["## Metrics", "", "Pure functions on arrays, in `pneumobench.metrics`.", ""]
    for name in metrics.__all__:
        lines += [f"::: pneumobench.metrics.{name}", "    options:", "      heading_level: 3", ""]
    return "\n".join(lines)


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."


def _code(text: str) -> list[str]:
    return ["```text", text.rstrip(), "```"]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in [list(head), ["---"] * len(head), *cells]]

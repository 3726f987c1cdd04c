"""Commands on architectures and attribution methods: what there is, and whether it keeps its contract."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from pneumobench.cli.exit_codes import CHECK_FAILED, DONE, WRONG_SETTINGS
from pneumobench.cli.shown import console_for, fields_of, next_step, print_json, tell
from pneumobench.errors import SettingsError
from pneumobench.texts import counted


def architectures(pattern: str = "*", *, plugin: list[Path], json: bool = False) -> int:
    """List the architectures that a suite may name.

    Args:
        pattern: only names like this, e.g. 'convnext*'.
        plugin: a plugin file.
        json: print them as JSON, for a program.
    """
    import timm

    from pneumobench.architectures.registry import ARCHITECTURES
    from pneumobench.errors import suggestion
    from pneumobench.suite.registry import load_plugin_file

    for file in plugin:
        load_plugin_file(file)
    broken = ARCHITECTURES.import_installed()
    known = timm.list_models(include_tags="." in pattern)  # resnet18.a1_in1k: a network and its weights
    sources = {name: item.source for name, item in ARCHITECTURES.loaded().items()}
    registered = {name: f"{name}  (plugin: {source})" for name, source in sources.items()}
    registered |= {name: f"{name}  (broken: {reason})" for name, reason in broken.items()}
    plugins = [words for name, words in registered.items() if fnmatchcase(name, pattern.lower())]
    names = [name for name in known if fnmatchcase(name, pattern.lower())]
    if not plugins and not names:
        near = suggestion(pattern.lower().strip("*"), [*registered, *known])
        raise SettingsError(
            f"no architecture is called like {pattern!r}; {near or 'without a pattern all are listed.'} "
            "A pattern has * for any letters, e.g. 'convnext*'."
        )
    if json:
        print_json({"broken": _like(broken, pattern), "plugins": _like(sources, pattern), "timm": names})
    else:
        print("\n".join([*plugins, *names]))
    print(f"{counted(len(plugins), 'plugin')}, {counted(len(names), 'timm model')}", file=sys.stderr)
    return DONE


def _like(found: Mapping[str, str], pattern: str) -> dict[str, str]:
    return {name: words for name, words in found.items() if fnmatchcase(name, pattern.lower())}


def check(name: str, *, plugin: list[Path], side: int = 64, channels: Literal[1, 3] = 1, json: bool = False) -> int:
    """Check that an architecture keeps the contract.

    Args:
        name: architecture.
        plugin: a plugin file.
        side: side of the input in pixels.
        channels: input channels.
        json: print what was found as JSON, for a program.
    """
    from pneumobench.architectures.contract import check_contract
    from pneumobench.suite.registry import load_plugin_file

    for file in plugin:
        load_plugin_file(file)
    findings = check_contract(name, in_channels=channels, image_side_px=side)
    console = console_for(json=json)
    for finding in findings:
        words = f"{'ok  ' if finding.kept else 'FAIL'}  {finding.rule}: {finding.detail}"
        console.print(words, highlight=False, markup=False, soft_wrap=True)
    if json:
        print_json(list(map(fields_of, findings)))
    if not all(finding.kept for finding in findings):
        return WRONG_SETTINGS
    plugins = [word for file in plugin for word in ("--plugin", file)]
    next_step(console, "run", "quickstart", "--name", "with-mine", *plugins, "--architectures", f"resnet18,{name}")
    return DONE


def conformance(
    *,
    architectures: tuple[str, ...] | None = None,
    methods: tuple[str, ...] = (),
    plugin: list[Path],
    json: bool = False,
) -> int:
    """Check that heat maps show planted evidence, by architecture and attribution method.

    Small networks are trained to find a planted patch, then each method is asked for it. A cell gives the share of maps
    that point at the patch, and the heat in it relative to chance.

    Args:
        architectures: families or architectures (default: all families).
        methods: only these attribution methods.
        plugin: a plugin file.
        json: print what was found as JSON, for a program.
    """
    from pneumobench.attributions.conformance import SMALL_MEMBERS, conformance, verdict_lines
    from pneumobench.suite.registry import load_plugin_file

    for file in plugin:
        load_plugin_file(file)
    verdicts = conformance(
        list(architectures or SMALL_MEMBERS),
        methods,
        report=lambda seen: print(f"{seen.architecture} {seen.method} {seen.state}", file=sys.stderr),
    )
    if json:
        print_json(list(map(fields_of, verdicts)))
    else:
        print("\n".join(verdict_lines(verdicts)))
    return CHECK_FAILED if any(verdict.state == "fail" for verdict in verdicts) else DONE


def cost(
    suite: str,
    *,
    overrides: list[str],
    architectures: tuple[str, ...] | None = None,
    rounds: int | None = None,
    output: Path = Path("runs"),
    plugin: list[str],
    trust_plugins: bool = False,
    json: bool = False,
) -> int:
    """Measure what each architecture takes: time of a step, latency, images a second, memory, operations.

    All are asked in turn, several rounds, each in a process of its own, on random images: no data are needed. Run it
    while the machine does nothing else; the table says if it did. It is written beside the run (RUN/cost) and shown on
    its leaderboard. The exit code is 4 where an architecture fails.

    Args:
        suite: name of a shipped suite, a YAML file, or the folder of a run.
        overrides: settings of the suite; a run has its own.
        architectures: only these architectures.
        rounds: how often each is asked, 2 or more (default: 5).
        output: where the folder of a suite's run is, or will be.
        plugin: a Python file that registers more; of a run, one stands for a file of its name that the suite lists.
        trust_plugins: execute the plugin files that the suite of a run lists, whatever they are.
        json: print the table as JSON, for a program; what is told meanwhile goes to stderr.
    """
    from pneumobench.cli.run import asked_suite
    from pneumobench.reporting.cost_table import cost_console
    from pneumobench.runs.cost import ROUNDS, cost_of_run, cost_of_suite

    console = console_for(json=json)
    asked = ROUNDS if rounds is None else rounds
    if (Path(suite) / "suite.yaml").is_file():
        if overrides:
            raise SettingsError(f"{suite} is a run, which has its settings: leave {overrides[0]} out, or name a suite.")
        table, page = cost_of_run(
            Path(suite), architectures=architectures, rounds=asked, plugins=list(map(Path, plugin)),
            trust_plugins=trust_plugins, console=console,
        )  # fmt: skip
    else:
        loaded = asked_suite(suite, overrides, architectures=architectures, plugin=plugin)
        table, page = cost_of_suite(suite, loaded, output=output, rounds=asked, console=console)
    console.print(cost_console(table))
    tell(console, "table", page)
    if json:
        print_json(fields_of(table) | {"page": str(page), "warnings": list(table.warnings())})
    return CHECK_FAILED if len(table.measured) < len(table.architectures) else DONE


COMMANDS = (architectures, check, conformance, cost)

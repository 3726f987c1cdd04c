"""Commands on architectures and attribution methods: what there is, and whether it keeps its contract."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from pneumobench.cli.exit_codes import CHECK_FAILED, DONE, WRONG_SETTINGS
from pneumobench.cli.shown import console_for, fields_of, next_step, print_json
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
    from pneumobench.errors import SettingsError, suggestion
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


COMMANDS = (architectures, check, conformance)

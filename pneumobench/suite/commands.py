"""The literal command that makes a run again, anywhere: told from the suite itself, without folders of this machine."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pneumobench.suite.described import yaml_value
from pneumobench.suite.reader import load_suite
from pneumobench.suite.shipped import suite_names
from pneumobench.suite.spec import DataSpec, Suite
from pneumobench.suite.types import is_text, known_keys
from pneumobench.suite.weights import public_source, sources_by_name

DATA_WORD: Final = "DATA"  # stands for the folder of the data, as in the documentation
MADE_ON_THE_SPOT: Final = "phantoms"  # the source that needs no folder
# what changes no number: where the data lie, who follows the run, and what a search would have tried
NOT_TOLD: Final = ("data.root", "logging.", "search.")
JOINED: Final = ("--architectures", "--folds")  # what several starts of one run may narrow differently


def run_command(
    base: str,
    suite: Suite,
    *,
    folds: Sequence[int] | None = None,
    compared: Sequence[str] = (),
) -> str:
    """Return the command line that makes the run of a suite.

    Files are named without their folders: a suite, plugins and a folder of weights have to be brought.

    Args:
        base: name or file of the suite that `suite` came from.
        suite: with all that options changed.
        folds: only these.
        compared: the option that asks for variants, and its values.
    """
    words = ["pneumobench", "run", base if base in suite_names() else Path(base).name]
    if suite.data.source != MADE_ON_THE_SPOT:
        words += ["--data", DATA_WORD]
    before, after = _leaves(load_suite(base).plain()), _leaves(suite.plain())
    for key, value in after.items():
        if value == before.get(key) or key.startswith(NOT_TOLD):
            continue
        if key == "architectures.plugins":
            for file in value:
                words += ["--plugin", Path(file).name] if file not in before[key] else []
        elif key == "architectures.names":
            words += ["--architectures", ",".join(value)]
        elif key == "architectures.weights":
            words += [f"--{key}", public_source(value)]
        elif key == "architectures.weights_of":
            sources = [f"{name}={public_source(source)}" for name, source in sources_by_name(value).items()]
            words += [f"--{key}", _written(key, sources)]
        else:
            words += [f"--{key}", _written(key, value)]
    words += ["--folds", ",".join(map(str, folds))] if folds is not None else []
    return shlex.join([*words, *compared])


def data_options(found: DataSpec, asked: DataSpec) -> list[str]:
    """Return the options that turn settings of the data as they were recognised into those asked for."""
    before, after = (_leaves({"data": dataclasses.asdict(spec)}) for spec in (found, asked))
    changed = {key: value for key, value in after.items() if value != before[key] and not key.startswith(NOT_TOLD)}
    return [word for key, value in changed.items() for word in (f"--{key}", _written(key, value))]


def joined_command(earlier: str, now: str) -> str:
    """Return the command of a run that was started by two: of architectures and folds it names what either does.

    >>> joined_command("pneumobench run smoke --folds 0", "pneumobench run smoke --folds 1")
    'pneumobench run smoke --folds 0,1'
    >>> joined_command("pneumobench run smoke", "pneumobench run smoke --architectures vit")
    'pneumobench run smoke'
    """
    before, words = shlex.split(earlier), shlex.split(now)
    if not before or not words:
        return now or earlier
    for option in JOINED:
        given = [line[line.index(option) + 1].split(",") if option in line else None for line in (before, words)]
        if option in words:
            place = words.index(option)
            every = dict.fromkeys(word for names in given for word in names or ())
            words[place : place + 2] = [option, ",".join(every)] if None not in given else []
    return shlex.join(words)


def _written(key: str, value: Any) -> str:
    return str(value) if is_text(known_keys()[key]) else yaml_value(value)


def _leaves(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for key, value in values.items():
        whole = isinstance(value, dict) and prefix + key != "search.space"
        leaves |= _leaves(value, f"{prefix}{key}.") if whole else {f"{prefix}{key}": value}
    return leaves

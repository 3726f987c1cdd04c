"""Commands on suites: which there are, and what stands in them."""

from __future__ import annotations

from pneumobench.cli.exit_codes import DONE
from pneumobench.cli.shown import console_for, next_step, print_json


def suite(suite: str | None = None, *, json: bool = False) -> int:
    """Print a suite with every key, its meaning, what it takes and its value.

    What is printed is a suite again: write it to a file, change it and run it.

    Args:
        suite: name or YAML file; without one the names of the shipped suites are printed.
        json: print it as JSON, for a program.
    """
    from pneumobench.suite.described import commented_yaml
    from pneumobench.suite.reader import load_suite
    from pneumobench.suite.shipped import suite_names

    if json:
        print_json(load_suite(suite).plain() if suite else suite_names())
        return DONE
    aside = console_for(json=True)  # stdout may become a file
    if suite is None:
        print("\n".join(suite_names()))
        next_step(aside, "suite", "quickstart")
        return DONE
    print(commented_yaml(load_suite(suite)), end="")
    next_step(aside, "run", suite)
    return DONE


COMMANDS = (suite,)

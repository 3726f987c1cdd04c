"""Which plugin files of a run that was opened may be executed: a run folder may come from anywhere.

A suite names plugin files, and a plugin is a program. Who starts `pneumobench run SUITE` or names a file with --plugin
wants it to be executed. Who opens a run of somebody else in order to look at it does not. Its plugins are executed if

- the user names the file (`--plugin FILE`), or
- the user trusts all of them (`--trust-plugins`), or
- a file of exactly this content was executed on this machine before, by a command that named it.

The third is remembered outside every run folder, where no foreign run can write it: one SHA-256 a line in
`$XDG_STATE_HOME/pneumobench/plugins-run` (`~/.local/state` where the variable is not set).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pneumobench.errors import SettingsError
from pneumobench.files import sha256_of_file


def remembered_file() -> Path:
    """Return the file that lists the contents of plugins that this user has run."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "pneumobench" / "plugins-run"


def remember(plugin: Path) -> None:
    """Note the content of a plugin file that was run; where nothing can be written, consent is asked for again."""
    digest, file = sha256_of_file(plugin), remembered_file()
    if digest in _remembered():
        return
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as lines:
            lines.write(f"{digest}\n")


def _remembered() -> set[str]:
    try:
        return set(remembered_file().read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError):
        return set()


def plugins_to_run(
    listed: Sequence[str], run: Path, *, named: Sequence[Path] = (), trusted: bool = False
) -> list[Path]:
    """Return the plugin files of a run that may be executed; those that the user named instead are left out.

    Args:
        listed: plugin files that the suite of the run lists, relative to the current folder.
        run: folder of the run, for messages.
        named: files that the user named; one of the same name stands for one that is listed.
        trusted: the user trusts all that are listed.

    Raises:
        SettingsError: a file is not there, or was never run on this machine and nobody consents.
    """
    names = {file.name for file in named}
    files = [Path(file) for file in listed if Path(file).name not in names]
    for file in files:
        if not file.is_file():
            raise SettingsError(
                f"{run}: its suite lists the plugin file {file}, which is not there: name it with --plugin FILE."
            )
        if not trusted and sha256_of_file(file) not in _remembered():
            raise SettingsError(
                f"{run}: its suite lists the plugin file {file}, a program that was never run on this machine with "
                "this content. Read it, then name it with --plugin FILE or trust all of this run with --trust-plugins."
            )
    return files

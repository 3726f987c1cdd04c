"""A plugin that the suite of an opened run lists is executed with consent, or where it ran on this machine before."""

from __future__ import annotations

from pathlib import Path

import pytest

from pneumobench.errors import SettingsError
from pneumobench.suite.plugin_trust import plugins_to_run, remember, remembered_file
from pneumobench.suite.registry import load_plugin_file

RUN = Path("runs/foreign")


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plugin file that nobody has run."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    file = tmp_path / "net.py"
    file.write_text("VALUE = 1\n")
    return file


def test_a_file_that_never_ran_here_is_refused_with_what_helps(plugin: Path) -> None:
    with pytest.raises(SettingsError, match=r"never run on this machine.*--plugin FILE.*--trust-plugins"):
        plugins_to_run([str(plugin)], RUN)


def test_consent_is_given_by_name_or_for_all(plugin: Path) -> None:
    assert plugins_to_run([str(plugin)], RUN, trusted=True) == [plugin]
    assert plugins_to_run([str(plugin)], RUN, named=[Path("elsewhere/net.py")]) == [], "the named one stands for it"


def test_a_file_that_was_run_is_trusted_as_long_as_its_content_is_the_same(plugin: Path) -> None:
    load_plugin_file(plugin)
    assert plugins_to_run([str(plugin)], RUN) == [plugin]
    plugin.write_text("VALUE = 2\n")
    with pytest.raises(SettingsError, match="never run on this machine with this content"):
        plugins_to_run([str(plugin)], RUN)


def test_a_file_that_failed_is_not_remembered(plugin: Path) -> None:
    plugin.write_text("raise RuntimeError\n")
    with pytest.raises(SettingsError):
        load_plugin_file(plugin)
    assert not remembered_file().exists()


def test_a_missing_file_says_how_to_name_it(plugin: Path) -> None:
    with pytest.raises(SettingsError, match=r"gone\.py, which is not there: name it with --plugin FILE"):
        plugins_to_run([str(plugin.with_name("gone.py"))], RUN, trusted=True)


def test_where_nothing_can_be_remembered_consent_is_asked_for_again(
    plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "full").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "full"))
    remember(plugin)
    with pytest.raises(SettingsError, match="never run on this machine"):
        plugins_to_run([str(plugin)], RUN)

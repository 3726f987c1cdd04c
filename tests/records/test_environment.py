"""With what a run was begun, and what happens when it goes on with something else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pneumobench.errors import RecordError, SettingsError
from pneumobench.files import sha256_of_text
from pneumobench.records import environment
from pneumobench.records.environment import keep_environment, read_environment
from pneumobench.records.run_folder import RunFolder

SOFTWARE = {
    "pneumobench": "0.1.0", "python": "3.11.9", "torch": "2.15.0", "commit": "a" * 40, "dirty": "no", "code": "b" * 64
}  # fmt: skip
INPUTS = {key: sha256_of_text(key) for key in ("plugin mine.py", "lung masks", "lung segmenter", "initial weights net")}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    run = RunFolder(tmp_path / "mine")
    now(monkeypatch)
    assert keep_environment(run, INPUTS, unfinished=True, accept_changes=False) == ""
    return run


def now(monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    monkeypatch.setattr(environment, "software_versions", lambda: {**SOFTWARE, **changes})


def test_the_same_code_and_files_go_on_and_change_no_byte(folder: RunFolder) -> None:
    before = folder.environment_json.read_bytes()
    assert keep_environment(folder, INPUTS, unfinished=True, accept_changes=False) == ""
    assert folder.environment_json.read_bytes() == before


@pytest.mark.parametrize("key", INPUTS)
def test_a_file_with_other_content_is_refused_by_name(folder: RunFolder, key: str) -> None:
    other = {**INPUTS, key: sha256_of_text("other")}
    words = rf"(?s)begun with other code or files:\n  {key}: SHA-256 {INPUTS[key][:12]}, now {other[key][:12]}\n.*"
    for unfinished in (True, False):  # what is explained and scored rests on them too
        with pytest.raises(SettingsError, match=words + "--accept-changes"):
            keep_environment(folder, other, unfinished=unfinished, accept_changes=False)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"code": "c" * 64}, "code of pneumobench: version 0.1.0, commit aaaaaaaaaaaa, SHA-256 b{12}, now .* c{12}"),
        ({"code": "c" * 64, "dirty": "yes"}, "now version 0.1.0, commit aaaaaaaaaaaa with changes, SHA-256 c{12}"),
        ({"code": "c" * 64, "commit": "none", "pneumobench": "0.2.0"}, "now version 0.2.0, SHA-256 c{12}"),
        ({"torch": "2.16.0"}, "torch: 2.15.0, now 2.16.0"),
        ({"python": "3.12.1"}, "python: 3.11.9, now 3.12.1"),
    ],
)
def test_other_code_and_versions_are_refused_while_something_is_to_be_trained(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], words: str
) -> None:
    now(monkeypatch, **changes)
    with pytest.raises(SettingsError, match=words):
        keep_environment(folder, INPUTS, unfinished=True, accept_changes=False)
    assert keep_environment(folder, INPUTS, unfinished=False, accept_changes=False) == ""
    assert read_environment(folder)["software"] == SOFTWARE, "a finished run keeps what made it"


def test_a_commit_that_leaves_the_code_alone_goes_on(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    now(monkeypatch, commit="d" * 40, dirty="yes")
    assert keep_environment(folder, INPUTS, unfinished=True, accept_changes=False) == ""


def test_changes_that_are_accepted_are_written_down_for_good(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    now(monkeypatch, torch="2.16.0")
    other = {**INPUTS, "lung masks": sha256_of_text("other")}
    words = keep_environment(folder, other, unfinished=True, accept_changes=True)
    assert "lung masks: SHA-256" in words
    assert "torch: 2.15.0, now 2.16.0" in words
    again = keep_environment(folder, other, unfinished=True, accept_changes=False)
    assert again == words, "later records say so too"
    kept = read_environment(folder)
    assert kept["inputs"] == other
    assert kept["software"]["torch"] == "2.16.0"
    (accepted,) = kept["accepted"]
    assert "; ".join(accepted["changes"]) == words


def test_a_further_plugin_is_no_change(folder: RunFolder) -> None:
    more = {"plugin second.py": sha256_of_text("second")}
    assert keep_environment(folder, more, unfinished=True, accept_changes=False) == ""
    assert read_environment(folder)["inputs"] == {**INPUTS, **more}


def test_a_run_begun_before_code_was_hashed_goes_by_its_commit(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {key: value for key, value in SOFTWARE.items() if key != "code"}
    folder.environment_json.write_text(json.dumps({"software": old, "command": "x"}))
    assert keep_environment(folder, INPUTS, unfinished=True, accept_changes=False) == ""
    folder.environment_json.write_text(json.dumps({"software": old, "command": "x"}))
    now(monkeypatch, commit="d" * 40)
    with pytest.raises(SettingsError, match=r"code of pneumobench: version 0.1.0, commit aaaaaaaaaaaa, now"):
        keep_environment(folder, INPUTS, unfinished=True, accept_changes=False)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"software": 3}'])
def test_a_damaged_environment_is_refused(folder: RunFolder, text: str) -> None:
    folder.environment_json.write_text(text)
    with pytest.raises(RecordError, match=r"environment\.json: found .* Bring it back"):
        keep_environment(folder, INPUTS, unfinished=True, accept_changes=False)

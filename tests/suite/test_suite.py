from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import pneumobench
from pneumobench.errors import SettingsError
from pneumobench.suite.reader import MAX_SUITE_BYTES, load_suite
from pneumobench.suite.shipped import data_root, suite_names, suite_path
from pneumobench.suite.spec import DATA_VARIABLE, Suite
from pneumobench.suite.types import known_keys

Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_suite(text: str | bytes) -> Path:
        path = tmp_path / "my.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write_suite


def refusal(path: Path, *overrides: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_suite(path, overrides)
    return str(caught.value)


# shipped suites


def test_the_shipped_suites_are_known_by_name() -> None:
    assert {"quickstart", "smoke", "kermany", "kermany-cpu"} <= set(suite_names())


@pytest.mark.parametrize("name", suite_names())
def test_a_shipped_suite_loads_and_survives_being_written_out(name: str, write: Write) -> None:
    suite = load_suite(suite_path(name))
    assert suite.name == name, "the name of a suite is the name of its file"
    assert load_suite(write(suite.to_yaml())) == suite


def test_a_written_suite_holds_every_key(write: Write) -> None:
    suite = load_suite(write("name: all"))

    def leaves(values: dict[str, Any], prefix: str = "") -> set[str]:
        inner = (leaves(v, f"{prefix}{k}.") if isinstance(v, dict) else {prefix + k} for k, v in values.items())
        return set().union(*inner)

    keys = {key for key, kind in known_keys().items() if not dataclasses.is_dataclass(kind)}
    searched = {key for key in keys if key.startswith("search.")}
    assert leaves(yaml.safe_load(suite.to_yaml())) == keys - searched, "a search is written where there is one"
    with_search = load_suite(write("search: {space: {training.epochs: [1, 2]}}"))
    assert set(yaml.safe_load(with_search.to_yaml())["search"]) == {key.partition(".")[2] for key in searched}


def test_an_unknown_suite_suggests_shipped_ones() -> None:
    with pytest.raises(
        SettingsError, match=r"'quikstart' is neither a shipped suite \(.*\) nor a file. did you mean q"
    ):
        suite_path("quikstart")


def test_a_suite_is_found_by_path(write: Write) -> None:
    path = write("name: mine")
    assert suite_path(str(path)) == path


# files that are no suite


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: a\ntraining:\n  epoch: 3\n", ["my.yaml line 3", "'training.epoch'", "did you mean training.epochs?"]),
        ("name: a\ntraning:\n  epochs: 3\n", ["my.yaml line 2", "'traning'", "did you mean training?"]),
        ("epochs: 3\n", ["my.yaml line 1", "'epochs'", "did you mean training.epochs?"]),
        ("zzzzzzz: 3\n", ["line 1: unknown key 'zzzzzzz'", "`pneumobench help` lists all keys"]),
        ("name: a\nseed: 1\nname: b\n", ["my.yaml line 3", "key name stands already in line 1"]),
        ("training:\n  epochs: 1\n  epochs: 2\n", ["line 3", "key training.epochs stands already in line 2"]),
        ("training:\n  epochs: many\n", ["line 2", "training.epochs is 'many'", "a whole number"]),
        ("training:\n  epochs: 3.0\n", ["training.epochs is 3.0", "a whole number"]),
        ("seed: true\n", ["line 1", "seed is True", "a whole number"]),
        ("name: 5\n", ["name is 5", "text"]),
        ("training:\n  deterministic: 1\n", ["training.deterministic is 1", "true or false"]),
        ("training:\n  loss: hinge\n", ["training.loss is 'hinge'", "one of bce, focal"]),
        ("training:\n  gradient_clip_norm: big\n", ["gradient_clip_norm is 'big'", "a number or null"]),
        (
            "name: a\ndata:\n  source: dicom\n",
            ["line 3: data.source: unknown data layout 'dicom'", "Known: chexpert"],
        ),
        (
            "controls:\n  names: [majority, thumbnial]\n",
            ["line 2: controls.names: unknown", "thumbnail?"],
        ),
        ("controls:\n  names: [majority, majority]\n", ["controls.names lists majority twice"]),
        ("data:\n  channels: 2\n", ["data.channels is 2", "one of 1, 3"]),
        ("architectures:\n  names: resnet18\n", ["architectures.names is 'resnet18'", "a list of text"]),
        ("name: a\ntraining: 3\n", ["line 2", "training is 3", "a group of keys: epochs, batch_size"]),
        ("a: &x [1]\nb: *x\n", ["line 2", "aliases (*name) are not allowed"]),
        ("a: &a [x]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\nd: [*c, *c]\n", ["line 2", "aliases"]),
        ("", ["expected keys such as name, data and training"]),
        ("# only a comment\n", ["expected keys such as name"]),
        ("- a\n- b\n", ["expected keys such as name", "'- a"]),
        ("? [a]\n: b\n", ["line 1", "a key must be a plain word"]),
        ("name: a\n---\nname: b\n", ["line 2", "not valid YAML"]),
        ("name: [a\n", ["line 2", "not valid YAML"]),
        ("name: 2020-13-45\n", ["not valid YAML", "month must be in 1..12"]),
        ("name: !!binary abc\n", ["line 1", "not valid YAML"]),
        ("name: !!python/object/apply:os.system ['exit 7']\n", ["line 1", "not valid YAML"]),
        (b"name: \xff\n", ["cannot be read as a suite", "utf-8"]),
        (b"name: a\x00\n", ["not valid YAML"]),
        ("[" * 3_000, ["not valid YAML"]),
        ("#" * (MAX_SUITE_BYTES + 1), [f"{MAX_SUITE_BYTES + 1} bytes is too long for a suite"]),
    ],
    ids=lambda value: str(value)[:24] if isinstance(value, str | bytes) else "",
)
def test_a_file_that_is_no_suite_is_refused_in_one_message(text: str | bytes, words: list[str], write: Write) -> None:
    message = refusal(write(text))
    assert message.startswith(str(write(text)))
    for word in words:
        assert word in message


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert "cannot be read as a suite" in refusal(tmp_path / "gone.yaml")
    assert "cannot be read as a suite" in refusal(tmp_path)


def test_a_file_from_a_windows_editor_is_read(write: Write) -> None:
    assert load_suite(write(b"\xef\xbb\xbfname: a\r\nseed: 3\r\n")) == Suite(name="a", seed=3)


def test_numbers_may_be_written_as_people_do(write: Write) -> None:
    suite = load_suite(write("training:\n  learning_rate: 5e-4\n  weight_decay: 0\n"))
    assert suite.training.learning_rate == 0.0005
    assert isinstance(suite.training.weight_decay, float)


def test_an_empty_group_has_its_defaults(write: Write) -> None:
    assert load_suite(write("name: a\ndata:\n")) == Suite(name="a")


# overrides


@pytest.mark.parametrize("override", [["--training.epochs", "3"], ["--training.epochs=3"]])
def test_an_override_changes_one_value(override: list[str], write: Write) -> None:
    path = write("name: a\ntraining:\n  batch_size: 4\n  epochs: 9\n")
    before, after = load_suite(path), load_suite(path, override)
    assert after.training.epochs == 3
    assert after == dataclasses.replace(before, training=dataclasses.replace(before.training, epochs=3))


def test_overrides_reach_lists_nulls_absent_and_empty_groups(write: Write) -> None:
    suite = load_suite(
        write("name: a\ndata:\n"),
        [
            *("--architectures.names", "[resnet18, resnet50]", "--data.phantoms.patients", "40", "--seed=4"),
            *("--data.limit_images", "12", "--data.limit_images", "null", "--training.learning_rate", "1e-3"),
        ],
    )
    assert suite.architectures.names == ("resnet18", "resnet50")
    assert suite.data.phantoms.patients == 40
    assert suite.seed == 4
    assert suite.data.limit_images is None
    assert suite.training.learning_rate == 0.001


@pytest.mark.parametrize("text", ["2024", "/films/a: b", "no", "#1", "[x", "", "1e5"])
def test_text_is_taken_as_it_is(text: str, write: Write) -> None:
    assert load_suite(write("name: a"), ["--data.root", text]).data.root == text


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["--training.epoch", "3"], ["option --training.epoch: unknown key", "did you mean training.epochs?"]),
        (["--training.epochs"], ["option --training.epochs needs a value: --training.epochs VALUE"]),
        (["--training.epochs="], ["option --training.epochs", "expected a whole number"]),
        (["--training.epochs", "three"], ["option --training.epochs: training.epochs is 'three'", "a whole number"]),
        (["--training.epochs", "--seed"], ["training.epochs is '--seed'"]),
        (["training.epochs", "3"], ["'training.epochs' is not understood", "--group.key VALUE"]),
        (["--training", "3"], ["option --training is a group of keys", "e.g. --training.epochs VALUE"]),
        (["--seed", "[1"], ["option --seed: '[1' is not a YAML value"]),
        (["--seed", "2020-13-45"], ["option --seed: '2020-13-45' is not a YAML value"]),
        (
            ["--data.source", "vindr"],
            ["option --data.source", "unknown data layout 'vindr'; did you mean vindr_pcxr?"],
        ),
        (
            ["--controls.names", "[majorty]"],
            ["option --controls.names: ", "unknown control 'majorty'; did you mean"],
        ),
    ],
)
def test_a_wrong_override_is_refused(overrides: list[str], words: list[str], write: Write) -> None:
    message = refusal(write("name: a"), *overrides)
    for word in words:
        assert word in message


def test_an_override_below_a_wrong_group_reports_the_group(write: Write) -> None:
    assert "line 1: training is 3; expected a group of keys" in refusal(write("training: 3"), "--training.epochs", "2")


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("name", "Bad Name", "1 to 64 of a-z 0-9 _ . -, a letter or digit first"),
        ("name", "../up", "1 to 64 of a-z 0-9 _ . -, a letter or digit first"),
        ("seed", "-1", "0 to 2,147,483,647"),
        ("data.image_side_px", "31", "32 to 2,048"),
        ("data.limit_images", "0", "2 to 100,000,000, or null"),
        ("data.limit_images", "-5", "2 to 100,000,000, or null"),
        ("folds.count", "1", "at least 2"),
        ("folds.tune_fraction", "0.5", "0 < x < 0.5"),
        ("folds.tune_fraction", "0", "0 < x < 0.5"),
        ("training.epochs", "0", "1 to 100,000"),
        ("training.batch_size", "1", "2 to 65,536"),
        ("training.learning_rate", "0", "0 < x <= 1e30"),
        ("training.learning_rate", ".nan", "0 < x <= 1e30"),
        ("training.learning_rate", ".inf", "0 < x <= 1e30"),
        ("training.weight_decay", "-0.1", "0 to 1,000"),
        ("training.warmup_epochs", "-1", "0 to 100,000"),
        ("training.plateau_factor", "1", "0 < x < 1"),
        ("training.plateau_patience", "-1", "0 to 100,000"),
        ("training.early_stopping_patience", "0", "1 to 100,000, or null"),
        ("training.gradient_clip_norm", "0", "0 < x <= 1,000,000, or null"),
        ("training.devices", "0", "1 to 1,024"),
        ("training.loader_workers", "-1", "0 to 256"),
        ("explanation.images_per_fold", "-1", "0 to 100,000,000, or null"),
        ("explanation.overlays_per_fold", "-1", "0 to 1,000"),
        ("architectures.names", "[]", "at least one name"),
        ("augmentation.horizontal_flip", "1.1", "0 to 1"),
        ("augmentation.rotation_deg", "181", "0 to 180"),
        ("augmentation.shift", "1", "0 to below 1"),
        ("augmentation.scale", "1", "0 to below 1"),
        ("augmentation.shear_deg", "90", "0 to below 90"),
        ("augmentation.brightness", "-0.1", "0 to 1"),
        ("augmentation.contrast", ".inf", "0 to 1"),
    ],
)
def test_a_value_out_of_range_names_key_value_and_range(key: str, value: str, expected: str, write: Write) -> None:
    message = refusal(write("name: a"), f"--{key}", value)
    assert f"{key} is " in message
    assert message.endswith(f"expected {expected}.")


def test_an_architecture_listed_twice_is_refused(write: Write) -> None:
    assert "architectures.names lists resnet18 twice" in refusal(
        write("architectures:\n  names: [resnet18, resnet50, resnet18]")
    )


# what decides a job


@pytest.mark.parametrize(
    "override",
    [
        ["--data.root", "elsewhere"],
        ["--logging.wandb", "offline"],
        ["--logging.wandb_project", "other"],
        ["--architectures.names", "[resnet50]"],
        ["--architectures.plugins", "[mine.py]"],
        ["--training.loader_workers", "4"],
    ],
    ids=lambda value: value[0],
)
def test_the_training_hash_ignores_what_leaves_a_job_as_it_is(override: list[str], write: Write) -> None:
    path = write("name: a")
    assert load_suite(path, override) != load_suite(path)
    assert load_suite(path, override).training_hash() == load_suite(path).training_hash()


@pytest.mark.parametrize(
    "override",
    [
        ["--training.epochs", "3"],
        ["--seed", "1"],
        ["--augmentation.shift", "0.06"],
        ["--data.image_side_px", "64"],
        ["--data.limit_images", "100"],
        ["--folds.count", "4"],
        ["--architectures.weights", "imagenet"],
        ["--explanation.images_per_fold", "10"],
        ["--training.precision", "32-true"],
        ["--data.lung_mask_tier", "segmented"],
        ["--data.crop", "fixed"],
        ["--data.source", "rsna"],
    ],
    ids=lambda value: value[0],
)
def test_the_training_hash_changes_with_what_decides_a_job(override: list[str], write: Write) -> None:
    path = write("name: a")
    assert load_suite(path, override).training_hash() != load_suite(path).training_hash()


def test_the_patient_rule_decides_a_job_and_its_default_leaves_older_hashes_alone(write: Write) -> None:
    path = write("name: a\ndata:\n  source: kermany")
    default = load_suite(path).training_hash()
    assert load_suite(path, ["--data.patient_rule", "number"]).training_hash() == default
    assert load_suite(path, ["--data.patient_rule", "folder_subtype_number"]).training_hash() != default
    # as it was before the key existed
    former = load_suite(path, ["--training.monitor", "tune_loss"]).training_hash()
    assert former == "1213f3cf5b93ca266e874db4c1d454d6bc467560f14038c8d699f28ec075aec3"


def test_a_run_that_names_no_monitor_was_made_when_the_loss_was_the_default(write: Write) -> None:
    path = write("name: a\ndata:\n  source: kermany")
    assert load_suite(path).training.monitor == "tune_auc"
    run = load_suite(path, of_run=True)
    assert run.training.monitor == "tune_loss"
    assert run.training_hash() == load_suite(path, ["--training.monitor", "tune_loss"]).training_hash()
    assert load_suite(write("training: {monitor: tune_accuracy}"), of_run=True).training.monitor == "tune_accuracy"


def test_the_data_folder_comes_from_the_suite_or_the_variable(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    suite = load_suite(write("name: a"))
    with pytest.raises(SettingsError, match=f"add --data FOLDER, set the variable {DATA_VARIABLE}"):
        data_root(suite)
    monkeypatch.setenv(DATA_VARIABLE, "/from/variable")
    assert data_root(suite) == Path("/from/variable")
    assert data_root(load_suite(write("data:\n  root: ~/images"))) == Path.home() / "images"


def test_names_of_plugins_are_left_for_when_they_are_loaded(write: Write) -> None:
    path = write("data: {source: mine}\ncontrols: {names: [mine]}\narchitectures: {plugins: [mine.py]}\n")
    assert load_suite(path).data.source == "mine"
    path = write("data: {source: mine}\n")
    assert load_suite(path, of_run=True).data.source == "mine", "a finished run can be read without its plugin"


# importing


def modules_after(*arguments: str) -> set[str]:
    """Return the modules that a Python command imports."""
    command = [sys.executable, "-X", "importtime", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rsplit("|", 1)[-1].strip() for line in lines}


HEAVY = {
    "torch",
    "optuna",
    "sqlalchemy",
    "timm",
    "lightning",
    "albumentations",
    "matplotlib",
    "wandb",
    "captum",
    "sklearn",
    "scipy",
    "pandas",
}


@pytest.mark.parametrize(
    "arguments",
    [("-c", "import pneumobench"), ("-m", "pneumobench", "--help"), ("-m", "pneumobench", "suite", "smoke")],
    ids=" ".join,
)
def test_importing_and_help_load_nothing_heavy(arguments: tuple[str, ...]) -> None:
    imported = modules_after(*arguments)
    assert "pneumobench" in imported
    assert imported & HEAVY == set()


def test_the_check_for_heavy_imports_can_fail() -> None:
    assert "scipy" in modules_after("-c", "import pneumobench, scipy") & HEAVY


def test_the_public_names_load_when_they_are_used() -> None:
    assert pneumobench.Suite is Suite
    assert pneumobench.load_suite is load_suite
    assert all(callable(getattr(pneumobench, name)) for name in pneumobench.__all__ if not name.startswith("__"))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        pneumobench.nothing  # noqa: B018

"""Container files, as far as they can be read: no image is built here."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from pneumobench.cli.exit_codes import CHECK_FAILED, UNUSABLE_DATA, WRONG_SETTINGS
from pneumobench.cli.main import COMMANDS
from pneumobench.cli.options import command_parser, parsed
from pneumobench.suite.reader import load_suite
from tests.documentation.pages import BLOCK, REPOSITORY

CONTAINERS = REPOSITORY / "containers"
DOCKERFILE, APPTAINER = CONTAINERS / "Dockerfile", CONTAINERS / "pneumobench.def"
SERVER = CONTAINERS / "serve.Dockerfile"
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
FILES = ("Dockerfile", "serve.Dockerfile", "pneumobench.def", "kubernetes-job.yaml")
# of the build, given for the metadata and files of the package
NEEDED = {"pyproject.toml", PROJECT["readme"], "LICENSE", "constraints.txt", "pneumobench", "benchmark"}


def instructions(text: str) -> list[list[str]]:
    """Return the instructions of a Dockerfile, words each."""
    lines = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    return [line.split() for line in lines if line.strip()]


def given(name: str, dockerfile: Path = DOCKERFILE) -> list[list[str]]:
    return [words[1:] for words in instructions(dockerfile.read_text()) if words[0] == name]


def sections() -> dict[str, list[str]]:
    """Return the sections of the Apptainer file, lines each."""
    found: dict[str, list[str]] = {"": []}
    for line in APPTAINER.read_text().splitlines():
        if line.startswith("%"):
            found[line[1:]] = []
        elif line.strip() and not line.startswith("#"):
            found[list(found)[-1]].append(line.strip())
    return found


def job() -> dict[str, Any]:
    return dict(yaml.safe_load((CONTAINERS / "kubernetes-job.yaml").read_text()))


def container() -> dict[str, Any]:
    (one,) = job()["spec"]["template"]["spec"]["containers"]
    return dict(one)


def images() -> list[str]:
    return [
        given("FROM")[0][0],
        given("FROM", SERVER)[0][0],
        next(line.split()[1] for line in sections()[""] if line.startswith("From:")),
    ]


@pytest.mark.parametrize("image", images())
def test_the_base_image_has_a_python_that_the_package_runs_on(image: str) -> None:
    version = re.fullmatch(r"python:(\d\.\d+)-slim", image)
    assert version is not None
    assert version[1] in SpecifierSet(PROJECT["requires-python"])
    assert f"Programming Language :: Python :: {version[1]}" in PROJECT["classifiers"]


def test_the_same_parts_of_the_repository_are_copied() -> None:
    copied = {source for words in given("COPY") for source in words[:-1]}
    files = {line.split()[0]: line.split()[1] for line in sections()["files"]}
    seen = {
        line[1:] for line in (CONTAINERS / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")
    }
    assert copied == set(files) == seen == NEEDED
    assert all((REPOSITORY / name).exists() for name in copied)
    assert all(place == f"/opt/pneumobench/{name}" for name, place in files.items())


def test_the_same_is_installed_with_extras_that_exist() -> None:
    (docker,) = [" ".join(words) for words in given("RUN") if words[0] == "pip"]
    (apptainer,) = [line for line in sections()["post"] if line.startswith("pip")]
    assert docker == apptainer
    extras = re.search(r'"\.\[(.*)\]"', docker)
    assert extras is not None
    assert set(extras[1].split(",")) <= set(PROJECT["optional-dependencies"])
    pinned = {line.split("==")[0] for line in (REPOSITORY / "constraints.txt").read_text().splitlines()}
    assert {"torch", "ray", "submitit"} <= pinned


def test_nobody_is_root_and_nothing_asks_the_network() -> None:
    assert given("USER")[-1] == [str(job()["spec"]["template"]["spec"]["securityContext"]["runAsUser"])]
    names = [words[0] for words in instructions(DOCKERFILE.read_text())]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert not any(name == "RUN" for name in names[names.index("USER") :])
    environment = given("ENV")[0]
    exported = [line.removeprefix("export ") for line in sections()["environment"]]
    for variable in ("HF_HUB_OFFLINE=1", "NO_ALBUMENTATIONS_UPDATE=1"):
        assert variable in environment
        assert variable in exported
    suite = load_suite(container()["args"][1])
    assert suite.architectures.weights == "none"
    assert suite.logging.wandb == "off"


def test_the_server_is_made_of_the_same_and_installs_its_extra() -> None:
    assert given("COPY", SERVER) == given("COPY")
    ignored = [CONTAINERS / f"{path.name}.dockerignore" for path in (DOCKERFILE, SERVER)]
    assert ignored[0].read_text() == ignored[1].read_text()
    (installed,) = [words for words in given("RUN", SERVER) if words[0] == "pip"]
    assert installed[-1] == '".[dicom,serve]"'
    pinned = {line.split("==")[0] for line in (REPOSITORY / "constraints.txt").read_text().splitlines()}
    assert {"fastapi", "uvicorn", "starlette", "python-multipart"} <= pinned
    assert {"HF_HUB_OFFLINE=1", "NO_ALBUMENTATIONS_UPDATE=1"} <= set(given("ENV", SERVER)[0])


def test_the_server_is_nobodys_root_needs_a_token_and_is_asked_whether_it_is_ready() -> None:
    names = [words[0] for words in instructions(SERVER.read_text())]
    assert given("USER", SERVER) == [["1000"]]
    assert names.index("RUN") < names.index("USER") < names.index("ENTRYPOINT")
    entry, more = (json.loads(" ".join(given(name, SERVER)[0])) for name in ("ENTRYPOINT", "CMD"))
    assert entry[0] == "pneumobench"
    options, _ = parsed(command_parser(COMMANDS), [*entry[1:], *more])
    assert (options.command, options.host, str(options.token_file)) == ("serve", "0.0.0.0", "/run/secrets/token")
    assert given("EXPOSE", SERVER) == [[str(options.port)]]
    assert f"http://127.0.0.1:{options.port}/health" in " ".join(given("HEALTHCHECK", SERVER)[0])
    shown = SERVER.read_text() + (REPOSITORY / "docs/how-to/serve.md").read_text()
    for words in ("--read-only", "--cap-drop ALL", f"-p 127.0.0.1:{options.port}:{options.port}", ":/bundle:ro"):
        assert shown.count(words) == 2


def test_the_pods_share_the_volume_and_start_the_same_command() -> None:
    assert job()["apiVersion"] == "batch/v1"
    spec, pod = job()["spec"], job()["spec"]["template"]["spec"]
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"] > 1
    assert pod["restartPolicy"] == "Never", "what podFailurePolicy needs"
    codes = next(rule["onExitCodes"] for rule in spec["podFailurePolicy"]["rules"] if "onExitCodes" in rule)
    assert codes["values"] == [WRONG_SETTINGS, UNUSABLE_DATA, CHECK_FAILED]
    assert codes["containerName"] == container()["name"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    mounts = {mount["mountPath"]: mount for mount in container()["volumeMounts"]}
    assert {mount["name"] for mount in mounts.values()} == volumes
    options, overrides = parsed(command_parser(COMMANDS), container()["args"])
    assert mounts[options.data]["readOnly"]
    assert str(options.output) in mounts
    assert overrides == []
    assert given("VOLUME") == [[f'["{options.data}",', f'"{options.output}"]']]
    assert pod["securityContext"]["runAsNonRoot"]
    assert not container()["securityContext"]["allowPrivilegeEscalation"]


def test_every_container_starts_the_command_line() -> None:
    assert given("ENTRYPOINT") == [['["pneumobench"]']]
    assert sections()["runscript"] == ['exec pneumobench "$@"']
    assert "pneumobench" in PROJECT["scripts"]


def commands() -> list[str]:
    """Return the command lines in comments of the container files and on the page about clusters."""
    texts = [path.read_text() for path in (DOCKERFILE, APPTAINER)]
    page = (REPOSITORY / "docs/how-to/clusters.md").read_text()
    texts += [content for language, _, content in BLOCK.findall(page) if language == "bash"]
    return [
        line.lstrip("# ") for text in texts for line in text.splitlines() if re.search(r"pneumobench\S* run ", line)
    ]


@pytest.mark.parametrize("line", commands())
def test_the_command_lines_are_understood(line: str) -> None:
    words = shlex.split(line)
    if "--wrap" in words:
        words = shlex.split(words[-1])
    place = next(n for n, word in enumerate(words[:-1]) if "pneumobench" in word and words[n + 1] == "run")
    options, _ = parsed(command_parser(COMMANDS), words[place + 1 :])
    assert options.command == "run"


def test_files_that_the_page_and_the_comments_name_exist() -> None:
    pages = [REPOSITORY / "docs/how-to" / name for name in ("clusters.md", "serve.md")]
    texts = [path.read_text() for path in (*CONTAINERS.iterdir(), *pages)]
    named = {name for text in texts for name in re.findall(r"containers/[\w.-]*\w", text)}
    assert named == {f"containers/{name}" for name in FILES}
    assert all((REPOSITORY / name).is_file() for name in named)
    assert len(commands()) > 5

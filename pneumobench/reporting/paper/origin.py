"""What a figure or table comes from, as the metadata of its file: in the terms of PDF, SVG, PNG, and as comments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

from pneumobench.files import sha256_of_file
from pneumobench.leaderboard.board import Leaderboard
from pneumobench.records.run_folder import RunFolder
from pneumobench.reporting.leaderboard import command_of_run
from pneumobench.reporting.paper.style import Format
from pneumobench.reporting.words import protocol_words
from pneumobench.texts import safe_text

UNKNOWN: Final = "not recorded"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where numbers come from.

    Args:
        facts: in words, by name, in the order they are shown; nothing of them depends on time or place.
    """

    facts: Mapping[str, str]

    def metadata(self, kind: Format, title: str) -> dict[str, Any]:
        """Return the metadata of a figure as matplotlib takes it, without any time.

        Args:
            kind: pdf (Info dictionary), svg (Dublin Core) or png (tEXt).
            title: of the figure.
        """
        lines = self.lines()
        if kind == "pdf":
            words = {"Title": title, "Subject": "; ".join(lines), "Keywords": ", ".join(self.keywords())}
            return {**words, "Creator": self.software, "CreationDate": None}
        if kind == "svg":
            words = {"Title": title, "Description": "; ".join(lines), "Source": self.facts["run"]}
            return {**words, "Keywords": list(self.keywords()), "Creator": self.software, "Date": None}
        return {"Title": title, "Software": self.software, **{f"pneumobench {key}": v for key, v in self.facts.items()}}

    @property
    def software(self) -> str:
        """What drew."""
        return f"pneumobench {self.facts['drawn with pneumobench']}"

    def keywords(self) -> tuple[str, ...]:
        """Return the few words to find a figure by."""
        return ("pneumobench", self.facts["suite"], f"seed {self.facts['seed']}")

    def lines(self) -> list[str]:
        """Return `name: fact` for each."""
        return [f"{key}: {value}" for key, value in self.facts.items()]


def origin_of(board: Leaderboard, folder: RunFolder) -> Origin:
    """Return what the figures of a run rest on."""
    software, hashes = board.provenance.software, board.provenance.hashes

    def recorded(key: str) -> str:
        return ", ".join(software.get(key, ())) or UNKNOWN

    manifest = folder.manifest_json
    seed = str(board.seed) if board.training_seed is None else f"{board.seed}, of the trainings {board.training_seed}"
    facts = {
        "suite": board.suite,
        "seed": seed,
        "split": protocol_words(board.protocol, board.folds),
        "command": command_of_run(folder, board.suite),
        "drawn by": f"pneumobench figures {'/'.join(folder.path.resolve().parts[-2:])}",
        "run": f"SHA-256 of manifest.json {sha256_of_file(manifest)}" if manifest.is_file() else "without a manifest",
        **{f"SHA-256 of {key}": value for key, value in hashes.items()},
        "pneumobench of the run": recorded("pneumobench"),
        "SHA-256 of its code": recorded("code"),
        "commit": recorded("commit") + (" (with changes)" if "yes" in software.get("dirty", ()) else ""),
        "drawn with pneumobench": version("pneumobench"),
        "drawn with matplotlib": version("matplotlib"),
    }
    return Origin(facts={key: safe_text(" ".join(value.split())) for key, value in facts.items()})

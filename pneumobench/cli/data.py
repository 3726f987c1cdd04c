"""Commands on data sets: what is known of them, how to get one, and what is wrong with one that is here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pneumobench.cli.exit_codes import CHECK_FAILED, DONE, UNUSABLE_DATA
from pneumobench.cli.shown import console_for, fields_of, next_step, path_word, print_json, tell
from pneumobench.texts import counted

if TYPE_CHECKING:
    from pneumobench.datasets.cards import DatasetCard


def audit(
    data: Path,
    *,
    overrides: list[str],
    plugin: list[str],
    source: str | None = None,
    lung_masks: str = "",
    output: Path = Path("audit.json"),
    rehash: bool = False,
    json: bool = False,
) -> int:
    """Check radiographs before anything is trained.

    Images, patients and classes are counted, and whatever is wrong is found. The layout is recognised by its files;
    `pneumobench datasets NAME` shows it for a published data set. Settings of the data are given as for a run, e.g.
    `--data.columns.image "Image Index"`.

    Args:
        data: data folder, or a table of images.
        overrides: settings of the data.
        plugin: a Python file that registers more layouts.
        source: layout of the folder, instead of the one recognised, e.g. rsna.
        lung_masks: folder of manual lung masks, relative to the data folder.
        output: the report; pairs of images that are one picture or look alike go to NAME_duplicates.csv beside it.
        rehash: read every image file, whether it was changed since a run in `runs` last read it or not.
        json: print the report as JSON, for a program; what is told meanwhile goes to stderr.
    """
    from pneumobench.datasets.audit import audit as audited
    from pneumobench.datasets.audit import audit_text, found_radiographs
    from pneumobench.datasets.cards import card_names, card_path, read_card
    from pneumobench.datasets.duplicates import duplicates_table
    from pneumobench.datasets.layouts import LAYOUTS
    from pneumobench.datasets.sources import recognised_data
    from pneumobench.errors import DataError
    from pneumobench.files import write_json, write_text
    from pneumobench.suite.reader import load_suite, with_data_overrides
    from pneumobench.suite.registry import load_plugin_file
    from pneumobench.suite.spec import Suite

    metadata: dict[str, Any]
    for file in plugin:
        load_plugin_file(Path(file))
    spec = with_data_overrides(recognised_data(data, source=source, lung_masks=lung_masks), overrides)
    suite = Suite(data=spec)
    console = console_for(json=json)
    kept = Path("runs", ".cache")  # of runs that were started here; an audit makes no folder of its own
    try:
        index, problems = found_radiographs(suite, kept if kept.is_dir() else None, rehash=rehash)
    except DataError as error:  # of the list of images; what it says is all that is known
        metadata = {"source": spec.source, "refusals": [str(error).replace(f"{spec.root}/", "").replace(spec.root, "")]}
        write_json(output, metadata)
        tell(console, "report", output)
        if json:
            print_json(metadata)
        raise
    metadata = {"source": spec.source, **audited(index, problems, suite=suite)}
    lines = [f"read as: {spec.source}", audit_text(metadata)]
    cards = [read_card(card_path(name)) for name in card_names()] if not LAYOUTS.get(spec.source).reads_table else []
    for card in cards:
        if card.source == spec.source and (absent := _absent_parts(card, metadata["splits"])):
            lines.append(f"not compared with the card {card.name}: no official {' and '.join(absent)} part")
        elif card.source == spec.source:
            differences = _published_differences(card, metadata["splits"])
            metadata["published"] = {"card": card.name, "differences": differences}
            unknown = [
                f"{part} {name}"
                for part, counts in card.counts.items()
                for name in ("normal", "pneumonia")
                if getattr(counts, name) is None
            ]
            lines.append(
                f"numbers of images by part and class as published (card {card.name}): {'no' if differences else 'yes'}"
                + (f"; not known to the card: {', '.join(unknown)}" if unknown else "")
            )
            lines += [f"    {line}" for line in differences]
    write_json(output, metadata)
    pairs = output.with_name(f"{output.stem}_duplicates.csv")
    write_text(pairs, duplicates_table(index))
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
    tell(console, "report", output)
    tell(console, "pairs of duplicates", pairs)
    if json:
        print_json(metadata)
    if problems or metadata["refusals"]:
        return UNUSABLE_DATA
    settings = ["--data.source", spec.source, "--data.root", path_word(spec.root)]
    settings += ["--data.csv", spec.csv] if LAYOUTS.get(spec.source).reads_table else []
    settings += ["--data.lung_masks", lung_masks] if lung_masks else []
    most, wanted = int(metadata["folds_at_most"]), load_suite("quickstart").folds.count
    settings += ["--folds.count", str(most)] if 1 < most < wanted else []
    plugins = [word for file in plugin for word in ("--plugin", path_word(file))]
    next_step(console, "run", "quickstart", "--name", "mine", *plugins, *settings, *overrides)
    return DONE


def _absent_parts(card: DatasetCard, splits: dict[str, Any]) -> list[str]:
    """Return the official parts of a card that are not there: the data are another set of its form, or a part."""
    return [part for part in card.counts if part in ("train", "test") and part not in splits]


def _published_differences(card: DatasetCard, splits: dict[str, Any]) -> list[str]:
    """Compare the parts that are read with the card; a part that is not read is not missed."""
    from pneumobench.datasets.cards import count_differences

    found = {part: {name: metadata[name] for name in ("normal", "pneumonia")} for part, metadata in splits.items()}
    read = {part: counts for part, counts in card.counts.items() if part in ("train", "test")}
    return count_differences(read, found)


def datasets(name: str | None = None, *, json: bool = False) -> int:
    """List the known data sets, or print the card of one.

    Args:
        name: name of a card, e.g. kermany.
        json: print the cards as JSON, for a program.
    """
    from pneumobench.datasets.cards import card_names, card_path, read_card

    if json:
        cards = [fields_of(read_card(card_path(one))) for one in ([name] if name else card_names())]
        print_json(cards[0] if name else cards)
        return DONE
    if name:
        print(card_path(name).read_text(encoding="utf-8"), end="")
        return DONE
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Known data sets", caption="pneumobench datasets NAME prints the card of one")
    for column in ("name", "title", "images", "data.source", "licence", "download"):
        table.add_column(column, overflow="fold", no_wrap=column in ("name", "data.source"))
    for card in (read_card(card_path(name)) for name in card_names()):
        known = [counts.images for counts in card.counts.values() if counts.images is not None]
        radiographs = f"{sum(known):,}" if known else "not known"
        table.add_row(
            card.name, card.pretty_name, radiographs, card.source, card.license, "yes" if card.kaggle else "by hand"
        )
    Console().print(table)
    next_step(console_for(), "download", "kermany", "--to", "DATA")
    return DONE


def download(name: str, *, to: Path | None = None) -> int:
    """Fetch a published data set, unpack it safely and compare it with its card.

    kagglehub (the extra `data`) is used, and the credentials that it finds, if Kaggle asks for any.

    Args:
        name: name of a card, e.g. kermany.
        to: new folder of the data set (default: data/NAME).
    """
    from pneumobench.datasets.cards import card_path, read_card
    from pneumobench.datasets.download import download as fetched

    card = read_card(card_path(name))
    print(f"{card.pretty_name}: {card.kaggle or card.url}; licence {card.license}")
    done = fetched(card, to or Path("data") / card.name)
    unpacked = done.unpacked
    print(f"{counted(unpacked.files, 'file')}, {unpacked.size_bytes / 2**20:,.0f} MiB in {done.folder}")
    if unpacked.junk or unpacked.copies:
        copies = counted(unpacked.copies, "second copy", "second copies")
        print(f"left out: {counted(unpacked.junk, 'file')} of an operating system, {copies}")
    for line in done.differences:
        print(f"not as published: {line}")
    if done.differences:
        return CHECK_FAILED
    print("images by part and class: as published")
    next_step(console_for(), "audit", done.folder)
    return DONE


COMMANDS = (audit, datasets, download)

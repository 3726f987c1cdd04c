"""A published data set from Kaggle to a checked folder."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pneumobench.datasets.archive import Unpacked, require_absent, require_space, staged_beside, unpack
from pneumobench.datasets.cards import DatasetCard, count_differences
from pneumobench.datasets.layouts.kermany import class_folders, image_files, kermany_base
from pneumobench.errors import DataError, SettingsError, install_words
from pneumobench.radiographs.formats import IMAGE_SUFFIXES

BY_HAND = "get it by hand as the card says"
MAX_ARCHIVE_BYTES = 8 * 2**30  # a server that announces more sends something else
SPARE_BYTES = 64 * 2**20  # what a disk keeps free besides the archive


@dataclass(frozen=True, kw_only=True)
class Downloaded:
    """A data set in its folder.

    Args:
        folder: where it is.
        unpacked: what was written and left out.
        differences: one line for each count that is not as published.
    """

    folder: Path
    unpacked: Unpacked
    differences: tuple[str, ...]


def download(card: DatasetCard, folder: Path) -> Downloaded:
    """Fetch the archive of a data set, unpack it safely, and compare its images with the card.

    The folder appears when all of it is there; a download that breaks off leaves nothing.

    Raises:
        SettingsError: kagglehub is not installed, the folder is there already, or the disk is too small.
        DataError: the card names no archive, the server refuses, the connection breaks, or the archive is refused.
    """
    if not card.kaggle:
        raise DataError(f"data set {card.name!r} cannot be downloaded from here; how to get it: {card.obtain}.")
    require_absent(folder)
    with staged_beside(folder) as stage:
        archive = stage / "archive.zip"
        fetch_archive(card.kaggle, archive)
        unpacked = unpack(archive, stage / "unpacked")
        require_absent(folder)  # it may have appeared during a long download
        (stage / "unpacked").replace(folder)
    return Downloaded(
        folder=folder, unpacked=unpacked, differences=tuple(count_differences(card.counts, images_by_class(folder)))
    )


def fetch_archive(handle: str, archive: Path) -> None:
    """Download the archive of a Kaggle data set as it is, with the client and the credentials of kagglehub.

    `kagglehub.dataset_download` always unpacks what it fetched, without limits; its parts up to the file are used here.

    Args:
        handle: OWNER/DATASET/versions/NUMBER.
        archive: file to write.

    Raises:
        SettingsError: kagglehub is not installed, or the disk is too small.
        DataError: the server refuses, the connection breaks, or the content is not what the server announced.
    """
    try:
        from kagglehub.clients import build_kaggle_client, download_file
        from kagglehub.exceptions import DataCorruptionError, handle_call
        from kagglehub.handle import parse_dataset_handle
        from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest
        from requests import RequestException
    except ImportError as error:
        raise SettingsError(
            f"downloading needs kagglehub, which cannot be imported ({error}): {install_words('data')}."
        ) from error
    dataset = parse_dataset_handle(handle)
    request = ApiDownloadDatasetRequest()
    request.owner_slug, request.dataset_slug = dataset.owner, dataset.dataset
    request.dataset_version_number = dataset.version
    try:
        with build_kaggle_client() as client:
            response: Any = handle_call(lambda: client.datasets.dataset_api_client.download_dataset(request), dataset)
            with response:
                size_bytes = int(response.headers.get("Content-Length", 0))
                if not 0 < size_bytes <= MAX_ARCHIVE_BYTES:
                    raise DataError(
                        f"{handle}: the server announces {size_bytes:,} bytes; expected 1 to {MAX_ARCHIVE_BYTES:,}, so "
                        f"nothing was fetched. Try again, or {BY_HAND}."
                    )
                require_space(archive.parent, size_bytes + SPARE_BYTES, "the archive")
                download_file(response, str(archive), dataset)
    except (RequestException, DataCorruptionError, ValueError) as error:  # the last: a credentials file of no use
        words = " ".join(str(error).split()).rstrip(".")
        raise DataError(f"{handle} could not be downloaded from Kaggle: {words}. Try again, or {BY_HAND}.") from error
    if archive.stat().st_size != size_bytes:
        raise DataError(
            f"{handle}: {archive.stat().st_size:,} of {size_bytes:,} bytes arrived, the connection broke; try again."
        )


def images_by_class(root: Path) -> dict[str, dict[str, int]]:
    """Count the image files of every part of a folder in the layout of Kermany et al., the part val included."""
    base = kermany_base(root)
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for one in class_folders(base) if base is not None else ():
        images = sum(file.suffix.lower() in IMAGE_SUFFIXES for file in image_files(one.folder))
        found[one.part][one.finding.kind] += images
    return {part: dict(counts) for part, counts in found.items()}

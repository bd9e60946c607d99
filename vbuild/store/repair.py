"""Lance datasets after a power cut or a careless hand: what cannot be read is put aside, the rest goes on.

Lance syncs nothing to the disk, so manifests and data files may be cut short or empty after a power cut.
"""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path
from typing import Any

import lance

from vbuild.store.locks import locked

MAGIC = b"LANC"
"""The last bytes of every manifest that was written to its end."""

LOG = logging.getLogger("vbuild")


def torn(path: Path) -> bool:
    """Whether the newest manifest of a dataset is not whole, or gone. Raises OSError if it may not be read."""
    return _torn(_manifests(path)[:1])


def roll_back(path: Path) -> bool:
    """Puts torn manifests aside, so that the newest whole version is the newest; False if there is none.

    Without any, the folder itself is put aside, under a name that says so.
    """
    with locked(path / ".lock"):
        manifests = _manifests(path)
        bad = 0
        while bad < len(manifests) and _torn(manifests[bad : bad + 1]):
            bad += 1
        if bad == len(manifests):
            aside = set_aside(path)
            LOG.warning("vbuild: %s: no version of it can be read; it is %s now, and is made again", path, aside.name)
            return False
        (path / "_damaged").mkdir(exist_ok=True)
        for manifest in map(Path, manifests[:bad]):
            manifest.rename(path / "_damaged" / f"{manifest.name}.{secrets.token_hex(4)}")
    if bad:
        LOG.warning("vbuild: %s: its %d newest versions cannot be read; the one before goes on", path, bad)
    return True


def lost(path: Path, dataset: Any) -> list[int]:
    """The fragments of a dataset of which a data file is missing or not of its size."""
    there = _sizes(path / "data")
    return [
        fragment.fragment_id
        for fragment in dataset.get_fragments()
        if any(not _whole(there.get(_name(file), 0), file.file_size_bytes) for file in fragment.data_files())
    ]


def without(path: Path, dataset: Any, fragments: list[int]) -> Any:
    """The dataset less some fragments: their rows are as if they had never been."""
    rows = dataset.count_rows()
    gone = lance.LanceOperation.Delete(updated_fragments=[], deleted_fragment_ids=fragments, predicate="false")
    left = lance.LanceDataset.commit(str(path), gone, read_version=dataset.version)
    LOG.warning("vbuild: %s: data files are damaged; %d rows are gone with them", path, rows - left.count_rows())
    return left


def set_aside(path: Path) -> Path:
    """Renames a dataset so that nobody takes it for one; its new name."""
    aside = path.with_name(f"{path.name}.damaged-{secrets.token_hex(4)}")
    path.rename(aside)
    return aside


def _manifests(path: Path) -> list[str]:
    """The manifests, the newest first: their names are numbers that fall."""
    folder = f"{path}/_versions"
    return [f"{folder}/{name}" for name in sorted(os.listdir(folder)) if name.endswith(".manifest")]  # noqa: PTH208


def _torn(manifests: list[str]) -> bool:
    return not manifests or not Path(manifests[0]).read_bytes().endswith(MAGIC)


def _sizes(folder: Path) -> dict[str, int]:
    """The bytes of each file of a folder."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.stat().st_size for entry in entries}
    except FileNotFoundError:
        return {}


def _name(file: Any) -> str:
    """The name of a data file; `path` makes a class for each, which is slow for thousands of files."""
    return str(vars(file).get("_path") or file.path)


def _whole(there: int, size: int | None) -> bool:
    return there > 0 if size is None else there == size

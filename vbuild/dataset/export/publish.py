"""Brings a folder to what an export shall hold: what differs is written, what left is removed, all else stays."""

from __future__ import annotations

import io
import json
import os
import secrets
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vbuild.errors import ExportError
from vbuild.store.locks import locked
from vbuild.store.place import LOCK, Folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from vbuild.dataset.export.piece import Piece

STATE = ".vbuild-export"
"""The folder in an export that says what it holds; nothing else in an export begins with it."""


NOTHING = ("", -1)
"""Sign and size of a path that is about to be written for the first time."""


@dataclass(frozen=True)
class Published:
    """What an export did."""

    written: int
    kept: int
    removed: int
    bytes: int
    """Of what was written."""


def publish(out: Path, purpose: Mapping[str, Any], pieces: Iterable[Piece], *, dry: bool = False) -> Published:
    """Writes the pieces whose sign or size is not what `out` holds, and removes what it held beside them.

    Each piece comes by a rename, so it is there whole or not at all; a file that no export wrote is never touched.
    What was written before an end that came early is not written again. `purpose` says what the export is of: a folder
    serves one `dataset` in one `format`; where another of its words differs, all is written anew. Raises ExportError
    for a folder that holds something else, and for two pieces of one path.
    """
    _unclaimed(out)
    if dry:
        return _publish(out, purpose, pieces, dry=True)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with locked(out / STATE / "lock"):
            _sweep(out / STATE)
            return _publish(out, purpose, pieces, dry=False)
    except OSError as error:
        raise ExportError(
            f"{error.filename or out}: it cannot be written ({error.strerror}); the export ends"
        ) from error


def _publish(out: Path, purpose: Mapping[str, Any], pieces: Iterable[Piece], *, dry: bool) -> Published:
    held = _held(out, purpose)
    wanted: dict[str, tuple[str, int]] = {}
    written = kept = size = 0
    with _Journal(out / STATE / "journal", dry=dry) as journal:
        for piece in pieces:
            if piece.path in wanted:
                raise ExportError(f"{piece.path}: two clips would lie there; export fewer columns or other clips")
            known = held.get(piece.path)
            whole = known is not None and known != NOTHING and _size(out / piece.path) == known[1]
            if known is not None and whole and known[0] == piece.sign:
                wanted[piece.path] = known
                kept += 1
                continue
            written += 1
            if not dry:
                if piece.path not in held:
                    _free(out / piece.path)
                    journal.add(piece.path, NOTHING)
                known = (piece.sign, _write(out, piece, whole=whole))
                journal.add(piece.path, known)
                size += known[1]
            wanted[piece.path] = known or NOTHING
    gone = [path for path in held if path not in wanted]
    if not dry:
        _remove(out, gone)
        listed = io.BytesIO()
        listed.writelines(_lines(purpose, wanted))
        Folder(out / STATE).put("files.jsonl", listed.getvalue())
        journal.end()
    return Published(written, kept, len(gone), size)


def _sweep(state: Path) -> None:
    """Removes what an export that was killed had half written."""
    for path in state.iterdir():
        if path.name not in (LOCK, "lock", "journal", "files.jsonl"):
            _delete(path)


class _Journal:
    """What was written since the list of files was: lines that are added as pieces come."""

    def __init__(self, path: Path, *, dry: bool) -> None:
        self.path = path
        self.stream = None if dry else path.open("a", encoding="utf-8")

    def __enter__(self) -> _Journal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.stream is not None:
            self.stream.close()

    def add(self, path: str, known: tuple[str, int]) -> None:
        if self.stream is not None:
            self.stream.write(json.dumps([path, *known]) + "\n")
            self.stream.flush()

    def end(self) -> None:
        self.path.unlink()


def _lines(purpose: Mapping[str, Any], files: Mapping[str, tuple[str, int]]) -> Iterator[bytes]:
    yield json.dumps(dict(purpose)).encode() + b"\n"
    for path, known in files.items():
        yield json.dumps([path, *known]).encode() + b"\n"


def _held(out: Path, purpose: Mapping[str, Any]) -> dict[str, tuple[str, int]]:
    """Path → sign and size, of what earlier exports wrote here. Raises ExportError if that was not this one."""
    files: dict[str, tuple[str, int]] = {}
    listed = out / STATE / "files.jsonl"
    if listed.is_file():
        with listed.open(encoding="utf-8") as lines:
            before = json.loads(next(lines))
            if any(before.get(name) != purpose[name] for name in ("dataset", "format")):
                was = f"{before.get('dataset')} as {before.get('format')}"
                raise ExportError(f"{out}: it holds an export of {was}; give another --out, or delete the folder")
            _read(lines, files)
        if before != dict(purpose):
            files = dict.fromkeys(files, NOTHING)
    if (journal := out / STATE / "journal").is_file():
        with journal.open(encoding="utf-8") as lines:
            _read(lines, files)
    return files


def _read(lines: Iterable[str], files: dict[str, tuple[str, int]]) -> None:
    """Adds what lines say; a last line that was cut short says nothing."""
    for line in lines:
        try:
            path, sign, size = json.loads(line)
        except ValueError:
            continue
        files[path] = (sign, size)


def _unclaimed(out: Path) -> None:
    """Raises ExportError for a folder that holds something and was never an export's."""
    if out.is_dir() and not (out / STATE).is_dir() and (other := sorted(os.listdir(out))):  # noqa: PTH208
        raise ExportError(f"{out}: it is not empty ({other[0]} is in it); give a folder that an export may fill")


def _free(target: Path) -> None:
    """Raises ExportError where a file lies that no export wrote."""
    if target.exists():
        raise ExportError(f"{target}: it was not written by an export; move it away")


def _write(out: Path, piece: Piece, *, whole: bool) -> int:
    """Writes a piece under a private name and moves it to its place; its size in bytes. `whole`: its former self is."""
    target = out / piece.path
    target.parent.mkdir(parents=True, exist_ok=True)
    private = out / STATE / secrets.token_hex(8)
    try:
        told = {"former": target if whole else None} if piece.revised else {}
        piece.write(private, *(out / path for path in piece.reads), **told)
        if target.is_dir():
            shutil.rmtree(target)
        private.replace(target)
    finally:
        _delete(private)
    return _size(target)


def _delete(path: Path) -> None:
    """Deletes a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    """Bytes of a file or of a folder's files; -1 if there is none."""
    if path.is_dir():
        return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _remove(out: Path, paths: Iterable[str]) -> None:
    """Removes pieces, and folders that nothing is left in."""
    for path in paths:
        target = out / path
        _delete(target)
        for folder in target.parents:
            if folder == out or any(folder.iterdir()):
                break
            folder.rmdir()

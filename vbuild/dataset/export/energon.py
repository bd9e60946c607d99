"""What Megatron-Energon keeps beside tar shards: where samples lie in them, the splits, and how a sample is made."""

from __future__ import annotations

import itertools
import sqlite3
import struct
import tarfile
import uuid
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING

import yaml

from vbuild.dataset.export.piece import Piece, of_bytes, of_json
from vbuild.dataset.export.selection import sign

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vbuild.dataset.export.samples import Held

META = ".nv-meta"

VERSION = "7.4.1"
"""Of the library whose layout it is."""

TABLES = """
create table samples (
    tar_file_id integer not null, sample_key text not null unique, sample_index integer not null,
    byte_offset integer, byte_size integer);
create table sample_parts (
    tar_file_id integer, sample_index integer, part_name text, content_byte_offset integer, content_byte_size integer);
create table shards (tar_file_id integer not null, sign text not null);
"""
"""The library's, and whose rows they are: those of a shard that stays are taken over."""

TAKEN = (
    """insert into samples select ?, sample_key, sample_index, byte_offset, byte_size
    from former.samples where tar_file_id = ? order by sample_index""",
    """insert into sample_parts select ?, sample_index, part_name, content_byte_offset, content_byte_size
    from former.sample_parts where tar_file_id = ? order by sample_index, content_byte_offset""",
)

INDEXES = """
create index idx_samples_by_tar_and_idx on samples(tar_file_id, sample_index);
create index idx_sample_parts_seq on sample_parts(tar_file_id, sample_index, content_byte_offset);
create index idx_sample_parts_full on sample_parts(
    tar_file_id, sample_index, part_name, content_byte_offset, content_byte_size);
"""


def pieces(shards: Sequence[Held]) -> Iterator[Piece]:
    """What stands beside tars.

    `<shard>.tar.idx` tells where each sample begins; `index.sqlite` of `.nv-meta` the same of all, with where each of
    their files is, which joins and random access want; `.info.json`, how many samples each shard holds; `split.yaml`,
    that all are to train with; `dataset.yaml`, that a sample is made by a cook of the user's.
    """
    tars = tuple(shard.path for shard in shards)
    for shard in shards:
        yield Piece(f"{shard.path}.idx", sign("idx", shard.sign), _write_offsets, (shard.path,))
    whole = sign("energon", 2, [(shard.path, shard.sign) for shard in shards])
    write = partial(_write_index, signs=[shard.sign for shard in shards])
    yield Piece(f"{META}/index.sqlite", whole, write, tars, revised=True)
    yield of_bytes(f"{META}/index.uuid", str(uuid.UUID(whole)).encode())
    counts = {shard.path: shard.samples for shard in shards}
    yield of_json(f"{META}/.info.json", {"energon_version": VERSION, "shard_counts": counts}, indent=2)
    split = {"split_parts": {"train": list(tars), "val": [], "test": []}, "exclude": []}
    yield of_bytes(f"{META}/split.yaml", yaml.safe_dump(split, sort_keys=False).encode())
    kind = {"__module__": "megatron.energon", "__class__": "CrudeWebdataset", "subflavors": {}}
    yield of_bytes(f"{META}/dataset.yaml", yaml.safe_dump(kind, sort_keys=False).encode())


def _samples(tar: Path) -> Iterator[tuple[str, int, int, list[tuple[str, int, int]]]]:
    """Of each sample of a tar its key, where it begins and ends, and of its files suffix, place and bytes."""

    def key(member: tarfile.TarInfo) -> str:
        return member.name.partition(".")[0]

    with tarfile.open(tar, "r:") as stream:
        for name, group in itertools.groupby(stream, key):
            members = list(group)
            last = members[-1]
            end = last.offset_data + -(-last.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
            parts = [(m.name[len(name) + 1 :], m.offset_data, m.size) for m in members]
            yield name, members[0].offset, end, parts


def _write_offsets(target: Path, tar: Path) -> None:
    """Where each sample of a tar begins and the last ends: uint64 (n + 1)."""
    spans = [(start, end) for _, start, end, _ in _samples(tar)]
    target.write_bytes(struct.pack(f"<{len(spans) + 1}Q", *(start for start, _ in spans), spans[-1][1]))


def _write_index(target: Path, *tars: Path, signs: Sequence[str], former: Path | None) -> None:
    """All samples and their files. Of tars, of those signs, only those are read that `former` does not tell of."""
    with closing(sqlite3.connect(target)) as database:
        database.executescript(TABLES)
        known = {} if former is None else _told(database, former)
        for number, (tar, of) in enumerate(zip(tars, signs, strict=True)):
            database.execute("insert into shards values (?, ?)", (number, of))
            if of in known:
                for taken in TAKEN:
                    database.execute(taken, (number, known[of]))
                continue
            for n, (key, start, end, parts) in enumerate(_samples(tar)):
                database.execute("insert into samples values (?, ?, ?, ?, ?)", (number, key, n, start, end - start))
                rows = [(number, n, *part) for part in parts]
                database.executemany("insert into sample_parts values (?, ?, ?, ?, ?)", rows)
        database.executescript(INDEXES)
        database.commit()


def _told(database: sqlite3.Connection, former: Path) -> dict[str, int]:
    """Sign of a tar → its number in a former database, which is at hand as `former` from then on.

    Of one that is none, or that does not say whose rows it holds, nothing is known.
    """
    with suppress(sqlite3.DatabaseError):
        database.execute("attach database ? as former", (str(former),))
        return {of: number for number, of in database.execute("select tar_file_id, sign from former.shards")}
    return {}

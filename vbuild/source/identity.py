"""The content of a source's files: known from before where a file looks as it did, else by its bytes."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from vbuild import digest, uris
from vbuild.contents import YOUNG_NS
from vbuild.errors import SourceError
from vbuild.source.lists import as_text

if TYPE_CHECKING:
    import numpy as np

    from vbuild.source.walk import Listing
    from vbuild.store.files import Files

UNNAMED = "its name is no UTF-8, and no table could hold it; rename the file"
CHANGED = "the file changed while it was read; the next build tries again"


@dataclass(frozen=True)
class Identified:
    """The files of a listing with the identity of their content."""

    ids: np.ndarray
    """(n,) V16 video ids; zeros where the file could not be read."""
    errors: dict[int, str]
    """Row → why the file could not be read."""
    read: int
    """Files that had to be read; the others were known by size, times and inode."""
    readable: bool
    """Whether each file that is there could be read."""
    young: tuple[int, ...] = ()
    """Rows of files that were read when they were so young that they may change and look the same."""
    away: dict[int, str] = field(default_factory=dict)
    """Row → why a file is out of reach whose content is known from the last build."""

    @property
    def settled(self) -> bool:
        """Whether the next build may go by how the files look."""
        return self.readable and not self.young


def identify(files: Listing, memo: Files, *, dry: bool = False, threads: int = 4) -> Identified:
    """The video id of every file: from the memo where it looks as it did, else by its bytes.

    What the open file looked like while it was read takes the place of what the listing says. A remote file's bytes
    are streamed once, and no more for as long as its etag and size are as they were. `dry`: the memo learns nothing.
    """
    import numpy as np

    def columns(rows: np.ndarray | slice) -> list[np.ndarray]:
        held = (files.sizes, files.mtimes, files.ctimes, files.inodes)
        return [np.array(column, np.int64)[rows] for column in held]

    ids, known = memo.lookup(files.uris, *columns(slice(None)))
    fresh = np.flatnonzero(~known)
    errors: dict[int, str] = {}
    old: list[int] = []
    young: list[int] = []
    with ThreadPoolExecutor(threads) as pool:
        for row, outcome in zip(fresh.tolist(), pool.map(_digest_file, (files.uris[r] for r in fresh)), strict=True):
            if isinstance(outcome, str):
                errors[row] = outcome
            else:
                ids[row] = np.void(outcome.digest)
                files.saw(row, outcome.seen)
                (young if outcome.young else old).append(row)
    if old and not dry:
        memo.add([files.uris[row] for row in old], *columns(np.array(old, np.int64)), ids[old])
    lasting = sum(1 for row, why in errors.items() if why == UNNAMED or files.sizes[row] < 0)
    readable = len(old) + len(young) + lasting == len(fresh)
    return Identified(ids, errors, len(fresh), readable, tuple(young))


def grown(files: Listing, identified: Identified, memo: Files) -> Identified:
    """The same at the end of a build, when files that were young are not any more: they are read once more.

    One that holds what it held, and looks as it did, is known from now on.
    """
    import numpy as np

    again = {row: _digest_file(files.uris[row]) for row in identified.young}
    old = [
        row
        for row, read in again.items()
        if isinstance(read, _Read)
        and not read.young
        and read.seen.same(files.seen(row))
        and read.digest == identified.ids[row].tobytes()
    ]
    if old:
        rows = np.array(old, np.int64)
        held = (files.sizes, files.mtimes, files.ctimes, files.inodes)
        memo.add([files.uris[row] for row in old], *(np.array(c, np.int64)[rows] for c in held), identified.ids[rows])
    return replace(identified, young=tuple(row for row in identified.young if row not in old))


@dataclass(frozen=True)
class _Read:
    """A file that was read."""

    digest: digest.Digest
    seen: uris.Seen
    young: bool
    """Its mtime is so near the clock that it may change again within a tick; one that lies ahead is not."""


def _digest_file(uri: str) -> _Read | str:
    """The digest of a file's bytes, with what the file looked like meanwhile, or why it could not be read."""
    if as_text(uri) != uri:
        return UNNAMED
    try:
        with uris.watched(uri) as (stream, look):
            seen, now = look(), time.time_ns()
            value = digest.of_stream(stream)
            return _Read(value, seen, abs(now - seen.mtime) < YOUNG_NS) if look().same(seen) else CHANGED
    except uris.trouble(SourceError) as error:
        return f"cannot be read: {uris.reason(error)}"

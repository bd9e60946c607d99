"""Videos that are out of reach: a disk that is not mounted, a server that is down, files that cannot be read."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from vbuild import uris
from vbuild.secrets import masked
from vbuild.source.walk import WILD, absolute, endings, is_pattern, wanted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vbuild.config import Source
    from vbuild.source.identity import Identified
    from vbuild.source.walk import Listing

KnownVideo = tuple[bytes, int]
"""The video id of a file, and its bytes."""


def recall(source: Source, files: Listing, identified: Identified, known: Mapping[str, KnownVideo]) -> Identified:
    """What is known of a source's files, with those that the last build read and this one cannot reach.

    `known` is what the last build read, by uri. A file that is gone from a folder that is there is gone; but a path of
    the source that cannot be listed, a folder that lists nothing where it listed something, and a file of a list that
    cannot be read, are out of reach. Files that are not in the listing are put behind those that are.
    """
    import numpy as np

    names = files.names
    away = {row: why for row, why in identified.errors.items() if names[row] in known}
    for row in away:
        files.sizes[row] = known[names[row]][1]
    listed = set(names)
    beyond = list(_beyond(source, files, [uri for uri in known if uri not in listed]))
    room = len(beyond) if source.limit is None else max(0, source.limit - len(files))
    for row, (uri, why) in enumerate(beyond[:room], len(files)):
        away[row] = why
        files.add([(uri, known[uri][1], 0, 0, 0)])
    names = files.names
    ids = np.concatenate([identified.ids, np.zeros(len(files) - len(identified.ids), "V16")])
    for row in away:
        ids[row] = np.void(known[names[row]][0])
    errors = {row: why for row, why in identified.errors.items() if row not in away}
    return replace(identified, ids=ids, errors=errors, away=away, readable=identified.readable and not away)


def _beyond(source: Source, files: Listing, missing: list[str]) -> Iterator[tuple[str, str]]:
    """Of files that were read and are not listed now those that are out of reach, with the reason, sorted."""
    tops = {_base(masked(path)): why for path, why in files.unreachable.items()}
    folders = {_base(masked(absolute(path))): path for path in source.path}
    ends = endings(source)
    empty: dict[str, str | None] = {}
    for uri in sorted(missing):
        top = next((top for top in folders if _under(uri, top)), None)
        if top is None or not wanted(uri, source) or (uri != top and not uri.lower().endswith(ends)):
            continue
        closed = next((why for top, why in tops.items() if _under(uri, top)), None)
        if closed is not None:
            yield uri, closed
        elif any(_under(uri, _base(masked(path))) for path in files.empty):
            yield uri, "nothing is listed where it was"
        elif not uris.is_remote(uri) and (why := _hollow(os.path.dirname(uri), top, empty)):  # noqa: PTH120
            yield uri, why


def _base(path: str) -> str:
    """A path of a source; of a pattern the folder in which it starts."""
    if not is_pattern(path):
        return path.rstrip("/")
    wild = WILD[path.startswith("http")]
    parts = path.split("/")
    return "/".join(parts[: next(n for n, part in enumerate(parts) if wild & set(part))])


def _under(uri: str, top: str) -> bool:
    return uri == top or uri.startswith((f"{top}/", f"{top}::"))


def _hollow(folder: str, top: str, known: dict[str, str | None]) -> str | None:
    """Why a file of a folder is out of reach: the nearest folder above it that is there is empty; None if it is gone.

    So looks the place of a disk that is not mounted.
    """
    if folder not in known:
        try:
            with os.scandir(folder) as entries:
                known[folder] = f"{folder} is empty" if next(entries, None) is None else None
        except FileNotFoundError:
            above = os.path.dirname(folder)  # noqa: PTH120
            known[folder] = _hollow(above, top, known) if len(folder) > len(top) else None
        except OSError as error:
            known[folder] = f"{folder} cannot be read ({uris.reason(error)})"
    return known[folder]

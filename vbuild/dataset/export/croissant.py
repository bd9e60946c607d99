"""What an export says of itself: a Croissant description for machines, and a summary."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from vbuild.dataset.export.piece import of_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vbuild.dataset.export.form import Described, Form
    from vbuild.dataset.export.piece import Piece
    from vbuild.dataset.export.selection import Selection

CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The JSON-LD context that Croissant 1.0 prescribes."""

TYPES = ((r"^(u?int)\d+$", "sc:Integer"), (r"^(float|double|halffloat)$", "sc:Float"), (r"^bool$", "sc:Boolean"))
"""Arrow type → Croissant's; others are texts."""


def told(form: Form, clips: Selection) -> Iterator[Piece]:
    """`croissant.json` and `summary.json`."""
    build, name = clips.dataset.build, clips.dataset.name
    count = len(clips)
    seconds = sum(sum(table["duration_s"].to_pylist()) for table in _durations(clips))
    videos: int = pc.count_distinct(clips.keys["uri"]).as_py()
    summary = {
        "dataset": name,
        "build": build["id"],
        "format": form.name,
        "where": clips.where,
        "clips": count,
        "videos": videos,
        "seconds": round(seconds, 3),
        "bytes": int(clips.keys["bytes"].to_numpy().sum()),
        "left_out": form.remarks(clips),
    }
    yield of_json("croissant.json", croissant(form, clips, f"{count} clips of video, made by vbuild"), indent=2)
    yield of_json("summary.json", summary, indent=2)


def _durations(clips: Selection) -> Iterator[Any]:
    for part in clips.chunks(size=1 << 16):
        yield clips.table(part, ["duration_s"])


def croissant(form: Form, clips: Selection, about: str) -> dict[str, Any]:
    """The Croissant description (1.0) of an export."""
    sets = form.described(clips)
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": re.sub(r"[^A-Za-z0-9_.-]", "_", clips.dataset.name),
        "description": about,
        "version": "1.0.0",
        "datePublished": f"{clips.dataset.build['time']:%Y-%m-%d}",
        "distribution": [_files(one) for one in sets],
        "recordSet": [_records(one) for one in sets],
    }


def _files(one: Described) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": one.name,
        "name": one.name,
        "encodingFormat": one.mime,
        "includes": one.glob,
    }


def _records(one: Described) -> dict[str, Any]:
    """The columns of files that are tables; of others, their names."""
    fields = one.columns or (("", "string"),)
    return {
        "@type": "cr:RecordSet",
        "@id": f"{one.name}_records",
        "name": f"{one.name}_records",
        "field": [_field(one, name, kind) for name, kind in fields],
    }


def _field(one: Described, column: str, kind: str) -> dict[str, Any]:
    name = column or "filename"
    extract = {"column": column} if column else {"fileProperty": "filename"}
    repeated = {"repeated": True} if "list<" in kind or "list[" in kind else {}
    inner = re.sub(r"^.*list<\w+: (\w+).*$", r"\1", kind)
    return {
        "@type": "cr:Field",
        "@id": f"{one.name}_records/{name}",
        "name": name,
        "dataType": next((shown for pattern, shown in TYPES if re.match(pattern, inner)), "sc:Text"),
        **repeated,
        "source": {"fileSet": {"@id": one.name}, "extract": extract},
    }

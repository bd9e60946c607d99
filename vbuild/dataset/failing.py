"""The verb `failures`: what failed of a dataset, on which footage, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vbuild.dataset import query
from vbuild.dataset.show import drawn
from vbuild.store.failures import Failures
from vbuild.verbs import dataset_parser, output_of, parsed, store_of

if TYPE_CHECKING:
    from collections.abc import Sequence


def failures(arguments: Sequence[str]) -> str:
    """What `vbuild failures` prints: a line an action that failed, newest last. Raises DatasetError."""
    parser = dataset_parser("failures", "What failed of a dataset, on which footage, and why.")
    parser.add_argument("name", help="the dataset")
    parser.add_argument("--json", action="store_true", help="for programs")
    found = parsed(parser, arguments)
    rows = failed(query.open(found.name, output=output_of(found)), store_of(found))
    if found.json:
        return json.dumps(rows, indent=1, default=str) + "\n"
    if not rows:
        return f"nothing failed in {found.name}\n"
    heads = ["stage", "file", "span", "attempts", "error", "message", "when"]
    return drawn(heads, [[_brief(head, row) for head in heads] for row in rows])


def failed(dataset: query.Dataset, store: Path) -> list[dict[str, Any]]:
    """The failures of a dataset's last build: a row each, with the file and, for a clip, its span in seconds."""
    clips = dataset.clips.search().select(["clip_id", "uri", "start_s", "end_s"]).limit(None).to_list()
    videos = dataset.videos.search().where("video_id is not null").select(["video_id", "uri"]).limit(None).to_list()
    places = {row["video_id"]: {"uri": row["uri"], "start_s": None, "end_s": None} for row in videos}
    places |= {row.pop("clip_id"): row for row in clips}
    names = {recipe["id"]: name for name, recipe in dataset.build["recipes"].items()}
    last = {(row["recipe"], row["key"]): row for row in Failures(store).all().to_pylist()}
    return [
        {
            "stage": names[row["recipe"]],
            **{name: places[row["item"].hex()][name] for name in ("uri", "start_s", "end_s")},
            **{name: row[name] for name in ("error", "message", "attempts", "created")},
            "versions": json.loads(row["versions"]),
        }
        for row in last.values()
        if row["recipe"] in names and row["item"].hex() in places
    ]


def _brief(head: str, row: dict[str, Any]) -> str:
    if head == "span":
        return "" if row["start_s"] is None else f"{row['start_s']:.3f}-{row['end_s']:.3f}"
    if head == "when":
        return f"{row['created']:%Y-%m-%d %H:%M}"
    if head == "message":
        return str(row["message"]).removeprefix(f"{row['error']}: ")
    return Path(row["uri"]).name if head == "file" else str(row[head])

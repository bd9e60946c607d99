"""Files of clips that were dropped, for exports that want them too."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vbuild.dataset import read
from vbuild.errors import ExportError
from vbuild.maintenance.rerun import config_of_build

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vbuild.dataset.read import Dataset
    from vbuild.stage import Stage


@contextmanager
def with_files_of_dropped(dataset: Dataset, media: str) -> Iterator[Dataset]:
    """The dataset as a build would leave it in which the stage `media` is for all clips, dropped ones too.

    What is missing is made, and stays in the store, as in any build; the dataset itself is left as it is. Raises
    ExportError if the stage is none of the dataset's, and what a build raises.
    """
    from vbuild.engine import build

    config = config_of_build(dataset.build, dataset.store, dataset.folder.parent)
    stage: Stage | None = config.by_path().get(f"stages.{media}")
    if stage is None:
        raise ExportError(f"{dataset.name}: {media} is none of its stages, so no file can be made of a dropped clip")
    with tempfile.TemporaryDirectory(prefix="vbuild-export-") as folder:
        everything = {**config.stages, media: replace(stage, clips="all")}
        build(replace(config, stages=everything, output=Path(folder)))
        yield read.open(config.name, store=dataset.store, output=folder)

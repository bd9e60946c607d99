"""What stands among the stages of a dataset and is none: it chooses or sorts clips by what stages measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from vbuild.fields import Kind
from vbuild.stage import Phase


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The build takes it, for all clips at once. It is in no key: to move its fields runs no stage that has run."""

    phase: ClassVar[Phase]
    together: ClassVar[bool] = True
    """It looks at all clips together; else at one by itself."""
    adds: ClassVar[Mapping[str, Kind]] = MappingProxyType({})
    """Of one that puts each clip somewhere and drops none: field → type of the columns that say where."""

    at: Phase | None = None
    """Another phase than its own, for this dataset."""

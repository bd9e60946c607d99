"""What stands among the stages of a dataset and is none: it chooses clips by what stages measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vbuild.stage import Phase


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The build takes it, for all clips at once. It is in no key: to move its fields runs no stage that has run."""

    phase: ClassVar[Phase]

    at: Phase | None = None
    """Another phase than its own, for this dataset."""

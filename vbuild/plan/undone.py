"""What a build leaves undone though no clip is to blame: nothing of it is put down, and the next build tries again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vbuild.store.failures import Failed


@dataclass
class Undone:
    """Stages that stopped for want of what they need, and actions that were not done for that or for their source's."""

    stages: dict[str, Failed] = field(default_factory=dict)
    """Recipe → what it stopped for."""
    actions: dict[tuple[str, bytes], Failed] = field(default_factory=dict)
    """Recipe and key → why."""

    def take(self, failed: Failed) -> None:
        """An action that is not done; with what is of the place its stage stops."""
        self.actions[failed.recipe, failed.key] = failed
        if failed.kind == "place":
            self.stages.setdefault(failed.recipe, failed)

"""Stages that run a model on words, beside vectors that another stage made: both must be of one model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vbuild.embedding import Reader
from vbuild.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vbuild.plan.wiring import Instance


def agree(instances: Mapping[str, Instance]) -> None:
    """Raises UsageError for one whose model is not that which made the vectors it reads, where that is known."""
    for name, instance in instances.items():
        if not isinstance(instance.stage, Reader):
            continue
        maker = instances.get(instance.ports[0].source)
        made = None if maker is None else maker.recipe.models.get("model")
        own = instance.recipe.models.get("model")
        if maker is not None and made is not None and made != own:
            raise UsageError(
                f"stages.{name}.model={instance.stage.model}: it is {own}, and the vectors of {maker.name} are of "
                f"{made}; leave model and revision out, and it takes theirs"
            )

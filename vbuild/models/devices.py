"""Which device a network runs on."""

from __future__ import annotations

from vbuild.errors import PlaceError


def chosen(name: str) -> str:
    """The device of a name, as torch calls it: of `auto` the first that there is of cuda, mps and cpu.

    Raises PlaceError for one that is not there.
    """
    import torch

    there = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available, "cpu": lambda: True}
    if name == "auto":
        return next(kind for kind, look in there.items() if look())
    if not there.get(name.partition(":")[0], lambda: True)():
        raise PlaceError(f"device={name}: torch finds no such device here; device=auto takes what there is")
    return name

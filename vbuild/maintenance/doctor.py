"""Looks whether this machine has what vbuild needs, and whether a store is well."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vbuild.declared import CONF
from vbuild.errors import StoreError, UsageError
from vbuild.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "vbuild-video"

LITTLE = 1 << 30
"""Bytes of free space below which a build may not end."""

Health = Literal["ok", "absent", "wrong"]
"""`absent`: something that not everybody needs; `wrong`: something that has to be mended."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    part: str
    what: str
    state: Health
    found: str
    remedy: str = ""


def examine(store: Path) -> Iterator[Finding]:
    """Everything, the program first; nothing is written but a file that is gone again. `store` need not be there."""
    yield from _program()
    yield from _libraries()
    yield from _devices()
    yield from _encoders()
    yield from _store(store)


def _program() -> Iterator[Finding]:
    known = versions()
    yield Finding("program", "vbuild", "ok", f"{known['vbuild']} in {Path(__file__).parents[1]}")
    yield Finding("program", "python", "ok", known["python"])
    yield Finding("program", "configuration", "ok", str(CONF))


def _libraries() -> Iterator[Finding]:
    """What the package asks for, and its extras."""
    try:
        asked = metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:
        yield Finding("libraries", PACKAGE, "wrong", "it is not installed", "pip install . in a clone of it")
        return
    extras: dict[str, list[str]] = {}
    for requirement in asked:
        name = re.split(r"[\s<>=!~;\[(]", requirement, maxsplit=1)[0]
        if extra := re.search(r"extra\s*==\s*['\"](\w+)['\"]", requirement):
            extras.setdefault(extra[1], []).append(name)
        elif (version := _version(name)) is None:
            yield Finding("libraries", name, "wrong", "it is not installed", f"pip install '{requirement}'")
        else:
            yield Finding("libraries", name, "ok", version)
    for group, names in sorted(extras.items()):
        lacking = [name for name in names if name != PACKAGE and _version(name) is None]
        if group != "dev":
            state: Health = "absent" if lacking else "ok"
            said = f"without {', '.join(lacking)}" if lacking else ", ".join(f"{n} {_version(n)}" for n in names)
            remedy = f"pip install '{PACKAGE}[{group}]'" if lacking else ""
            yield Finding("extras", group, state, said, remedy)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _devices() -> Iterator[Finding]:
    from vbuild.executor.memory import available
    from vbuild.media.hardware import cuda

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("devices", "processor", "ok", f"{cores} cores")
    yield Finding("devices", "memory", "ok", f"{available() / 2**30:.1f} GiB")
    device: Health = "ok" if cuda() else "absent"
    yield Finding("devices", "decoder", device, "CUDA" if cuda() else "no CUDA device opens; the processor decodes")
    if util.find_spec("torch") is None:
        yield Finding("devices", "models", "absent", "torch is not installed; stages with a network need it")
        return
    import torch

    yield from _vision()
    names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    yield Finding("devices", "models", "ok", ", ".join(names) or f"torch {torch.__version__}, on the processor")


def _vision() -> Iterator[Finding]:
    """Whether torchvision, where it is installed, fits torch: with one that does not transformers loads no model."""
    if util.find_spec("torchvision") is None:
        return
    found = f"torchvision {_version('torchvision')} beside torch {_version('torch')}"
    code = [sys.executable, "-c", "import torchvision.transforms.v2"]
    if subprocess.run(code, capture_output=True, check=False).returncode:  # noqa: S603
        remedy = "pip uninstall torchvision, which nothing here needs, or install both from one index"
        found += " does not load, so that transformers loads no model"
        yield Finding("devices", "torchvision", "wrong", found, remedy)
    else:
        yield Finding("devices", "torchvision", "ok", found)


def _encoders() -> Iterator[Finding]:
    from vbuild.media.encode import check
    from vbuild.media.options import ENCODERS

    for codec in ENCODERS:
        try:
            check(codec)
        except UsageError as error:
            why = re.search(r"\((.*?)\)", str(error))
            yield Finding("encoders", codec, "absent", why[1] if why else "it does not open on this machine")
        else:
            yield Finding("encoders", codec, "ok", "opens")


def _store(store: Path) -> Iterator[Finding]:
    from vbuild.maintenance.verify import verify
    from vbuild.store import roots

    there = next(folder for folder in (store, *store.parents) if folder.is_dir())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        yield Finding("store", str(store), "wrong", f"it cannot be written ({error.strerror})", "fix its rights")
    else:
        yield Finding("store", str(store), "ok", "it can be written" if there == store else "not there yet")
    free = shutil.disk_usage(there).free
    state: Health = "ok" if free > LITTLE else "wrong"
    remedy = "" if state == "ok" else "vbuild gc, or move the store"
    yield Finding("store", "free space", state, f"{free / 2**30:.1f} GiB", remedy)
    if there != store:
        return
    try:
        known, live = roots.known_datasets(store), roots.live(store)
        done = verify(store, repair=False)
    except StoreError as error:
        yield Finding("store", "health", "wrong", str(error))
        return
    yield Finding("store", "datasets", "ok", f"{len(known)}, {len(live)} being built now")
    for problem in done.problems:
        yield Finding("store", problem.what, "wrong", problem.why, "vbuild verify --all")
    looked = f"a hundredth of the results ({done.results}), {done.blobs} blobs and {done.tables} tables were looked at"
    yield Finding("store", "health", "wrong" if done.problems else "ok", looked)

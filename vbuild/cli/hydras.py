"""What only Hydra's own command line can do: sweeps, --cfg, --info and its completion."""

from __future__ import annotations

import io
import os
import re
import sys
from contextlib import redirect_stdout, suppress
from typing import TYPE_CHECKING

from vbuild.cli.build import built
from vbuild.errors import UsageError, VbuildError
from vbuild.secrets import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from omegaconf import DictConfig

FLAGS = ("--cfg", "-c", "--info", "-i", "-m", "--multirun", "-sc", "--shell-completion", "--hydra-help", "--package",
         "-p", "--resolve", "--run", "-r")  # fmt: skip
"""Flags that are Hydra's own business."""

SHOWING = ("--cfg", "-c", "--info", "-i")
"""Those of them that print a configuration."""

RESOLVING = ("--resolve", "-r")
"""That it is printed with what it takes from elsewhere."""

QUIET, VERBOSE = ("-q", "--quiet"), ("-v", "--verbose")
"""Flags of a build, which a sweep heeds too."""


def asks_hydra(arguments: Sequence[str]) -> bool:
    """Whether one of Hydra's flags is among arguments."""
    return any(argument.split("=")[0] in FLAGS for argument in arguments)


def run(arguments: Sequence[str]) -> int:
    """Hands over to Hydra's own command line, for what only it can do; under -m each job is a build."""
    import hydra
    from hydra.core.hydra_config import HydraConfig

    from vbuild.compose import REFUSALS, ROOT, config_composed, register, reworded, rewritten
    from vbuild.declared import CONF

    quiet, verbose = (any(a in flags for a in arguments) for flags in (QUIET, VERBOSE))
    arguments = [_named(a) for a in arguments if a not in (*QUIET, *VERBOSE)]
    register()
    codes: list[int] = []
    sweep = any(argument in ("-m", "--multirun") for argument in arguments)

    @hydra.main(version_base="1.3", config_path=str(CONF), config_name=ROOT)
    def job(composed: DictConfig) -> None:
        try:
            overrides = HydraConfig.get().overrides.task
            suffix = "-".join(o.lstrip("+") for o in overrides if not o.lstrip("+").startswith("dataset="))
            declared = str(HydraConfig.get().runtime.choices.get("dataset"))
            config = config_composed(composed, declared, suffix=_safe(suffix) if sweep else "")
            codes.append(built(config, quiet=quiet, verbose=verbose))
        except VbuildError as error:
            print(f"vbuild: {error}", file=sys.stderr)
            codes.append(error.exit_code)

    sys.argv = [sys.argv[0], *rewritten(arguments, sweep=sweep)]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # or Hydra prints its errors itself, in its own way
    try:
        if any(argument in SHOWING for argument in arguments):
            _masking(job, arguments)
        else:
            job()
    except REFUSALS as error:
        if codes and isinstance(error, ValueError):
            raise  # a build ran already, so this is no refusal of Hydra's
        raise UsageError(reworded(error)) from error
    return max(codes, default=0)


def _masking(show: Callable[[], None], arguments: Sequence[str]) -> None:
    """Shows a configuration without the secrets in it.

    Those of the environment are shown where it is resolved, and known when it is composed.
    """
    if any(word in RESOLVING for word in arguments):
        from vbuild.compose import load

        with suppress(VbuildError):
            load([word for word in arguments if not word.startswith("-") and ("=" in word or word.startswith("~"))])
    said = io.StringIO()
    try:
        with redirect_stdout(said):
            show()
    finally:
        print(masked(said.getvalue()), end="")


def _named(argument: str) -> str:
    """A bare word that is a dataset's name as a key."""
    from vbuild import declared

    return f"+dataset={argument}" if argument in declared.names() else argument


def _safe(text: str) -> str:
    """A text as a part of a folder's name."""
    return re.sub(r"[^\w.,=+-]+", "_", text)

"""The command: verbs, exit codes, and one line for every mistake."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from contextlib import redirect_stdout, suppress
from typing import TYPE_CHECKING

from vbuild import stops
from vbuild.errors import RAISED, Stopped, UsageError, VbuildError
from vbuild.secrets import masked, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from omegaconf import DictConfig

    from vbuild.config import Config
    from vbuild.report import Report

HELP = """\
vbuild: make for video datasets

  vbuild                              the datasets that can be built
  vbuild +dataset=NAME [KEY=VALUE …]  build one, or bring it up to date
  vbuild plan +dataset=NAME [KEY=…]   what would run, and why; --check: exit 3 if there is work; --json
  vbuild explain +dataset=NAME [--clip ID | --video URI] [--stage NAME] [--json]
                                      what keys are made of, and why actions hit or miss
  vbuild lock +dataset=NAME [KEY=…]   writes down its models, encoders and videos; locked=true refuses others
  vbuild query NAME ["words"]         search a built dataset
      [--where SQL] [--like CLIP_ID] [--limit N] [--all] [--format table|json|csv]
  vbuild ls                           the datasets that were built
  vbuild failures NAME [--trace] [--json]
                                      what failed in a dataset, why, and where in the code
  vbuild log NAME                     its builds: when, what changed, counts, seconds
  vbuild diff NAME [A [B]]            clips that came, went, changed, or are kept now and were not, and why
  vbuild restore NAME BUILD           brings it back to what a build left (an id of the log, or previous)
  vbuild gc [--keep-builds N] [--older-than 30d] [--dry-run]
                                      takes out of the store what no kept build uses
  vbuild verify [--sample 1%|--all] [--rerun N]
                                      checks results, blobs and tables, and drops what is damaged

Keys, as in the dataset's yaml:
  source.path=/my/videos              a folder, a glob, a video or a list file
  split.length=5                      a parameter of the splitter; split=NAME chooses another
  stages.transcode.crf=28             a parameter of a stage: only what depends on it runs
  stages.preview=null                 takes a stage away
  stage@stages.extra=motion           adds one
  where.still='motion_mean >= 0.002'  a condition that clips must meet; null takes it away
  executor.workers=4                  processes; 0 for none
  failures.retry=always               tries again what failed before (or: never, changed, transient)
  limits.seconds=600                  what one clip may take of a worker; more fails it alone
  store=/big/disk                     the cache (default ./cache, or $VBUILD_STORE)
  upstream=/shared/cache              a store that is only read; what it has is copied in (also s3://, gs://)

Hydra's own: --cfg job, --info, -m for sweeps, -sc install=bash for completion, --hydra-help.
Exit codes: 0 built or up to date, 1 failed, 2 wrong usage, 3 plan --check found work. A few bad clips or videos among
many (failures.tolerate) are no failure of the build.
"""

HYDRA = ("--cfg", "-c", "--info", "-i", "-m", "--multirun", "-sc", "--shell-completion", "--hydra-help", "--package",
         "-p", "--resolve", "--run", "-r")  # fmt: skip
"""Flags that are Hydra's own business."""

SHOWING = ("--cfg", "-c", "--info", "-i")
"""Those of them that print a configuration."""


def main() -> None:
    """Entry point of the `vbuild` command."""
    signal.signal(signal.SIGTERM, stops.stop)
    signal.signal(signal.SIGINT, stops.stop)
    if sys.stdout is None:  # closed by who called: the next file that is opened must not become it
        _mute()
    sys.exit(told(lambda: run(sys.argv[1:])))


def told(do: Callable[[], int]) -> int:
    """Does something, and turns what ends it early into a line and an exit code."""
    try:
        code = do()
        sys.stdout.flush()
    except BrokenPipeError:
        _mute()
        return 0
    except (KeyboardInterrupt, *RAISED) as error:
        if stops.asked() or isinstance(error, KeyboardInterrupt):
            return _stopped(error)
        if not isinstance(error, VbuildError):
            if not (isinstance(error, OSError) and _unwritable()):
                raise
            _mute()
            print(f"vbuild: stdout cannot be written: {error}", file=sys.stderr)
            return 1
        print(f"vbuild: {error}", file=sys.stderr)
        return error.exit_code
    return code


def _unwritable() -> bool:
    """Whether stdout refuses what it was given."""
    try:
        print(flush=True)
    except OSError:
        return True
    return False


def _mute() -> None:
    """Sends to nowhere what else is written to stdout, the interpreter's flush at exit too."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere != 1:
        os.dup2(nowhere, 1)
        os.close(nowhere)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  it lasts as long as the process


def _stopped(stop: BaseException) -> int:
    """Says how far a build came that a person stopped."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # another one has nothing left to end
    if isinstance(stop, Stopped):
        with suppress(OSError):
            _show(stop.report)
    print("vbuild: stopped; what was done is kept, the same command goes on from there", file=sys.stderr)
    return 130


def run(arguments: Sequence[str]) -> int:
    """Does what the arguments say and returns the exit code. Raises VbuildError."""
    if not arguments:
        return _list_datasets()
    if arguments[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    if arguments[0] == "--version":
        from vbuild import __version__

        print(f"vbuild {__version__}")
        return 0
    verb = VERBS.get(arguments[0])
    if verb is not None:
        return verb(arguments[1:])
    if any(argument.split("=")[0] in HYDRA for argument in arguments):
        return _hydra(arguments)
    return _build(arguments)


def _overrides(arguments: Sequence[str], flags: Sequence[str] = ()) -> list[str]:
    """The arguments that are keys with values. Raises UsageError, with the nearest word, for what is none."""
    found = [argument for argument in arguments if argument not in flags]
    for argument in found:
        if argument.startswith("-") or ("=" not in argument and not argument.startswith("~")):
            from vbuild.check import nearest

            kind, known = ("flag", [*HYDRA, *flags]) if argument.startswith("-") else ("command", [*VERBS])
            raise UsageError(f"{argument}: there is no such {kind}{nearest(argument, known)}; see vbuild --help")
    return found


def _list_datasets() -> int:
    from vbuild.compose import datasets

    print("Datasets (vbuild +dataset=NAME builds one):")
    for declared in datasets():
        note = "  [vbuild's own; yours of that name is hidden: rename it]" if declared.hides else ""
        print(f"  {declared.name:<16}{declared.about}{note}")
    print("See vbuild --help.")
    return 0


def _build(arguments: Sequence[str]) -> int:
    from vbuild.compose import load

    return _built(load(_overrides(arguments)))


def _built(config: Config) -> int:
    """Builds, shows what was done, and returns the exit code."""
    from vbuild.cli.console import Watcher
    from vbuild.engine import build

    with Watcher() as watcher:
        report = build(config, watch=watcher)
    try:
        _show(report)
    finally:
        for line in report.wrong:
            print(f"vbuild: {line}", file=sys.stderr)
    return 1 if report.wrong else 0


def _show(report: Report) -> None:
    """Prints a report; nobody listening changes nothing."""
    from vbuild.cli.console import show

    try:
        show(report)
        sys.stdout.flush()
    except BrokenPipeError:
        _mute()


def _failures(arguments: Sequence[str]) -> int:
    from vbuild.cli.failing import failures

    print(failures(arguments), end="")
    return 0


def _plan(arguments: Sequence[str]) -> int:
    from vbuild.cli.console import show
    from vbuild.compose import load
    from vbuild.engine import plan

    report = plan(load(_overrides(arguments, ("--check", "--json"))))
    if "--json" in arguments:
        import dataclasses

        print(json.dumps(plain(dataclasses.asdict(report)), indent=1))
    else:
        show(report, planned=True)
    return 3 if "--check" in arguments and (report.stale or not report.up_to_date) else 0


def _explain(arguments: Sequence[str]) -> int:
    from vbuild.cli.arguments import Parser

    parser = Parser(prog="vbuild explain", allow_abbrev=False)
    for name, what in (("clip", "an id, or its beginning"), ("video", "a path, or its end"), ("stage", "its name")):
        parser.add_argument(f"--{name}", help=what)
    parser.add_argument("--json", action="store_true")
    found, rest = parser.parse_known_args(list(arguments))

    from vbuild.compose import load
    from vbuild.engine import explain

    explanation = explain(load(rest), clip=found.clip, video=found.video, stage=found.stage)
    if found.json:
        import dataclasses

        print(json.dumps(plain(dataclasses.asdict(explanation)), indent=1))
    else:
        from vbuild.cli.console import explained

        print(explained(explanation))
    return 0


def _lock(arguments: Sequence[str]) -> int:
    from vbuild.cli.console import some
    from vbuild.compose import load
    from vbuild.maintenance import lock

    path, held, changed = lock.make(load(_overrides(arguments)))
    roles = [*(r for roles in (held.models, held.encoders) for stage in roles.values() for r in stage)]
    print(f"{path}: {', '.join([some(held.videos.count, 'video'), *roles])}")
    for difference in changed:
        print(f"  {difference.replace('the lock holds', 'it held')}")
    return 0


def _query(arguments: Sequence[str]) -> int:
    from vbuild.cli.show import search

    print(search(arguments), end="")
    return 0


def _ls(arguments: Sequence[str]) -> int:
    from vbuild.cli.show import ls

    print(ls(arguments), end="")
    return 0


def _keep(verb: str) -> Callable[[Sequence[str]], int]:
    """A verb that looks after stores and datasets."""

    def run(arguments: Sequence[str]) -> int:
        from vbuild.cli import say

        text, code = getattr(say, verb)(arguments)
        print(text, end="")
        return int(code)

    return run


KEEPING = ("log", "diff", "restore", "gc", "verify")

VERBS: dict[str, Callable[[Sequence[str]], int]] = {
    "build": _build, "plan": _plan, "explain": _explain, "query": _query, "ls": _ls, "failures": _failures,
    "lock": _lock,
}  # fmt: skip
VERBS |= {verb: _keep(verb) for verb in KEEPING}


def _hydra(arguments: Sequence[str]) -> int:
    """Hands over to Hydra's own command line, for what only it can do; under -m each job is a build."""
    import hydra
    from hydra.core.hydra_config import HydraConfig

    from vbuild.compose import CONF, REFUSALS, ROOT, config_of, register, reworded, rewritten

    register()
    codes: list[int] = []
    sweep = any(argument in ("-m", "--multirun") for argument in arguments)

    @hydra.main(version_base="1.3", config_path=str(CONF), config_name=ROOT)
    def job(composed: DictConfig) -> None:
        try:
            overrides = HydraConfig.get().overrides.task
            suffix = "-".join(o.lstrip("+") for o in overrides if not o.lstrip("+").startswith("dataset="))
            declared = str(HydraConfig.get().runtime.choices.get("dataset"))
            codes.append(_built(config_of(composed, declared, suffix=_safe(suffix) if sweep else "")))
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
    """Shows a configuration without the secrets in it; those of the environment are known when it is composed."""
    from vbuild.compose import load

    with suppress(VbuildError):
        load([argument for argument in arguments if "=" in argument or argument.startswith("~")])
    said = io.StringIO()
    try:
        with redirect_stdout(said):
            show()
    finally:
        print(masked(said.getvalue()), end="")


def _safe(text: str) -> str:
    """A text as a part of a folder's name."""
    import re

    return re.sub(r"[^\w.,=+-]+", "_", text)

"""The help of the whole, made from what the verbs say of themselves."""

from __future__ import annotations

from vbuild.cli.printer import wrapped
from vbuild.cli.verbs import GROUPS, parser_of, verb

KEYS = {
    "source.path=/my/videos": "a folder, a glob, a video or a list file",
    "split.length=5": "a parameter of the splitter; split=NAME chooses another",
    "stages.transcode.crf=28": "a parameter of a stage: only what depends on it runs",
    "stages.preview=null": "takes a stage away",
    "stage@stages.extra=motion": "adds one",
    "where.still='motion_mean >= 0.002'": "a condition that clips must meet; null takes it away",
    "executor.workers=4": "processes; 0 for none",
    "failures.retry=always": "tries again what failed before (or: never, changed, transient)",
    "limits.seconds=600": "what one clip may take of a worker; more fails it alone",
    "store=/big/disk": "the cache (default ./cache, or $VBUILD_STORE)",
    "upstream=/shared/cache": "a remote cache: a store that is only read; what it has is copied in (also s3://, gs://)",
}
"""Keys that are often given, each with what it does."""

BEHIND = 30
"""Letters before what a thing does."""

ENDING = """\
vbuild VERB --help tells a verb's flags, stages NAME a stage's parameters, show-config NAME every key of a dataset.
Hydra's own: --cfg job, --info, -m for sweeps, --hydra-help. vbuild completion bash prints a completion for the shell.
Exit codes: 0 built or up to date, 1 failed, 2 wrong usage, 3 plan --check found work. \
A few bad clips or videos among many (failures.tolerate) are no failure of the build.
"""


def help_of_all() -> str:
    """What `vbuild --help` prints."""
    lines = [
        "vbuild: make for video datasets\n\n",
        _line("vbuild", "the datasets that can be built"),
        _line("vbuild +dataset=NAME [KEY=VALUE …]", "builds one, or brings it up to date"),
    ]
    for group, names in GROUPS.items():
        lines.append(f"\n{group}:\n")
        lines += [_line(f"{name} {parser_of(name).usage_words()}", verb(name).ABOUT) for name in names]
    lines.append("\nKeys, as in the dataset's yaml:\n")
    lines += [_line(key, what) for key, what in KEYS.items()]
    return "".join([*lines, "\n", *map(wrapped, ENDING.splitlines())])


def _line(words: str, what: str) -> str:
    """One thing that can be typed, and what it does."""
    words = f"  {words.rstrip()}"
    if len(words) > BEHIND - 1:
        return f"{words}\n{wrapped(what, ' ' * BEHIND)}"
    return words + wrapped(what, " " * BEHIND)[len(words) :]

"""Which weights a name stands for: the commit of a hub's repository, or the digest of the files of a folder."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vbuild import digest
from vbuild.contents import file_digest
from vbuild.errors import PlaceError, UsageError, WeightsError, foreign_errors

HEX = re.compile(r"[0-9a-f]{40}")

REPO = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".onnx")

SHAPING = (*WEIGHTS, ".json", ".txt", ".model", ".tiktoken", ".py", ".jinja", ".yaml")
"""Endings of files that what a model says depends on: weights, configurations, tokenizers, templates, code."""

NAMELESS = "vbuild models NAME "
"""The command that gets the models of a dataset, where it is not known which one."""

PATIENCE = 5.0
"""Seconds that the hub may take to answer."""


@dataclass(frozen=True)
class Located:
    """Weights on this machine."""

    identity: str
    """`hub:<repository>@<commit of 40 hex>`, `dir:<digest>` or `file:<digest>`."""
    path: Path
    """Their folder; the file itself, where they are one."""
    source: str
    """What `from_pretrained` is given as the name."""
    arguments: dict[str, Any]
    """What it is given beside it."""

    @property
    def files(self) -> list[Path]:
        """All that shapes what the model says."""
        return [self.path] if self.path.is_file() else shaping(self.path)

    @property
    def size(self) -> int:
        """Bytes of them."""
        return sum(file.stat().st_size for file in self.files)


def of(model: str, revision: str | None = None) -> str:
    """The identity of a model's weights; what it is for `revision`, `locate` says. Raises UsageError as `locate`."""
    return locate(model, revision).identity


def pretrained(model: str, revision: str | None = None) -> tuple[str, dict[str, Any]]:
    """What every `from_pretrained` is given: name, and arguments that hold it to the very files that `of` names."""
    found = locate(model, revision)
    return found.source, dict(found.arguments)


def locate(model: str, revision: str | None = None) -> Located:
    """The weights of a name, on this machine: a folder, a file, or a repository of the hub in the hub's own cache.

    Of a repository without a revision, or with a branch's, it is the commit that was fetched last: what a hub has newer
    changes nothing until somebody fetches it. An identity is a revision too, and holds the weights to it. Nothing of
    torch or transformers is loaded, and the hub is only asked for what is not here.

    Raises WeightsError for weights that are not here, with the command that gets them, UsageError for a name that is
    none and for packages that are not installed, PlaceError for weights that are no longer those of an identity.
    """
    lacking = [name for name in ("transformers", "torch", "huggingface_hub") if find_spec(name) is None]
    if lacking:
        raise UsageError(f"model={model}: {lacking[0]} is not installed; pip install 'vbuild-video[models]' brings it")
    held = revision if revision and revision.startswith(("hub:", "dir:", "file:")) else None
    path = Path(model).expanduser()
    if path.exists():
        found = _local(model, path.absolute(), None if held else revision)
    elif not REPO.fullmatch(model):
        raise WeightsError(f"model={model}: there is no such folder; give one, or a repository of the hub")
    else:
        found = _cached(model, held.rpartition("@")[2] if held else revision)
    if held and found.identity != held:
        raise PlaceError(f"model={model}: it was {held} and is now {found.identity}; build again")
    return found


def shaping(folder: Path) -> list[Path]:
    """The files of a folder that what its model says depends on, in order; none whose name begins with a dot."""
    files = (file for file in folder.rglob("*") if file.suffix in SHAPING and file.is_file())
    return sorted(f for f in files if not any(part.startswith(".") for part in f.relative_to(folder).parts))


def lacks(folder: Path) -> str | None:
    """What a folder of weights does not hold, of what it must: a file that an index names, or any weights."""
    files = {file.relative_to(folder).as_posix() for file in shaping(folder)}
    for index in sorted(name for name in files if name.endswith(".index.json")):
        try:
            shards = json.loads((folder / index).read_text(encoding="utf-8")).get("weight_map", {}).values()
        except ValueError:
            return index
        named: set[str] = {(Path(index).parent / shard).as_posix() for shard in shards}
        if named & files and (gone := sorted(named - files)):  # without any, the weights are there in another form
            return gone[0]
    return None if any(name.endswith(WEIGHTS) for name in files) else f"weights (*{', *'.join(WEIGHTS)})"


def _local(model: str, path: Path, revision: str | None) -> Located:
    """Weights by their path."""
    if revision is not None:
        raise UsageError(f"revision={revision}: {model} is a path, whose files are what they are; leave it out")
    if path.is_file():
        return Located(f"file:{file_digest(path)}", path, str(path), {"local_files_only": True})
    if lacking := lacks(path):
        raise WeightsError(f"model={model}: the folder lacks {lacking}; give the folder of a whole model")
    parts = [(file.relative_to(path).as_posix(), file_digest(file)) for file in shaping(path)]
    return Located(f"dir:{digest.of('weights', *parts).hex()}", path, str(path), {"local_files_only": True})


def _cached(repo: str, revision: str | None) -> Located:
    """Weights of a repository: of the commit that the cache has for a revision, or the hub names, if that is here."""
    folder = _cache() / f"models--{repo.replace('/', '--')}"
    name = revision or "main"
    ref = folder / "refs" / name
    known = name if HEX.fullmatch(name) else ref.read_text(encoding="utf-8").strip() if ref.is_file() else None
    commit, why = (known, None) if known and _whole(folder, known) else asked(repo, revision)
    if commit is None or not _whole(folder, commit):
        raise WeightsError(f"model={repo}: {why or 'it is not on this machine; ' + command(repo, revision)}")
    arguments = {"revision": commit, "local_files_only": True}
    return Located(f"hub:{repo}@{commit}", folder / "snapshots" / commit, repo, arguments)


def command(repo: str, revision: str | None) -> str:
    """What gets a repository."""
    said = f" --revision {revision}" if revision else ""
    return f"`{NAMELESS}--download` or `hf download {repo}{said}` gets it"


def _cache() -> Path:
    """Where the hub's library keeps what it fetched, as the library itself has it of the environment."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _whole(folder: Path, commit: str) -> bool:
    snapshot = folder / "snapshots" / commit
    return snapshot.is_dir() and lacks(snapshot) is None


@cache
def asked(repo: str, revision: str | None) -> tuple[str | None, str | None]:
    """The commit that the hub names for a revision, or None; and why a person cannot have it yet, if that is known."""
    from huggingface_hub import HfApi, constants, errors

    page = f"{constants.ENDPOINT}/{repo}"
    gated = f"it is gated; accept its terms at {page}, `hf auth login`, and {command(repo, revision)}"
    try:
        info = HfApi().model_info(repo, revision=revision, timeout=PATIENCE)
    except errors.GatedRepoError:
        return None, gated
    except errors.RevisionNotFoundError:
        return None, f"the hub has it, but no revision={revision}; {page}/commits/main tells those that there are"
    except errors.RepositoryNotFoundError:
        return None, "the hub shows no such model; see how it is spelled, or `hf auth login` if it is not public"
    except (errors.HfHubHTTPError, errors.OfflineModeIsEnabled, OSError, *foreign_errors()) as error:
        why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"the hub does not answer: {_line(error)}"
        return None, f"it is not on this machine ({why}); {command(repo, revision)}"
    return info.sha, gated if info.gated else None


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:100] or type(error).__name__

"""The models of a dataset: which weights they are, whether they are here, and how they come here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from vbuild.contract import called
from vbuild.errors import PlaceError, UsageError, WeightsError, foreign_errors
from vbuild.models import identity
from vbuild.stage import named_weights

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vbuild.config import Config

UNUSED = ["*.h5", "*.msgpack", "*.ot", "*.tflite", "*.onnx", "*.gguf", "onnx/*", "openvino/*", "coreml/*", ".*"]
"""Files of repositories that nothing here reads: weights in forms of other libraries."""


@dataclass(frozen=True)
class Needed:
    """One model of one instance."""

    instance: str
    """Path of the stage's keys."""
    role: str
    model: str
    """As it is configured; "" for weights that come with a package."""
    revision: str | None
    identity: str | None
    """What enters keys; None for weights that are not here."""
    bytes: int | None
    """Of the files that shape what it says; of what is not here as the hub tells, if it does."""
    licence: str | None
    """As the model's card says, if it does."""
    why: str = ""
    """Why it is not here, and what to do."""


def needed(config: Config) -> Iterator[Needed]:
    """All models of a dataset, stage by stage."""
    for path, stage in config.by_path().items():
        named = named_weights(stage)
        for role, (model, revision) in named.items():
            try:
                found = identity.locate(model, revision)
            except UsageError as error:
                size, licence = (None, None) if not isinstance(error, WeightsError) else _told(model, revision)
                why = str(error).replace(identity.NAMELESS, _command(config))
                yield Needed(path, role, model, revision, None, size, licence, why)
            else:
                size, licence = found.size, licence_of(found.path)
                yield Needed(path, role, model, revision, found.identity, size, licence)
        if named:
            continue
        try:
            for role, value in stage.models().items():
                yield Needed(path, role, "", None, value, None, None)
        except UsageError as error:
            yield Needed(path, "", "", None, None, None, None, str(error))


def lacking(config: Config, first: UsageError) -> list[str]:
    """What all stages lack of their models, where `first`, which stopped a build, is one of them: else nothing.

    A line for each thing that is lacking, with the keys of those that lack it and the command that gets it.
    """
    found: dict[str, list[str]] = {}
    known = False
    for path, stage in config.by_path().items():
        try:
            called(stage, "models", path)
        except UsageError as error:
            text = str(error).replace(identity.NAMELESS, _command(config))
            key, colon, why = text.partition(": ")
            found.setdefault(why if colon else text, []).append(key if colon else "")
            known |= str(error).endswith(str(first))
    return [": ".join(filter(None, (", ".join(keys), why))) for why, keys in found.items()] if known else []


def _command(config: Config) -> str:
    return f"vbuild models {config.declared} "


def fetch(one: Needed) -> None:
    """Fetches a repository of the hub into the hub's own cache. Raises UsageError or PlaceError if it cannot be had."""
    from huggingface_hub import constants, errors, snapshot_download

    if not identity.REPO.fullmatch(one.model):
        raise UsageError(f"{one.instance}.{one.why}")
    page = f"{constants.ENDPOINT}/{one.model}"
    try:
        snapshot_download(one.model, revision=one.revision, ignore_patterns=[*UNUSED, *_doubled(one)])
    except errors.GatedRepoError as error:
        raise UsageError(f"{one.model}: it is gated; accept its terms at {page} and `hf auth login`") from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise UsageError(f"{one.model}: the hub shows no such model or revision; see {page}") from error
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, OSError, *foreign_errors()) as error:
        raise PlaceError(f"{one.model}: it could not be fetched ({' '.join(str(error).split())[:150]})") from error
    identity.asked.cache_clear()


def licence_of(folder: Path) -> str | None:
    """What the card in a folder says of its licence."""
    try:
        head = re.match(r"---\n(.*?)\n---", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)
        said = yaml.safe_load(head[1]) if head else None
    except (OSError, ValueError, yaml.YAMLError):
        return None
    licence = said.get("license") if isinstance(said, dict) else None
    return None if licence is None else str(licence)


def _told(model: str, revision: str | None) -> tuple[int | None, str | None]:
    """Bytes and licence, as the hub tells them."""
    info = _info(model, revision)
    if info is None:
        return None, None
    sizes = [file.size or 0 for file in info.siblings or () if file.rfilename.endswith(identity.SHAPING)]
    return sum(sizes), getattr(info.card_data, "license", None)


def _doubled(one: Needed) -> list[str]:
    """Patterns of weights that a repository has as safetensors too."""
    info = _info(one.model, one.revision)
    names = [file.rfilename for file in info.siblings or ()] if info else []
    return ["*.bin", "*.pt", "*.pth", "*.ckpt"] if any(name.endswith(".safetensors") for name in names) else []


def _info(model: str, revision: str | None) -> Any:
    """What the hub tells of a repository; None if it does not."""
    from huggingface_hub import HfApi, errors

    if not identity.REPO.fullmatch(model) or not identity.asked(model, revision)[0]:
        return None
    try:
        return HfApi().model_info(model, revision=revision, files_metadata=True, timeout=identity.PATIENCE)
    except (errors.HfHubHTTPError, OSError, *foreign_errors()):
        return None

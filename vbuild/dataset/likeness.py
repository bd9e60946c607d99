"""The vectors of words, pictures and videos, by the very model that made a dataset's."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from vbuild.check import hint, into
from vbuild.contract import member_class, named
from vbuild.embedding import WORDY, Network, Reader
from vbuild.errors import DatasetError, MediaError, PlaceError, SourceError, UsageError
from vbuild.executor.faults import Failure, attempt
from vbuild.executor.stages import loaded
from vbuild.plan.wiring import Instance
from vbuild.stage import Clip, Frames, Stage, named_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vbuild.dataset.read import Dataset


def of_words(dataset: Dataset, column: str, words: str) -> np.ndarray:
    """The vector of words, float32 (d,), among those of a column of embeddings.

    Raises DatasetError if the stage that made them knows no words, or is not here as it was; WeightsError if its
    weights are not.
    """
    instance = made_by(dataset, column)
    stage = instance.held
    if not knows_words(stage):
        raise DatasetError(f"{column}: stage {stage.title()} knows no words; those of {WORDY} do")
    if isinstance(stage, Reader):  # it loads nothing for clips, whose vectors it is given
        return np.asarray(stage.encoder().texts([words])[0])
    text: Any = stage
    return np.asarray(text.embed_text([words], _loaded(instance))[0])


def _loaded(instance: Instance) -> Any:
    """The model of a stage. Raises PlaceError for one that cannot be loaded here."""
    found = attempt(partial(loaded, instance.recipe.id, instance.held), loads=True)
    if isinstance(found, Failure):
        raise PlaceError(f"{instance.name}: its model cannot be loaded ({found.message})")
    return found


def knows_words(stage: Stage) -> bool:
    """Whether texts have vectors beside those of a stage. Raises WeightsError."""
    return stage.knows_words() if isinstance(stage, Network | Reader) else hasattr(stage, "embed_text")


def of_file(dataset: Dataset, column: str, path: Path) -> np.ndarray:
    """The vector of a picture or a video, seen whole: float32 (d,). Raises DatasetError, WeightsError."""
    from vbuild.media.spans import span_of_file

    if not path.is_file():
        raise DatasetError(f"{path}: there is no such file")
    try:
        span = span_of_file(str(path))
        row = _row(dataset, made_by(dataset, column), span)
    except (MediaError, SourceError) as error:
        raise DatasetError(f"{path}: {error}") from error
    if row[""] is None:
        raise DatasetError(f"{path}: stage {column} makes no vector of it")
    return np.asarray(row[""])


def of_picture(dataset: Dataset, column: str, pixels: np.ndarray) -> np.ndarray:
    """The vector of a picture, uint8 (h, w, 3) RGB: float32 (d,). Raises DatasetError, WeightsError."""
    import cv2

    with TemporaryDirectory(prefix="vbuild-") as folder:
        path = Path(folder, "picture.png")
        if not cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)):
            raise DatasetError(f"near: no picture can be made of an array of shape {pixels.shape}")
        return of_file(dataset, column, path)


def _row(dataset: Dataset, instance: Instance, span: Any) -> Mapping[str, Any]:
    """What a stage, and what it reads, says of a stretch of a file."""
    from vbuild.media.spans import sampled, seconds_of

    stage, columns = instance.held, {}
    if stage.sink or stage.scope != "clip":
        raise DatasetError(f"{instance.name}: stage {stage.title()} runs in builds only; ask by a clip or by words")
    for port in stage.reads:
        source = stage.of if isinstance(stage.of, str) else (stage.of or {}).get(port)
        if source is not None:
            columns[port] = _handed(dataset, made_by(dataset, source), span)
    request = stage.asks()
    if request is not None and not isinstance(request, Frames):
        raise DatasetError(f"{instance.name}: stage {stage.title()} wants more than pictures; ask by a clip")
    frames = None if request is None else sampled(span, request)
    clip = Clip(duration=seconds_of(span), frames=frames, columns=columns)
    (row,) = stage.run([stage.prepare(clip) if stage.hosted else clip], _loaded(instance))
    if isinstance(row, Exception):
        raise DatasetError(f"{instance.name}: {row}") from row
    return row


def _handed(dataset: Dataset, instance: Instance, span: Any) -> Mapping[str, Any]:
    """The same as another stage is given it: by way of the store's types."""
    row, handed = _row(dataset, instance, span), {}
    for name, kind in instance.writes.items():
        stored = kind.encoded(instance.name, [row[name]])[kind.handed]
        handed[name] = kind.value(stored[0], dataset.store / "blobs") if stored[0].is_valid else None
    return handed


def made_by(dataset: Dataset, column: str) -> Instance:
    """The stage that made a column, as the build had it.

    Raises DatasetError if what is here would make other vectors: another version, other weights.
    """
    recipes: Mapping[str, Any] = dataset.build["recipes"]
    owners = [name for name in recipes if column == name or column.startswith(f"{name}_")]
    declared: Mapping[str, Any] = dataset.build["config"]["stages"]
    name = max(owners, key=len, default="")
    if name not in declared:
        raise DatasetError(f"{column}: the build does not say what made it")
    path, said = f"stages.{name}", declared[name]
    keys = {key: value for key, value in said.items() if key not in ("_target_", "version")}
    cls = member_class(said["_target_"], path)
    given = _knobs(dataset, cls, name)
    stage = into(cls, {**keys, **given}, path)
    assert isinstance(stage, Stage)
    stage = replace(
        stage, **{knob: value for knob, value in _declared(dataset, name, stage).items() if knob not in given}
    )
    instance = Instance(name, stage)
    now, then = named(path, lambda: instance.recipe.manifest), recipes[name]
    uses = {code: version for code, version in then["uses"].items() if code != "deinterlace"}
    for what, mine, theirs in (
        ("its model", now["models"], then["models"]),
        ("its version", now["version"], then["version"]),
        ("its code", now["uses"], uses),
    ):
        if mine != theirs:
            raise DatasetError(
                f"{column}: {what} is not that of the vectors ({_told(mine)} here, {_told(theirs)} there), so that "
                f"they cannot be compared; build {dataset.name} again, or get back what it was built with"
            )
    named(path, stage.check)
    return instance


def _knobs(dataset: Dataset, cls: type[Any], name: str) -> dict[str, Any]:
    """What was given of a stage's knobs, which no build records: a device, another Python."""
    known = [f.name for f in fields(cls) if f.metadata.get("knob")]
    given = {key.partition(".")[2]: value for key, value in dataset.knobs.items() if key.startswith(f"{name}.")}
    for knob in given:
        if knob not in known:
            raise UsageError(f"{name}.{knob}: stage {cls.title()} has no such knob{hint(knob, known)}")
    return given


def _declared(dataset: Dataset, name: str, stage: Stage) -> dict[str, Any]:
    """How a stage runs by the file that declares the dataset here: knobs of the same model that are not the default's.

    None where there is no such file, or it cannot be read. A build records none of them: whether code of a checkpoint
    may run, and where, is for the one who asks to say.
    """
    from vbuild.compose import load
    from vbuild.declared import names

    declared = dataset.build["config"].get("declared")
    if declared not in names():
        return {}
    try:
        told = load([f"+dataset={declared}"], sourced=False).stages.get(name)
    except UsageError:
        return {}
    if not isinstance(told, Stage) or type(told) is not type(stage) or named_weights(told) != named_weights(stage):
        return {}
    knobs = [f for f in fields(told) if f.metadata.get("knob")]
    return {f.name: value for f in knobs if (value := getattr(told, f.name)) != getattr(stage, f.name)}


def _told(value: Any) -> str:
    """A version, or identities, in few words."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" for name, part in value.items()) or "none"
    return str(value)

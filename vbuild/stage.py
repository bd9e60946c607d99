"""What a stage is: what it declares, what it may ask of the footage, what it is given and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, get_args

from vbuild.fields import Kind, kind_from
from vbuild.request import CELL as CELL
from vbuild.request import Frames as Frames
from vbuild.request import Media as Media
from vbuild.request import Moved as Moved
from vbuild.request import Packets as Packets
from vbuild.request import Request as Request
from vbuild.request import Sampled as Sampled
from vbuild.request import Sound as Sound
from vbuild.request import Vectors as Vectors
from vbuild.values import Blob as Blob
from vbuild.values import StoredBlob as StoredBlob
from vbuild.windows import Stretch as Stretch
from vbuild.windows import Window as Window
from vbuild.windows import Windows as Windows

if TYPE_CHECKING:
    import av
    import numpy as np
    import pyarrow as pa

Phase = Literal["measure", "embed", "dedup", "balance", "annotate", "produce"]
"""Where a stage stands by default: what is cheap and drops much comes first."""

PHASES: tuple[Phase, ...] = get_args(Phase)

Row = Mapping[str, Any]
"""One result: a value for every field of `writes`. None is a value that could not be had, never -1 or ""."""


def knob(default: Any) -> Any:
    """A field that changes how fast a stage runs, never what it writes; it enters no recipe."""
    return field(default=default, metadata={"knob": True})


def wiring(default: Any) -> Any:
    """A field that says where a stage stands in its dataset; it enters no recipe."""
    return field(default=default, metadata={"wiring": True})


def weights(default: Any = MISSING) -> Any:
    """A field that names weights, or their revision: it enters no recipe, for `models` tells which weights those are.

    The revision of a field `x` is called `x_revision`, that of `model` just `revision`. `models` tells them by the
    fields' names; when the stage runs, a revision is what `models` told, so that what is loaded is what the key says.
    """
    return field(default=default, metadata={"weights": True})


def lent() -> Any:
    """A field for another stage of the dataset, which the configuration fills in; the key holds that one's recipe."""
    return field(default=None, repr=False, metadata={"lent": True})


@dataclass(frozen=True, kw_only=True)
class Decode:
    """How footage is decoded, for all stages alike."""

    device: Literal["auto", "cpu", "cuda"] = knob("auto")
    """`cuda`: a GPU's decoder, and the processor where there is none; `auto`: the same, without a word about it."""
    deinterlace: bool = False
    """Whether frames that are marked as interlaced are made whole (by FFmpeg's bwdif, a frame for a frame)."""


@dataclass(frozen=True)
class Clip:
    """What a stage is given of one clip (or of one whole video, for `scope: video`)."""

    duration: float
    """Seconds, by presentation times."""
    start: float = 0.0
    """Seconds of the source's clock."""
    bitrate: int | None = None
    """Bits a second of the source's picture."""
    fps: float | None = None
    """Frames a second of the source; None where it has but one."""
    frames: Sampled | None = None
    window: Stretch | None = None
    """Of a stage that asks for windows: the one that this is. Times of its frames are from the clip's start."""
    sound: np.ndarray | None = None
    """float32 (channels, samples)."""
    vectors: Moved | None = None
    columns: Mapping[str, Row] = field(default_factory=dict)
    """Per port of `reads`, the values read, a blob as a `StoredBlob`; a port that is not wired is absent."""
    made: Any = None
    """What the stage's own `prepare` made for its `run`."""
    scratch: Path | None = None
    """A folder on the store's file system in which a sink may leave files for its `Blob`s."""
    uri: str | None = None
    """Path of the source file, for stages of `scope: video` that ask for the whole file. In no key."""


Send = Callable[[Sampled], None]
"""Hands a part of a clip over to where the model is."""


class Sink(Protocol):
    """Takes a clip's footage while it is decoded, so that it is never held."""

    def frame(self, frame: av.VideoFrame | np.ndarray, time: float) -> None:
        """One frame and its time in seconds from the clip's start: as decoded for `Media`, an array for `Frames`,
        samples for `Sound`, block after block."""

    def packet(self, packet: av.Packet[Any]) -> None:
        """One packet, of sound for `Media`, of picture or sound for `Packets`; times are the source's."""

    def close(self) -> Row:
        """The clip is over: its row."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A pure function with a version and parameters: the fields of a subclass.

    A subclass declares the class variables, and either `run` (batches of clips) or `open` (a sink a clip).
    It logs nothing, catches nothing and opens no file; heavy imports stand inside `load` and `run`.

    A parameter may be a `Path`, which stands in the recipe for what its file or the files of its folder hold, wherever
    they lie, and an `Enum`, which a configuration names by a member's value or name and whose value is in the recipe.
    """

    version: ClassVar[int]
    phase: ClassVar[Phase]
    reads: ClassVar[Mapping[str, Sequence[str]]] = {}
    """Port → the fields it reads of the instance wired to it by `of`. A port that ends in "?" may stay unwired."""
    scope: ClassVar[Literal["video", "clip"]] = "clip"
    dear: ClassVar[bool] = False
    """A model, a GPU or an encoder: worth a decode of its own to see only the clips that are left."""
    sink: ClassVar[bool] = False
    """The stage takes its footage through `open`."""
    hosted: ClassVar[bool] = False
    """`load` and `run` are for a process that holds the model, apart from those that decode: one a device, to which
    passes hand what they found, and in which clips of all videos make up a batch."""
    partial: ClassVar[bool] = False
    """Of a stage that gives an answer for each part of a clip: a row is worth having though some of them failed, for
    which `join` is given None. The failure stands beside the row, and is tried again as any other."""
    uses: ClassVar[Mapping[str, int]] = {}
    """Code outside the stage that shapes its output, with its version (`{"passes": passes.VERSION}`)."""

    of: str | Mapping[str, str] | None = wiring(None)
    """The instance (or per port the instance) whose columns this one reads."""
    clips: Literal["kept", "all"] = wiring("kept")
    """Which clips it is for: those that are kept where it stands, or all."""
    at: Phase | None = wiring(None)
    """Another phase than the stage's own, for this dataset."""
    batch: int = knob(16)
    """Clips given to `run` at once."""
    batch_bytes: int = knob(256 << 20)
    """Bytes of them, at most, where the stage is hosted."""

    @property
    def writes(self) -> Mapping[str, Kind | str | pa.DataType]:
        """Field → type, in the class's body, or as a property where it depends on parameters.

        A type is one of `vbuild.fields`, or in words: an Arrow alias (`float32`, `int64`, `string`, `bool`),
        `vector[n]`, `list[float64]`, `caption` (a list of `Window`), `blob` or `blobs` (a list; both expand to uri,
        bytes and digest). The field "" takes the instance's own name.
        """
        raise NotImplementedError

    @property
    def mentions(self) -> Sequence[str]:
        """Columns that it reads beside its ports, of stages or of the source's lists: each is a port, of its name."""
        return ()

    def asks(self) -> Request | None:
        """What it wants of the footage; None for a stage that reads columns only."""
        return None

    def models(self) -> Mapping[str, str]:
        """Identities of the models it loads, by role."""
        return {}

    def model_bytes(self) -> int:
        """Bytes of its models, beside those that fields name: what is too much for a device together takes turns."""
        return 0

    def encoders(self) -> Mapping[str, str]:
        """The encoders that make its files, each with what tells one build of it from another: for locks, in no key."""
        return {}

    def effective(self) -> Self:
        """The stage with its parameters as they come into effect, which alone enter its recipe.

        Where two ways of writing parameters make it do the same, it returns one stage for both, and the one with the
        defaults where they do.
        """
        return self

    def check(self) -> None:
        """Raises UsageError, in a message that begins with a field's name, if it cannot run on this machine.

        It is called before a build starts in which the stage may run.
        """

    def holds(self, width: int, height: int) -> int:  # noqa: ARG002
        """Bytes that it holds of a clip whose pictures are of a size, beside what it asks for: how many run at once."""
        return 0

    def load(self) -> Any:
        """What is dear to make (a model), once a worker; handed to `run` and `open`."""
        return None

    def run(self, clips: Sequence[Clip], model: Any) -> Iterable[Row | Exception]:
        """One row for each clip, in order; or, of one that has none, the exception that tells why."""
        raise NotImplementedError

    def open(self, clip: Clip, model: Any) -> Sink:
        """A sink for one clip, which is fed while the pass decodes.

        That of a hosted stage is given, in place of the model, a function to which it gives parts of the clip, as
        `Sampled`, each as soon as it has it. `run` answers with a row for each part; what `close` returns need not be a
        row of the stage: it is what `join` wants beside the answers.
        """
        raise NotImplementedError

    def prepare(self, clip: Clip) -> Clip:
        """Of a hosted stage: what `run` is to see of a clip, made where it was decoded."""
        return clip

    def shape(self, clip: Clip) -> tuple[object, ...]:
        """Of a hosted stage: what clips that go through the model together must have in common."""
        pixels = () if clip.frames is None else (clip.frames.pixels.dtype.str, *clip.frames.pixels.shape)
        return pixels if clip.sound is None else (*pixels, *clip.sound.shape)

    def join(self, left: Row, parts: Sequence[Any]) -> Row:
        """Of a hosted stage that is given a clip in parts: the clip's row, of the answers (each a `Row`), in order.

        `left`: what the sink's `close` left; of one that asks for windows, `{"windows": [Stretch, …]}`.
        """
        raise NotImplementedError

    @classmethod
    def title(cls) -> str:
        """The stage's name in recipes and in the store: its full path; of one of vbuild's that its module is named
        after, the module's."""
        package, _, module = cls.__module__.rpartition(".")
        named = package.startswith("vbuild.") and cls.__qualname__.lower() == module.replace("_", "")
        return module if named else f"{cls.__module__}.{cls.__qualname__}"


def outputs(stage: Stage) -> dict[str, Kind]:
    """What a stage writes: field → type. Raises UsageError for a type that is none."""
    return {f: kind_from(kind) for f, kind in declared_writes(stage).items()}


def declared_writes(stage: Stage) -> Mapping[str, Any]:
    """`writes` as the stage has it: a mapping, or what a property or a method gives."""
    writes: Any = stage.writes
    return writes() if callable(writes) else writes  # type: ignore[no-any-return]


def revisions(stage: Stage) -> dict[str, str]:
    """Each field that names weights, with the field of their revision, of those that have one."""
    marked = {f.name for f in fields(stage) if f.metadata.get("weights")}
    return {name: of for name in marked if (of := "revision" if name == "model" else f"{name}_revision") in marked}


def named_weights(stage: Stage) -> dict[str, tuple[str, str | None]]:
    """Each field that names weights, with the name and the revision that a stage has of it."""
    paired = revisions(stage)
    names = [f.name for f in fields(stage) if f.metadata.get("weights") and f.name not in paired.values()]
    values = {name: getattr(stage, name) for name in names}
    revision = {name: getattr(stage, paired[name]) for name in names if name in paired}
    return {name: (str(value), revision.get(name)) for name, value in values.items() if value is not None}


def lenders(stage: Stage) -> dict[str, Stage]:
    """Each field that holds another stage, with that."""
    held = {f.name: getattr(stage, f.name) for f in fields(stage) if f.metadata.get("lent")}
    return {name: other for name, other in held.items() if other is not None}


def by_parameters(cls: type[Stage]) -> bool:
    """Whether what a stage writes depends on its parameters: only one that is made can say it."""
    return isinstance(cls.writes, property) or callable(cls.writes)

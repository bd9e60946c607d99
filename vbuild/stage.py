"""What a stage is: what it declares, what it may ask of the footage, what it is given and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, get_args

from vbuild.fields import Kind, kind_from
from vbuild.values import Blob as Blob
from vbuild.values import StoredBlob as StoredBlob
from vbuild.windows import Stretch as Stretch
from vbuild.windows import Window as Window
from vbuild.windows import Windows as Windows

if TYPE_CHECKING:
    import av
    import numpy as np
    import pyarrow as pa

Phase = Literal["measure", "embed", "dedup", "annotate", "produce"]
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


Fit = Literal["squash", "crop", "pad"]
Kernel = Literal["area", "bilinear", "bicubic"]
Rounding = Literal["round", "floor"]


@dataclass(frozen=True, kw_only=True)
class Frames:
    """Sampled frames of each clip, chosen by presentation time: one of `fps`, `count` or `every`.

    `fps`: at start, start + 1/fps, … the frame nearest in time. `count`: at the middles of that many equal parts; with
    `ends`, at that many moments evenly from start to end. `every`: all frames. A clip's pictures are the frame that
    stands when it begins, at time 0 though it may have come before, and those that come until it ends, its end not in
    it.
    """

    fps: float | None = None
    count: int | None = None
    ends: bool = False
    every: bool = False
    size: tuple[int, int] | None = None
    """Width and height in pixels."""
    fit: Fit = "squash"
    """How a picture of another shape comes to `size`: its shape is not kept; or it is kept, and what is over is cut off
    at both ends; or all of it lies in the middle, on black. Smaller pictures are enlarged."""
    short_side: int | None = None
    """The shorter side in pixels, the shape kept; smaller pictures are not enlarged. With `fit="crop"` the shorter side
    before the cut, where more than `size` needs is cut off."""
    long_side: int | None = None
    """The longer side in pixels, the shape kept; smaller pictures are not enlarged."""
    height: int | None = None
    """The height in pixels, the shape kept, the width even; smaller pictures are not enlarged."""
    pairs: bool = False
    """With each frame the one right behind it."""
    format: Literal["rgb24", "gray"] = "rgb24"
    kernel: Kernel = "area"
    """How pixels are made of others: `area` costs least; the others, in exact colours, come within 53 dB of Pillow's,
    with which most models were trained."""
    rounding: Rounding = "round"
    """How a side that follows from the picture's shape is made whole; models know it as round() or int()."""
    windows: Windows | None = None
    """Of a hosted stage: each window of a clip by itself. Of one in which no sampled frame lies the first is taken."""

    def __post_init__(self) -> None:
        """Raises ValueError for frames that cannot be chosen or made."""
        chosen = [
            n for n in ("fps", "count", "every") if getattr(self, n) is not None and getattr(self, n) is not False
        ]
        if len(chosen) != 1:
            raise ValueError(f"Frames({', '.join(chosen)}): one of fps, count and every is needed")
        if not (self.every or (self.count or self.fps or 0) > 0):
            raise ValueError(f"{chosen[0]}={getattr(self, chosen[0])}: must be more than 0")
        if self.ends and (self.count or 0) < 2:
            raise ValueError("ends=True: it needs a count, of 2 at least")
        for name, known in (("fit", Fit), ("kernel", Kernel), ("rounding", Rounding)):
            if getattr(self, name) not in get_args(known):
                raise ValueError(f"{name}={getattr(self, name)!r}: it must be one of {', '.join(get_args(known))}")
        if self.windows is not None and (self.count is not None or self.pairs):
            raise ValueError("windows: their frames are chosen by fps or every, and are no pairs")
        if self.fit != "squash" and self.size is None:
            raise ValueError(f"fit={self.fit!r}: it needs a size")
        if self.fit == "crop" and self.short_side is not None and self.short_side < max(self.size or ()):
            raise ValueError(f"short_side={self.short_side}: it must be as long as both sides of size={self.size}")


@dataclass(frozen=True, kw_only=True)
class Sound:
    """The clip's sound as float32 samples; silence where the source has none within the clip."""

    rate: int = 48_000
    """Samples a second."""
    channels: int = 1


@dataclass(frozen=True, kw_only=True)
class Media:
    """Every frame at full size as it was decoded, and the packets of the sound: what an encoder asks for."""

    sound: bool = True


@dataclass(frozen=True, kw_only=True)
class Packets:
    """The packets of picture and sound as they stand in the file, undecoded: what a copy asks for.

    Of picture those from the last keyframe at or before the clip's start to the last that a frame of the clip needs.
    """

    sound: bool = True


@dataclass(frozen=True, kw_only=True)
class Vectors:
    """The motion vectors that the codec itself used, of sampled frames: how far parts of the picture move.

    Of each 1/fps seconds the first frame that has any. A clip's first frame is left out: it moves from what was before.
    """

    fps: float
    parity: bool = False
    """Frames as NeMo Curator chooses them: every n-th, those without vectors left out, of no more than half of the
    clip's whole seconds, and 10 at least."""


@dataclass(frozen=True, kw_only=True)
class Decode:
    """How footage is decoded, for all stages alike."""

    device: Literal["auto", "cpu", "cuda"] = knob("auto")
    """`cuda`: a GPU's decoder, and the processor where there is none; `auto`: the same, without a word about it."""
    deinterlace: bool = False
    """Whether frames that are marked as interlaced are made whole (by FFmpeg's bwdif, a frame for a frame)."""


Request = Frames | Sound | Media | Packets | Vectors


@dataclass(frozen=True)
class Sampled:
    """What a pass found for a request of `Frames`."""

    pixels: np.ndarray
    """uint8, (n, h, w, 3) or (n, h, w) in gray; with `pairs` (n, 2, h, w, …). n may be less than asked, and is 0
    for a clip without a decodable frame."""
    times: np.ndarray
    """float64 (n,): seconds from the clip's start, of each frame or each pair's first."""
    steps: np.ndarray | None = None
    """float64 (n,): of each pair the seconds from its first to its second; None without `pairs`."""


CELL = 8
"""Pixels a side of the squares of `Moved.cells`: of the smallest block that a codec gives a vector of its own."""


@dataclass(frozen=True)
class Moved:
    """What a pass found for a request of `Vectors`."""

    cells: np.ndarray | None
    """float64 (rows, columns): how far each square of `CELL` pixels moves, in pixels, mean over frames; the last of a
    row and of a column may reach over the border. None where no frame that was looked at has vectors."""
    width: int
    """Pixels of the picture, as coded."""
    height: int
    frames: int
    """Frames with vectors that were sampled."""
    seen: int
    """Frames of the clip."""
    codec: str
    """FFmpeg's name for it."""


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
        """Columns of the dataset that it reads beside its ports: each is a port, of the column's name."""
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


def by_parameters(cls: type[Stage]) -> bool:
    """Whether what a stage writes depends on its parameters: only one that is made can say it."""
    return isinstance(cls.writes, property) or callable(cls.writes)

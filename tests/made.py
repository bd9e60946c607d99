"""Stages that cost nothing, for tests of the build: what they write follows from one tiny picture of a clip."""

from __future__ import annotations

import asyncio
import errno
import faulthandler
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from vbuild.errors import PlaceError, UsageError
from vbuild.split.fixed_stride import FixedStride
from vbuild.stage import Blob, Clip, Frames, Phase, Row, Sampled, Stage, Window, Windows, knob
from vbuild.stages.transcode import Transcode

CALLS: Counter[str] = Counter()
"""Clips that a stage was given in this process, by the name of its class."""


@dataclass(frozen=True, kw_only=True)
class Tone(Stage):
    """How bright a clip is, 0 to 255; null where it is darker than `blind`."""

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "measure"
    writes: ClassVar[Mapping[str, str]] = {"mean": "float32", "step": "int64"}

    gain: float = 1.0
    blind: float = -1.0

    def asks(self) -> Frames:
        """One small picture."""
        return Frames(count=1, size=(8, 8))

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:
        """The mean of the picture."""
        for clip in clips:
            CALLS["Tone"] += 1
            mean = float(clip.frames.pixels.mean()) * self.gain
            yield {"mean": None if mean < self.blind else mean, "step": int(mean // 32)}


@dataclass(frozen=True, kw_only=True)
class Point(Stage):
    """Where the colour of a clip lies, as a unit vector; fails on clips darker than `fails`."""

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "embed"
    dear: ClassVar[bool] = True
    writes: ClassVar[Mapping[str, str]] = {"": "vector[4]"}

    bias: float = 64.0
    fails: float = -1.0

    def asks(self) -> Frames:
        """One small picture."""
        return Frames(count=1, size=(8, 8))

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:
        """The mean colour and a bias."""
        for clip in clips:
            CALLS["Point"] += 1
            colour = clip.frames.pixels.reshape(-1, 3).mean(axis=0) // 16 * 16
            if colour.mean() < self.fails:
                raise ValueError(f"a colour of {colour.mean():.0f} is too dark")
            vector = np.array([*colour, self.bias], np.float32)
            yield {"": vector / np.linalg.norm(vector)}


@dataclass(frozen=True, kw_only=True)
class Blank(Stage):
    """No vector of any clip."""

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "embed"
    writes: ClassVar[Mapping[str, str]] = {"": "vector[4]"}

    def asks(self) -> Frames:
        """One small picture."""
        return Frames(count=1, size=(8, 8))

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:
        """Nulls."""
        return [{"": None} for _ in clips]


@dataclass(frozen=True, kw_only=True)
class Print(Stage):
    """Hashes of a clip's frames, in which near colours differ in few bits; null where all are darker than `blind`."""

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "embed"
    writes: ClassVar[Mapping[str, str]] = {"": "list[uint64]"}

    blind: float = 60.0

    def asks(self) -> Frames:
        """Small pictures, four a second."""
        return Frames(fps=4, size=(8, 8))

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:
        """Of each colour as many bits as it is strong, in 85."""
        for clip in clips:
            CALLS["Print"] += 1
            colours = clip.frames.pixels.reshape(len(clip.frames.pixels), -1, 3).mean(axis=1)
            seen = colours[colours.mean(axis=1) > self.blind]
            bits = np.pad((np.arange(85) < seen[..., None] // 3).reshape(len(seen), 255), ((0, 0), (0, 1)))
            yield {"": np.packbits(bits, axis=1).view("<u8").ravel().tolist() or None}


@dataclass(frozen=True, kw_only=True)
class Word(Stage):
    """A sentence of a clip's brightness step; fails on steps of which `fails` is the rest by 3."""

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "annotate"
    dear: ClassVar[bool] = True
    reads: ClassVar[Mapping[str, Sequence[str]]] = {"": ("step",)}
    writes: ClassVar[Mapping[str, str]] = {"": "caption", "length": "int64"}

    style: str = "a clip of step"
    fails: int | None = None
    pace: int = knob(1)

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:
        """The sentence."""
        for clip in clips:
            CALLS["Word"] += 1
            step = clip.columns[""]["step"]
            if step % 3 == self.fails:
                raise ValueError(f"no word for {step}")
            text = f"{self.style} {step}"
            yield {"": [Window(text=text), Window(text=text.upper(), start=0.0, end=0.5)], "length": len(text) + step}


@dataclass(frozen=True, kw_only=True)
class Encoded(Transcode):
    """A file of a clip, by a stage of a user's own."""

    version: ClassVar[int] = 1


@dataclass(frozen=True, kw_only=True)
class Length(Stage):
    """How long the words of a clip are, in tens; what it writes is often the same for other words."""

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "annotate"
    reads: ClassVar[Mapping[str, Sequence[str]]] = {"": ("length",)}
    writes: ClassVar[Mapping[str, str]] = {"": "int64"}

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:
        """The length in tens."""
        for clip in clips:
            CALLS["Length"] += 1
            yield {"": clip.columns[""]["length"] // 10}


@dataclass(frozen=True, kw_only=True)
class Pack(Stage):
    """A blob of a clip, of its picture and `level`."""

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "produce"
    dear: ClassVar[bool] = True
    writes: ClassVar[Mapping[str, str]] = {"": "blob", "size": "int64"}

    level: int = 1

    def asks(self) -> Frames:
        """One small picture."""
        return Frames(count=1, size=(8, 8))

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:
        """The picture, `level` times."""
        for clip in clips:
            CALLS["Pack"] += 1
            data = clip.frames.pixels.tobytes() * self.level
            yield {"": Blob(data, ".bin"), "size": len(data)}


@dataclass(frozen=True, kw_only=True)
class Weight(Stage):
    """The width of a whole video; fails on those of fewer than `least` frames."""

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "measure"
    scope: ClassVar = "video"
    reads: ClassVar[Mapping[str, Sequence[str]]] = {"": ("width", "frames")}
    writes: ClassVar[Mapping[str, str]] = {"": "int64"}

    least: int = 0

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:
        """The width."""
        for clip in clips:
            CALLS["Weight"] += 1
            if clip.columns[""]["frames"] < self.least:
                raise ValueError("too light")
            yield {"": clip.columns[""]["width"]}


@dataclass(frozen=True, kw_only=True)
class Share(Stage):
    """The width of a clip's video in hundreds."""

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "measure"
    reads: ClassVar[Mapping[str, Sequence[str]]] = {"": ("",)}
    writes: ClassVar[Mapping[str, str]] = {"": "float64"}

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:
        """The width."""
        for clip in clips:
            CALLS["Share"] += 1
            yield {"": clip.columns[""][""] / 100}


@dataclass(frozen=True, kw_only=True)
class Doze(Stage):
    """Sleeps for each clip, in `run`; it shows who is charged for time."""

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "measure"
    writes: ClassVar[Mapping[str, str]] = {"": "float64"}

    seconds: float = 0.0

    def asks(self) -> Frames:
        """One small picture."""
        return Frames(count=1, size=(8, 8))

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:
        """How long it slept."""
        for _ in clips:
            time.sleep(self.seconds)
            yield {"": self.seconds}


@dataclass(frozen=True, kw_only=True)
class DozeSink(Doze):
    """Sleeps at each frame, and when the clip is over."""

    sink: ClassVar[bool] = True

    def open(self, clip: Clip, model: None) -> Dozing:
        """A sink that sleeps."""
        return Dozing(self.seconds)


@dataclass(frozen=True)
class Dozing:
    """A clip while it is slept through."""

    seconds: float

    def frame(self, frame: object, moment: float) -> None:
        """Sleeps."""
        time.sleep(self.seconds)

    def packet(self, packet: object) -> None:
        """No sound is asked for."""

    def close(self) -> Row:
        """Sleeps once more."""
        time.sleep(self.seconds)
        return {"": 2 * self.seconds}


@dataclass(frozen=True, kw_only=True)
class Odd(Tone):
    """A tone of pictures that no pass can make."""

    def asks(self) -> Frames:
        """A format that there is none of."""
        return Frames(count=1, size=(8, 8), format="none of them")


@dataclass(frozen=True, kw_only=True)
class OddSink(DozeSink):
    """The same, while the clip goes by."""

    def asks(self) -> Frames:
        """A format that there is none of."""
        return Frames(count=1, size=(8, 8), format="none of them")


@dataclass(frozen=True, kw_only=True)
class Deadly(Stage):
    """Comes to a bad end on clips that are darker than `dark`, in a way that can be chosen."""

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "annotate"
    writes: ClassVar[Mapping[str, str]] = {"": "float32"}

    how: str = "none"
    dark: float = 60.0
    once: str = knob("")
    """A file that grows by a byte at each bad end; at two bytes (a batch, and the clip alone) there are no more."""

    def asks(self) -> Frames:
        """One small picture."""
        return Frames(count=1, size=(8, 8))

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:
        """The mean of the picture."""
        for clip in clips:
            if clip.frames.pixels.mean() < self.dark and self._still_bad():
                END[self.how]()
            yield {"": float(clip.frames.pixels.mean())}

    def _still_bad(self) -> bool:
        if not self.once:
            return True
        with Path(self.once).open("a") as file:
            file.write("x")
        return Path(self.once).stat().st_size <= 2


@dataclass(frozen=True, kw_only=True)
class Needy(Tone):
    """A tone that wants a file where it runs; without it, it ends as is chosen, in `load` or in `run`."""

    file: str = knob("")
    how: str = knob("server")
    loads: bool = knob(False)

    def load(self) -> None:
        """The file."""
        CALLS["load"] += 1
        if self.loads and not Path(self.file).exists():
            END[self.how]()

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:
        """A tone."""
        if not self.loads and not Path(self.file).exists():
            END[self.how]()
        yield from super().run(clips, model)


@dataclass(frozen=True, kw_only=True)
class Thief(Stage):
    """Takes the video 2.mp4 away from where it lies."""

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "measure"
    scope: ClassVar = "video"
    writes: ClassVar[Mapping[str, str]] = {"": "bool"}

    to: str = knob("")

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:
        """Whether it did."""
        for clip in clips:
            wanted = Path(clip.uri).name == "2.mp4"
            if wanted:
                Path(clip.uri).rename(self.to)
            yield {"": wanted}


@dataclass(frozen=True, kw_only=True)
class NeedySplit(FixedStride):
    """A split that wants a file where it runs."""

    file: str = knob("")

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:
        """The same."""
        if not Path(self.file).exists():
            END["server"]()
        yield from super().run(clips, model)


def _raise(error: BaseException) -> None:
    raise error


def _allocate() -> None:
    np.ones(3 << 27)


def _refuse() -> None:
    raise ConnectionResetError("the other side went away")


END = {
    "none": lambda: None,
    "exit": lambda: os._exit(3),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "crash": lambda: faulthandler._sigsegv(),
    "hang": lambda: time.sleep(600),
    "memory": _allocate,
    "network": _refuse,
    "interrupted": lambda: _raise(InterruptedError("a signal came between")),
    "driver": lambda: _raise(RuntimeError("no driver was found")),
    "server": lambda: _raise(ConnectionRefusedError("nobody is there")),
    "disk": lambda: _raise(OSError(errno.ENOSPC, "No space left on device")),
    "weights": lambda: _raise(UsageError("weights: none are here")),
    "type": lambda: _raise(TypeError("not so many arguments")),
    "value": lambda: _raise(ValueError("a KeyboardInterrupt in words")),
    "SystemExit": lambda: sys.exit(3),
    "CancelledError": lambda: _raise(asyncio.CancelledError()),
    "KeyboardInterrupt": lambda: _raise(KeyboardInterrupt()),
    "slow": lambda: time.sleep(4),
}
"""How a stage may end."""


@dataclass(frozen=True, kw_only=True)
class Unpack(Stage):
    """What another stage's blob begins with, and how long it is."""

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "produce"
    reads: ClassVar[Mapping[str, Sequence[str]]] = {"file": ("",)}
    writes: ClassVar[Mapping[str, str]] = {"first": "int64", "size": "int64"}

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:
        """By the handle."""
        for clip in clips:
            CALLS["Unpack"] += 1
            blob = clip.columns["file"][""]
            with blob.open() as stream:
                yield {"first": stream.read(1)[0], "size": len(blob.bytes())}


@dataclass(frozen=True, kw_only=True)
class Telling(Stage):
    """What a hosted model says of each window of a clip; with dark ones it does what `how` says."""

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "annotate"
    dear: ClassVar[bool] = True
    hosted: ClassVar[bool] = True
    partial: ClassVar[bool] = True
    writes: ClassVar[Mapping[str, str]] = {"": "caption", "shown": "list[int64]"}

    how: str = knob("see")
    windows: Windows = Windows(frames=8, remainder=4, min=2)
    log: str = knob("")
    """A file that tells, a line a batch, of which windows it was."""

    def asks(self) -> Frames:
        """Four small pictures a second, window by window."""
        return Frames(fps=4, size=(8, 8), windows=self.windows)

    def prepare(self, clip: Clip) -> Clip:
        """Half of each picture."""
        return replace(clip, frames=replace(clip.frames, pixels=clip.frames.pixels[:, :, :4]))

    def load(self) -> None:
        """Nothing is needed."""

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row | Exception]:
        """How bright a window is."""
        if self.log:
            with Path(self.log).open("a") as file:
                file.write(f"{[clip.window.index for clip in clips]}\n")
        return [self._said(clip) for clip in clips]

    def _said(self, clip: Clip) -> Row | Exception:
        pixels, window = clip.frames.pixels, clip.window
        assert pixels.shape[1:] == (8, 4, 3)
        if pixels.mean() < 60 and self.how != "see":
            if self.how == "deadly":
                os._exit(3)
            if self.how == "place":
                raise PlaceError("the server is gone")
            if self.how == "raises":
                raise ValueError("too dark")
            return BlockingIOError("away") if self.how == "passing" else ValueError("too dark")
        assert all(window.start - 0.1 <= time < window.end for time in clip.frames.times)
        return {"text": f"{pixels.mean():.0f}", "shown": len(pixels)}

    def join(self, left: Row, parts: Sequence[Row | None]) -> Row:
        """A caption with a window each."""
        windows = [
            Window(part and part["text"], w.start, w.end, status="success" if part is not None else "error")
            for w, part in zip(left["windows"], parts, strict=True)
        ]
        return {"": windows, "shown": [0 if part is None else part["shown"] for part in parts]}


@dataclass(frozen=True, kw_only=True)
class Gaze(Stage):
    """How bright a clip is, by a model that is hosted; with dark clips it does what `how` says."""

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "embed"
    dear: ClassVar[bool] = True
    hosted: ClassVar[bool] = True
    writes: ClassVar[Mapping[str, str]] = {"": "float64"}

    side: int = 8
    how: str = "see"
    log: str = knob("")
    """A file that tells, a line a batch, how many clips it was; a line `load` for each load."""
    gib: float = knob(0.0)
    """What the model is said to take."""

    def model_bytes(self) -> int:
        """As its files would say it."""
        return round(self.gib * (1 << 30))

    def asks(self) -> Frames:
        """Two small pictures."""
        return Frames(count=2, size=(self.side, self.side))

    def _note(self, what: object) -> None:
        if self.log:
            with Path(self.log).open("a") as file:
                file.write(f"{what} {os.getpid()}\n")

    def load(self) -> float:
        """What its brightness is multiplied by."""
        self._note("load")
        if self.how == "unloadable":
            raise RuntimeError("no weights anywhere")
        if self.how == "deadly to load":
            os._exit(3)
        if self.how == "slow to load":
            time.sleep(4)
        return 2.0

    def run(self, clips: Sequence[Clip], model: float) -> Iterable[Row]:
        """Twice the mean of the pictures."""
        self._note(len(clips))
        if self.how == "narrow" and len(clips) > 3:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        means = [float(clip.frames.pixels.mean()) for clip in clips]
        if self.how == "unready":
            raise ValueError("no clip will do")
        if min(means) < 60:
            if self.how == "bad":
                raise ValueError("too dark")
            if self.how == "deadly":
                os._exit(3)
            if self.how == "endless":
                time.sleep(100)
        if self.how == "slow":
            time.sleep(1.5 * len(clips))
        return [{"": mean * model} for mean in means]


@dataclass(frozen=True, kw_only=True)
class Glance(Stage):
    """The brightness of each frame of a clip, by a hosted model that sees three of them at a time."""

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "measure"
    hosted: ClassVar[bool] = True
    sink: ClassVar[bool] = True
    writes: ClassVar[Mapping[str, str]] = {"times": "list[float64]", "means": "list[float64]"}

    limit: float = -1.0
    """It fails on frames that are darker."""

    def asks(self) -> Frames:
        """Every frame, small."""
        return Frames(every=True, size=(8, 8))

    def open(self, clip: Clip, model: object) -> Glancing:
        """Cuts threes."""
        return Glancing(model)

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:
        """The means of three frames."""
        for clip in clips:
            means = clip.frames.pixels.mean(axis=(1, 2, 3))
            if means.min() < self.limit:
                raise ValueError(f"a frame of {means.min():.0f} is too dark")
            yield {"means": means.tolist()}

    def join(self, left: Row, parts: Sequence[Row]) -> Row:
        """All of them in order."""
        return {"times": left["times"], "means": [mean for part in parts for mean in part["means"]]}


class Glancing:
    """Holds the frames of the three that wait."""

    def __init__(self, send: object) -> None:
        self.send, self.times, self.frames = send, [], []

    def frame(self, frame: np.ndarray, time: float) -> None:
        """One."""
        self.times.append(time)
        self.frames.append(frame)
        if len(self.frames) == 3:
            self._cut()

    def _cut(self) -> None:
        frames, self.frames = self.frames, []
        self.send(Sampled(np.stack(frames), np.array(self.times[-len(frames) :])))

    def close(self) -> Row:
        """The rest, and when each was."""
        if self.frames:
            self._cut()
        return {"times": self.times}


@dataclass(frozen=True, kw_only=True)
class Killing(Stage):
    """Kills its worker once, in the middle of a pass."""

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "embed"
    dear: ClassVar[bool] = True
    sink: ClassVar[bool] = True
    writes: ClassVar[Mapping[str, str]] = {"": "int64"}

    marker: str = knob("")

    def asks(self) -> Frames:
        """Every frame, small."""
        return Frames(every=True, size=(8, 8))

    def open(self, clip: Clip, model: None) -> Killed:
        """Counts frames."""
        return Killed(self.marker, clip.start)


class Killed:
    """Counts the frames of a clip that its process survives."""

    def __init__(self, marker: str, start: float) -> None:
        self.marker, self.start, self.count = Path(marker), start, 0

    def frame(self, frame: np.ndarray, time: float) -> None:
        """One."""
        self.count += 1
        if self.start >= 4 and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def close(self) -> Row:
        """How many there were."""
        return {"": self.count}


@dataclass(frozen=True, kw_only=True)
class Patient(Stage):
    """Waits with each clip, but a video's first, until results of another stage are stored; a pass tells of all."""

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "embed"
    dear: ClassVar[bool] = True
    writes: ClassVar[Mapping[str, str]] = {"": "bool"}

    batch: int = knob(1)
    results: str = knob("")
    """The folder of the other's results."""
    log: str = knob("")
    """In place of results: what the other writes first; with a video's first clip too it is waited for."""

    def asks(self) -> Frames:
        """One small picture."""
        return Frames(count=1, size=(8, 8))

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:
        """Whether they came, within a minute."""
        return [{"": (clip.start == 0 and not self.log) or self._come()} for clip in clips]

    def _come(self) -> bool:
        end = time.monotonic() + 60
        while not (there := self._there()) and time.monotonic() < end:
            time.sleep(0.1)
        return there

    def _there(self) -> bool:
        import lance

        if self.log:
            return Path(self.log).exists()
        found = list(Path(self.results).glob("*.lance"))
        return bool(found) and lance.dataset(str(found[0])).count_rows() > 0


@dataclass(frozen=True, kw_only=True)
class Placed(Stage):
    """Where it runs: the process, its limit of memory, how nice it is, its threads, and the GPUs that it sees."""

    version: ClassVar[int] = 1
    phase: ClassVar[Phase] = "embed"
    writes: ClassVar[Mapping[str, str]] = {
        "pid": "int64", "memory": "int64", "nice": "int64", "threads": "string", "gpus": "string",
    }  # fmt: skip

    def asks(self) -> Frames | None:
        """One small picture."""
        return Frames(count=1, size=(8, 8))

    def run(self, clips: Sequence[Clip], model: None) -> Iterable[Row]:
        """The same of each clip."""
        import resource

        row = {
            "pid": os.getpid(),
            "memory": resource.getrlimit(resource.RLIMIT_DATA)[0],
            "nice": os.getpriority(os.PRIO_PROCESS, 0),
            "threads": os.environ.get("OMP_NUM_THREADS"),
            "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
        }
        return [row for _ in clips]


@dataclass(frozen=True, kw_only=True)
class PlacedModel(Placed):
    """The same of a model."""

    hosted: ClassVar[bool] = True

    def load(self) -> None:
        """Nothing is needed."""


@dataclass(frozen=True, kw_only=True)
class PlacedReader(PlacedModel):
    """The same of a model that reads columns only."""

    reads: ClassVar[Mapping[str, Sequence[str]]] = {"": ("mean",)}

    def asks(self) -> None:
        """No footage."""


HELD: list[np.ndarray] = []


def grow() -> int:
    """Takes 200 MB for good, and says which process has done it."""
    HELD.append(np.ones(200 << 20, np.uint8))
    return os.getpid()

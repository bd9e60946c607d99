"""A clip while a pass feeds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from vbuild.media.sampling import Collected, Sampler, Windowed
from vbuild.media.sound import Heard, Track, decoded, decoder_of, layout_of
from vbuild.media.vectors import Moving
from vbuild.stage import Frames, Media, Moved, Request, Sampled, Sink, Sound, Vectors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from fractions import Fraction

    import av
    from av.audio.frame import AudioFrame
    from av.packet import Packet

    from vbuild.media.pixels import Picture, Upright
    from vbuild.windows import Stretch


Apart = Callable[[int, str, Callable[[], object]], bool]
"""Does something for one request of one cut, by index and name, and says whether that went well; if not, the request is
out, and the pass goes on for the others."""


def trusting(index: int, name: str, call: Callable[[], object]) -> bool:  # noqa: ARG001
    """The way of who wants to hear of an error: it ends the pass."""
    call()
    return True


@dataclass(frozen=True)
class Cut:
    """One clip of a pass: a frame is in it if start_pts <= pts < end_pts."""

    start_pts: int
    end_pts: int
    requests: Mapping[str, Request] = field(default_factory=dict)
    """Frames, sound and motion vectors that are collected."""
    sinks: Mapping[str, tuple[Request, Sink]] = field(default_factory=dict)
    """Fed while the pass decodes; the caller closes them when their clip is over, while the file is open."""


@dataclass(frozen=True)
class Taken:
    """What a pass found for one clip."""

    index: int
    """The clip's place among the cuts."""
    samples: Mapping[str, Sampled | Moved | np.ndarray]
    """Per request that is not out: sampled frames, what moved, or sound as float32 (channels, samples)."""
    frames: int
    """Pictures of the clip: the one that stands when it begins, and those that come in it."""
    warning: str | None
    """What was lost within it."""


class ClipFeed:
    """A cut while it is fed."""

    def __init__(self, index: int, cut: Cut, stream: av.VideoStream, base: Fraction, apart: Apart) -> None:
        self.index, self.cut, self.base, self.apart = index, cut, base, apart
        self.start, self.end = float(cut.start_pts * base), float(cut.end_pts * base)
        self.duration = cut.end_pts - cut.start_pts
        self.collected: dict[str, Collected] = {}
        self.heard: dict[str, Heard] = {}
        self.tracks: dict[str, Track] = {}
        self.moving: dict[str, Moving] = {}
        self.samplers: dict[str, Sampler | Windowed] = {}
        self.media: dict[str, tuple[Media, Sink]] = {}
        self.frames = self.lost = self.damaged = self.fitted = 0
        self.standing = False
        self.passed: set[int] = set()
        """Times of its packets of picture that were read."""
        self.shape: tuple[int, int] | None = None
        """Width and height of its first picture, as shown; all others are brought into it."""
        self.decoder: av.AudioCodecContext | None = None
        for name, request in cut.requests.items():
            self._do(name, partial(self._collect, name, request, stream))
        for name, (request, sink) in cut.sinks.items():
            if isinstance(request, Frames) and request.windows is not None:
                self.samplers[name] = Windowed(request, self.duration, base, partial(_window, sink))
            elif isinstance(request, Frames):
                self.samplers[name] = Sampler(request, self.duration, base, partial(_feed, sink))
            elif isinstance(request, Sound):
                give = partial(_sound, sink, request.rate)
                self.tracks[name] = Track(self.end - self.start, request.rate, layout_of(request.channels), give)
            elif isinstance(request, Media):
                self.media[name] = request, sink
        self.hears = bool(self.tracks) or any(request.sound for request, _ in self.media.values())

    def _collect(self, name: str, request: Request, stream: av.VideoStream) -> None:
        if isinstance(request, Frames):
            self.collected[name] = Collected(request, self.duration, self.base)
        elif isinstance(request, Vectors):
            self.moving[name] = Moving(request, stream, self.end - self.start)
        elif isinstance(request, Sound):
            self.heard[name] = Heard(self.end - self.start, request)
            self.tracks[name] = self.heard[name].track

    def _do(self, name: str, call: Callable[[], object]) -> None:
        """Does something for one request, which is out if that fails."""
        if not self.apart(self.index, name, call):
            holders: tuple[dict[str, Any], ...] = (
                self.collected, self.heard, self.tracks, self.moving, self.samplers, self.media,
            )  # fmt: skip
            for holder in holders:
                holder.pop(name, None)

    def holds(self, pts: int) -> bool:
        """Whether a time is within it."""
        return self.cut.start_pts <= pts < self.cut.end_pts

    def stand(self, picture: Picture, upright: Upright) -> None:
        """The picture that stands when it begins, and came before."""
        self.standing = True
        self._show(picture, upright, 0)

    def see(self, picture: Picture, upright: Upright, pts: int) -> None:
        """One of its frames, at `pts` ticks of the source's clock."""
        self.frames += 1
        self.damaged += picture.frame.is_corrupt
        self._show(picture, upright, pts - self.cut.start_pts)

    def _show(self, picture: Picture, upright: Upright, ticks: int) -> None:
        if self.shape is None:
            self.shape = picture.shape
        self.fitted += picture.shape != self.shape
        fitted = picture.within(self.shape, upright)
        for name, collected in list(self.collected.items()):
            self._do(name, partial(collected.sampler.see, ticks, fitted))
        for name, sampler in list(self.samplers.items()):
            self._do(name, partial(sampler.see, ticks, fitted))
        if not self.moving and not self.media:
            return
        time = ticks * self.base.numerator / self.base.denominator
        for name, moving in list(self.moving.items()):
            self._do(name, partial(moving.see, picture.frame, time))
        for name, (_, sink) in list(self.media.items()):
            self._do(name, partial(_show, sink, fitted, upright, time))

    def hear(self, packet: Packet[Any]) -> None:
        """One packet of sound; a clip decodes its own, so that it sounds the same whatever is asked beside it."""
        if self.tracks:
            if self.decoder is None:
                self.decoder = decoder_of(packet.stream)
            frames = decoded(self.decoder, packet)
            for name, track in list(self.tracks.items()):
                self._do(name, partial(self._listen, track, frames))
        for name, (request, sink) in list(self.media.items()):
            if request.sound:
                self._do(name, partial(sink.packet, packet))

    def _listen(self, track: Track, frames: Sequence[AudioFrame]) -> None:
        for frame in frames:
            if frame.pts is not None and frame.time_base is not None:
                track.hear(frame, float(frame.pts * frame.time_base) - self.start)

    def close(self) -> Taken:
        """The clip is over."""
        for name, sampler in list(self.samplers.items()):
            self._do(name, sampler.close)
        for name in self.tracks.keys() - self.heard.keys():
            self._do(name, self.tracks[name].close)
        samples: dict[str, Sampled | Moved | np.ndarray] = {}
        for name in self.cut.requests:
            self._do(name, partial(self._finish, name, samples))
        return Taken(self.index, samples, self.frames + self.standing, self._warning())

    def _warning(self) -> str | None:
        """What was lost, and what was done to its pictures."""
        said = [f"{self.lost} packets could not be decoded"] if self.lost else []
        said += [f"{self.damaged} frames are damaged"] if self.damaged else []
        if self.frames + self.lost < len(self.passed):
            said.append(f"{len(self.passed)} packets came to {self.frames} frames")
        if self.fitted and self.shape is not None:
            width, height = self.shape
            said.append(f"the picture changes its size: {self.fitted} frames were fitted into {width}x{height}")
        return "; ".join(said) or None

    def _finish(self, name: str, samples: dict[str, Sampled | Moved | np.ndarray]) -> None:
        """Puts what a request came to, if it is not out, among what the clip got."""
        holders: tuple[Mapping[str, Collected | Moving | Heard], ...] = (self.collected, self.moving, self.heard)
        for collecting in (holder[name] for holder in holders if name in holder):
            samples[name] = collecting.close()


def _show(sink: Sink, picture: Picture, upright: Upright, time: float) -> None:
    sink.frame(picture.upright(upright), time)


def _feed(sink: Sink, time: float, pictures: list[np.ndarray], step: float | None) -> None:  # noqa: ARG001
    sink.frame(pictures[0] if len(pictures) == 1 else np.stack(pictures), time)


def _window(sink: Sink, window: Stretch, frames: Sampled) -> None:
    cast("Any", sink).frame((window, frames), window.start)


def _sound(sink: Sink, rate: int, samples: np.ndarray, place: int) -> None:
    sink.frame(samples, place / rate)

"""A clip while a pass feeds it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from vbuild.media.sampling import Collected, Sampler
from vbuild.media.sound import Track
from vbuild.media.vectors import Moving
from vbuild.stage import Frames, Media, Moved, Request, Sampled, Sink, Sound, Vectors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from fractions import Fraction

    import av
    from av.audio.frame import AudioFrame
    from av.packet import Packet

    from vbuild.media.pixels import Picture, Upright


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
    found: Mapping[str, Sampled | Moved | np.ndarray]
    """Per request: sampled frames, what moved, or sound as float32 (channels, samples)."""
    frames: int
    """Frames decoded in the clip."""
    warning: str | None
    """What was lost within it."""


class Clip:
    """A cut while it is fed."""

    def __init__(self, index: int, cut: Cut, stream: av.VideoStream, base: Fraction) -> None:
        self.index, self.cut = index, cut
        self.start, self.end = float(cut.start_pts * base), float(cut.end_pts * base)
        duration = float((cut.end_pts - cut.start_pts) * base)
        self.collected: dict[str, Collected] = {}
        self.tracks: dict[str, Track] = {}
        self.moving: dict[str, Moving] = {}
        self.samplers: list[Sampler] = []
        self.media: list[tuple[Media, Sink]] = []
        self.frames = self.lost = self.damaged = 0
        self.seen = False
        for name, request in cut.requests.items():
            if isinstance(request, Frames):
                self.collected[name] = Collected(request, duration)
            elif isinstance(request, Vectors):
                self.moving[name] = Moving(request, stream, duration)
            else:
                self.tracks[name] = Track(duration)
        for request, sink in cut.sinks.values():
            if isinstance(request, Frames):
                self.samplers.append(Sampler(request, duration, partial(_feed, sink)))
            elif isinstance(request, Media):
                self.media.append((request, sink))
        self.hears = bool(self.tracks) or any(request.sound for request, _ in self.media)

    def see(self, picture: Picture, upright: Upright, time: float) -> None:
        """One frame, `time` seconds from the clip's start."""
        self.frames += 1
        self.damaged += picture.frame.is_corrupt
        for sampler in (*(c.sampler for c in self.collected.values()), *self.samplers):
            sampler.see(time, picture)
        for moving in self.moving.values():
            moving.see(picture.frame, time)
        for _, sink in self.media:
            sink.frame(picture.upright(upright), time)

    def hear(self, packet: Packet[Any], frames: Sequence[AudioFrame]) -> None:
        """One packet of sound, and what it decodes to."""
        for track in self.tracks.values():
            for frame in frames:
                if frame.pts is not None and frame.time_base is not None:
                    track.hear(frame, float(frame.pts * frame.time_base) - self.start)
        for request, sink in self.media:
            if request.sound:
                sink.packet(packet)

    def close(self) -> Taken:
        """The clip is over."""
        for sampler in self.samplers:
            sampler.close()
        found: dict[str, Sampled | Moved | np.ndarray] = {name: c.close() for name, c in self.collected.items()}
        found |= {name: moving.close() for name, moving in self.moving.items()}
        for name, track in self.tracks.items():
            request = self.cut.requests[name]
            assert isinstance(request, Sound)
            found[name] = track.resampled(request.rate, request.channels)
        said = [f"{self.lost} packets could not be decoded"] if self.lost else []
        said += [f"{self.damaged} frames are damaged"] if self.damaged else []
        return Taken(self.index, found, self.frames, "; ".join(said) or None)


def _feed(sink: Sink, time: float, pictures: list[np.ndarray]) -> None:
    sink.frame(pictures[0] if len(pictures) == 1 else np.stack(pictures), time)

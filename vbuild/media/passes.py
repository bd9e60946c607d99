"""One decode of a video that serves its clips in order, and any number of requests on each."""

from __future__ import annotations

from collections import deque
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import av

from vbuild.media.clip import Apart, Clip, Cut, Taken, trusting
from vbuild.media.copying import Extract, Extraction
from vbuild.media.files import opened
from vbuild.media.light import Light
from vbuild.media.pixels import Picture, Upright
from vbuild.media.reader import Event, Reader
from vbuild.stage import Decode, Media, Packets, Sound, Vectors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from av.audio.frame import AudioFrame
    from av.packet import Packet
    from av.video.reformatter import VideoReformatter

GAP = 4.0
"""Seconds without a clip that are worth a seek."""

PREROLL = 0.3
"""Seconds of sound before a clip that its encoder may want."""

PATIENCE = 10.0
"""Seconds of picture behind a clip for which its sound is waited for."""


PLAIN = Decode(device="cpu")


def footage(
    path: str, stream: int, cuts: Sequence[Cut], decode: Decode = PLAIN, apart: Apart = trusting
) -> Iterator[Taken]:
    """Decodes a stream of a file once and yields each clip when it is over.

    Cuts are in order of their starts; they may overlap and leave gaps, over long ones of which the pass seeks. Bad
    packets are skipped and reported; a frame without a time, or with one that goes back, stands a tick behind the one
    before. Memory holds what requests collect and a few frames, however long the video. `apart` keeps what one request
    raises from the others. Raises MediaError.
    """
    if not cuts:
        return
    with ExitStack() as files:
        copies = _copies(path, stream, cuts, files)
        if copies is not None and not _decodes(cuts):
            yield from (Taken(n, {}, copies.upto(n), None) for n in range(len(cuts)))
            return
        reader = Reader(path, stream, _hears(cuts), _moves(cuts), decode, files.enter_context(ExitStack()))
        for taken in _Pass(reader, cuts, apart).clips():
            if copies is not None:
                copies.upto(taken.index)
            yield taken


def _copies(path: str, stream: int, cuts: Sequence[Cut], files: ExitStack) -> Extraction | None:
    """The way of packets beside that of frames, if any sink wants packets: to read them costs next to nothing."""
    sinks = [[sink for request, sink in cut.sinks.values() if isinstance(request, Packets)] for cut in cuts]
    if not any(sinks):
        return None
    clips = [Extract(cut.start_pts, cut.end_pts, own) for cut, own in zip(cuts, sinks, strict=True)]
    return Extraction(files.enter_context(opened(path)), stream, clips)


def _decodes(cuts: Sequence[Cut]) -> bool:
    """Whether anything is wanted but packets."""
    return any(c.requests or any(not isinstance(r, Packets) for r, _ in c.sinks.values()) for c in cuts)


def _hears(cuts: Sequence[Cut]) -> bool:
    wanted = [*(r for c in cuts for r in c.requests.values()), *(r for c in cuts for r, _ in c.sinks.values())]
    return any(isinstance(r, Sound) or (isinstance(r, Media) and r.sound) for r in wanted)


def _moves(cuts: Sequence[Cut]) -> bool:
    """Whether the decoder has to tell its motion vectors."""
    return any(isinstance(r, Vectors) for c in cuts for r in c.requests.values())


class _Pass:
    """The way through a file."""

    def __init__(self, reader: Reader, cuts: Sequence[Cut], apart: Apart) -> None:
        self.reader = reader
        self.waiting = deque(Clip(n, cut, reader.stream, reader.base, apart) for n, cut in enumerate(cuts))
        self.active: list[Clip] = []
        self.recent: deque[tuple[float, Packet[Any], list[AudioFrame]]] = deque()
        self.decodes = any(clip.tracks for clip in self.waiting)
        self.upright, self.light = Upright(reader.aspect), Light()
        self.converters: dict[object, VideoReformatter] = {}
        self.seen = self.heard = float("-inf")
        self.sought: Clip | None = None

    def clips(self) -> Iterator[Taken]:
        """Every clip, when it is over."""
        self._enter()
        while event := next(self.reader.events, None):
            self._take(event)
            yield from self._over(ended=False)
            if not self.active and not self.waiting:
                return
            if not self.active and self.waiting[0].start - max(self.seen, self.heard) > GAP:
                self._enter()
        while self.waiting:
            self._open(self.waiting.popleft())
        yield from self._over(ended=True)

    def _enter(self) -> None:
        """Goes to the next clip, over what lies between; once, for the nearest keyframe may be far before it."""
        first = self.waiting[0]
        if first is self.sought:
            return
        self.sought = first
        begin = self.reader.stream.start_time or 0
        if first.start - max(float(begin * self.reader.base), self.seen) > GAP:
            self.reader.seek(first.cut.start_pts)
            self.recent.clear()

    def _take(self, event: Event) -> None:
        if event.packet is not None:
            self._hear(event)
        elif event.lost:
            for clip in (*self.active, *self.waiting):
                clip.lost += clip.cut.start_pts <= event.pts < clip.cut.end_pts
        elif event.frame is not None:
            self.seen = max(self.seen, event.time)
            while self.waiting and self.waiting[0].cut.start_pts <= event.pts:
                self._open(self.waiting.popleft())
            picture = Picture(event.frame, self.reader.aspect, self.converters, self.light)
            for clip in self.active:
                if clip.cut.start_pts <= event.pts < clip.cut.end_pts:
                    time = self.reader.seconds(event.pts - clip.cut.start_pts)
                    clip.see(picture, self.upright, time)

    def _hear(self, event: Event) -> None:
        """Gives a packet of sound to the clips that may want it, and holds it for those that are yet to open."""
        assert event.packet is not None
        self.heard = max(self.heard, event.time)
        frames = self._decoded(event.packet)
        self.recent.append((event.time, event.packet, frames))
        horizon = min(self.heard, self.seen if self.seen > float("-inf") else self.heard) - 2 * PREROLL
        while self.recent and self.recent[0][0] < horizon:
            self.recent.popleft()
        for clip in self.active:
            if clip.hears and clip.start - PREROLL <= event.time < clip.end:
                clip.hear(event.packet, frames)

    def _decoded(self, packet: Packet[Any]) -> list[AudioFrame]:
        if not self.decodes:
            return []
        try:
            frames: list[Any] = packet.decode()
        except av.FFmpegError:
            return []
        return frames

    def _open(self, clip: Clip) -> None:
        """A clip begins: it gets the sound that came before its first frame."""
        self.active.append(clip)
        if clip.hears:
            for time, packet, frames in self.recent:
                if clip.start - PREROLL <= time < clip.end:
                    clip.hear(packet, frames)

    def _over(self, *, ended: bool) -> Iterator[Taken]:
        """The clips that nothing more can come for."""
        for clip in list(self.active):
            silent = self.reader.sound is None or not clip.hears
            complete = silent or self.heard >= clip.end or self.seen >= clip.end + PATIENCE
            if ended or (self.seen >= clip.end and complete):
                self.active.remove(clip)
                yield clip.close()

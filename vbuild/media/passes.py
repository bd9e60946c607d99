"""One decode of a video that serves its clips in order, and any number of requests on each."""

from __future__ import annotations

from collections import deque
from contextlib import ExitStack
from itertools import chain, takewhile
from typing import TYPE_CHECKING, Any

from vbuild.media.clip import Apart, ClipFeed, Cut, Taken, trusting
from vbuild.media.copying import Extract, Extraction
from vbuild.media.files import open_container
from vbuild.media.light import Light
from vbuild.media.pixels import Picture, Upright
from vbuild.media.reader import PREROLL, Event, Reader
from vbuild.stage import Decode, Media, Packets, Sound, Vectors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from av.packet import Packet

    from vbuild.media.graphs import Filters

GAP = 4.0
"""Seconds without a clip that are worth a seek."""

PATIENCE = 10.0
"""Seconds of picture behind a clip for which its sound is waited for."""


PLAIN = Decode(device="cpu")


def footage(
    path: str,
    stream: int,
    cuts: Sequence[Cut],
    decode: Decode = PLAIN,
    apart: Apart = trusting,
    *,
    through: bool = False,
) -> Iterator[Taken]:
    """Decodes a stream of a file once and yields each clip when it is over.

    Cuts are in order of their starts; they may overlap and leave gaps, over long ones of which the pass seeks, but not
    if it has to read `through`, as a file whose clock jumps. The picture that stands when a clip begins, come before it
    as it may, is its first, at time 0. Bad packets are skipped and reported; a frame without a time, or with one that
    goes back, stands a tick behind the one before. Memory holds what requests collect and a few frames, however long
    the video. `apart` keeps what one request raises from the others. Raises MediaError.
    """
    if not cuts:
        return
    with ExitStack() as files:
        copies = _copies(path, stream, cuts, files, through=through)
        if copies is not None and not _decodes(cuts):
            yield from (Taken(n, {}, copies.upto(n), None) for n in range(len(cuts)))
            return
        reader = Reader(
            path, stream, _hears(cuts), _moves(cuts), decode, files.enter_context(ExitStack()), through=through
        )
        for taken in _Pass(reader, cuts, apart).clips():
            if copies is not None:
                copies.upto(taken.index)
            yield taken


def _copies(path: str, stream: int, cuts: Sequence[Cut], files: ExitStack, *, through: bool) -> Extraction | None:
    """The way of packets beside that of frames, if any sink wants packets: to read them costs next to nothing."""
    sinks = [[sink for request, sink in cut.sinks.values() if isinstance(request, Packets)] for cut in cuts]
    if not any(sinks):
        return None
    clips = [Extract(cut.start_pts, cut.end_pts, own) for cut, own in zip(cuts, sinks, strict=True)]
    return Extraction(files.enter_context(open_container(path)), stream, clips, through=through)


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
        self.waiting = deque(ClipFeed(n, cut, reader.stream, reader.base, apart) for n, cut in enumerate(cuts))
        self.active: list[ClipFeed] = []
        self.before: tuple[Picture, int, int] | None = None
        """The last frame, its time, and how long it is shown, as far as that can be told."""
        self.upright, self.light = Upright(reader.stretch), Light()
        self.converters: dict[object, Filters] = {}
        self.seen = self.heard = float("-inf")
        self.sought: ClipFeed | None = None

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
        self._pass()
        self._open(None)
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

    def _take(self, event: Event) -> None:
        self._pass()
        if event.packet is not None:
            self._hear(event.packet, event.time)
        elif event.frame is None:
            for clip in self._holding(event.pts):
                clip.lost += 1
        else:
            self.seen = max(self.seen, event.time)
            self._open(event.pts)
            picture = Picture(event.frame, self.reader.stretch, self.converters, self.light)
            for clip in self.active:
                if clip.holds(event.pts):
                    clip.see(picture, self.upright, event.pts)
            step = 0 if self.before is None else event.pts - self.before[1]
            self.before = picture, event.pts, max(event.frame.duration or 0, step)

    def _pass(self) -> None:
        """Tells the clips of the packets that were read."""
        for pts in self.reader.passed:
            for clip in self._holding(pts):
                clip.passed.add(pts)
        self.reader.passed.clear()

    def _holding(self, pts: int) -> Iterator[ClipFeed]:
        """The clips that a time is within, also those whose first frame is yet to come."""
        begun = takewhile(lambda clip: clip.cut.start_pts <= pts, self.waiting)
        return (clip for clip in chain(self.active, begun) if clip.holds(pts))

    def _open(self, pts: int | None) -> None:
        """Begins the clips that begin up to a frame at `pts`, or, where there is none any more, all that are left."""
        while self.waiting and (pts is None or self.waiting[0].cut.start_pts <= pts):
            clip = self.waiting.popleft()
            self.active.append(clip)
            if self.before is None or pts == clip.cut.start_pts:
                continue
            picture, shown, step = self.before
            # what could be its own and cannot be decoded is not made up for by what came before
            own = clip.passed if pts is None or pts >= clip.cut.end_pts else ()
            if not own and (pts is not None or clip.cut.start_pts < shown + step):
                clip.stand(picture, self.upright)

    def _hear(self, packet: Packet[Any], time: float) -> None:
        """Gives a packet of sound to the clips that may want it, also to those whose first frame is yet to come."""
        self.heard = max(self.heard, time)
        until = time + float((packet.duration or 0) * packet.time_base)
        for clip in (*self.active, *takewhile(lambda clip: clip.start - PREROLL <= until, self.waiting)):
            if clip.hears and time < clip.end and (time >= clip.start - PREROLL or until > clip.start):
                clip.hear(packet)

    def _over(self, *, ended: bool) -> Iterator[Taken]:
        """The clips that nothing more can come for."""
        for clip in list(self.active):
            silent = self.reader.silent or not clip.hears
            complete = silent or self.heard >= clip.end or self.seen >= clip.end + PATIENCE
            if ended or (self.seen >= clip.end and complete):
                self.active.remove(clip)
                yield clip.close()

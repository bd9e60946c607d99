"""One line of time through a file whose clock jumps, such as transport streams that were put end to end."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet

LEAPING = 0x200
"""FFmpeg's flag (AVFMT_TS_DISCONT) of formats in which the clock may be set anew."""

BACK = {True: 0.1, False: 1.0}
"""Seconds by which times of decoding must go back for a jump: of picture, and of sound, where less is an overlap."""

OVERLAP = 0.5
"""Seconds by which the sound of a part may be longer than its picture without a hole in the picture."""

FAR = 10.0
"""Seconds by which they must leap ahead of all that was read, where the format allows it; less is a pause."""


@dataclass
class _Track:
    """A stream on the line."""

    base: Fraction
    tick: float
    """The base in seconds."""
    picture: bool
    part: int = 0
    last: int | None = None
    """When its last packet is decoded, in ticks of the line."""
    end: int = -1 << 62
    """Up to when it is shown or heard."""


class Line:
    """Gives packets, in the order of a file, times that go on where those before a jump left off.

    What lies between two jumps is a part of the file, whose streams are moved by the same time. A stream that jumps
    has come to another part; packets of the part before that come late stay in it.
    """

    def __init__(self, container: InputContainer) -> None:
        self.leaps = bool(int(container.format.flags) & LEAPING)
        self.offsets = [Fraction(0)]
        """Seconds by which each part is moved."""
        self.tracks: dict[int, _Track] = {}
        self.head = 0.0
        """Seconds of the line that were read."""

    @property
    def jumps(self) -> int:
        """How often the clock jumped so far."""
        return len(self.offsets) - 1

    def moved(self, packet: Packet[Any]) -> Packet[Any]:
        """The packet, its times on the line."""
        if packet.dts is None and packet.pts is None:
            return packet
        track = self._track(packet)
        if self.leaps and packet.dts is not None and packet.pts is not None:
            self._agree(track, packet, packet.dts, packet.pts)
        # times of presentation go back all the time
        before = track.last
        if packet.dts is not None:
            seconds = packet.dts * track.tick
            if self.jumps or not self._allowed(track, 0, seconds):
                track.part = self._part(track, packet, seconds)
        if offset := self.offsets[track.part]:
            ticks = round(offset / track.base)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
        if packet.dts is not None:
            track.last, self.head = packet.dts, max(self.head, packet.dts * track.tick)
        step = packet.duration or (track.last - before if before is not None and track.last is not None else 0)
        track.end = max(track.end, shown_at(packet) + step)
        return packet

    def _track(self, packet: Packet[Any]) -> _Track:
        stream = packet.stream
        track = self.tracks.get(stream.index)
        if track is None:
            base = stream.time_base or Fraction(1, 1000)
            if not self.tracks:
                self.head = shown_at(packet) * float(base)
            track = self.tracks[stream.index] = _Track(base, float(base), stream.type == "video")
        return track

    def _agree(self, track: _Track, packet: Packet[Any], dts: int, pts: int) -> None:
        """Of two times of a packet that are far apart one is damaged: the one farther from what was read last."""
        if abs(pts - dts) * track.tick > FAR:
            here = (self.head - float(self.offsets[track.part])) / track.tick
            packet.pts = packet.dts = min(dts, pts, key=lambda time: abs(time - here))

    def _allowed(self, track: _Track, part: int, seconds: float) -> bool:
        """Whether a packet of a stream may be of a part that puts it at `seconds` of the line."""
        on = part > track.part or track.last is None or seconds >= track.last * track.tick - BACK[track.picture]
        return on and not (self.leaps and seconds > self.head + FAR)

    def _part(self, track: _Track, packet: Packet[Any], seconds: float) -> int:
        """The part that puts a packet, decoded at `seconds`, nearest to what was read last; if none may, a new one."""
        places = {part: seconds + float(offset) for part, offset in enumerate(self.offsets)}
        allowed = [part for part, place in places.items() if self._allowed(track, part, place)]
        if allowed:
            return min(allowed, key=lambda part: abs(places[part] - self.head))
        self.offsets.append(self._end(track) - shown_at(packet) * track.base)
        return self.jumps

    def _end(self, track: _Track) -> Fraction:
        """Seconds at which a part begins in which a stream comes first."""
        own = track.end * track.base
        last = max(each.end * each.base for each in self.tracks.values())
        return own if track.picture and last - own < OVERLAP else last


def shown_at(packet: Packet[Any]) -> int:
    """When a packet is presented; where the container does not say, when it is decoded."""
    time = packet.dts if packet.pts is None else packet.pts
    assert time is not None
    return time

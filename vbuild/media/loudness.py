"""How loud sound is, by EBU R128."""

from __future__ import annotations

import gc
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
from av.error import BlockingIOError as NotYet
from av.filter import Graph

from vbuild.media.logs import listened

if TYPE_CHECKING:
    from collections.abc import Iterator

PART = 1 << 14
"""Samples that are handed to the filter at once."""

FLOOR = -70.0
"""LUFS of the absolute gate: what is below it counts as silence, and has no loudness."""

SAID = re.compile(r"^\s*(I|LRA|Peak):\s+(-?[\d.]+|-?inf|nan)\s", re.MULTILINE)


@dataclass(frozen=True)
class Loudness:
    """What FFmpeg's ebur128 says; None where all is silent."""

    integrated: float | None
    """LUFS."""
    spread: float | None
    """Loudness range in LU (EBU Tech 3342)."""
    peak: float | None
    """True peak in dB below full scale."""


class Meter:
    """Measures sound while it goes by."""

    def __init__(self, rate: int) -> None:
        """`rate`: samples a second."""
        self.rate, self.place = rate, 0
        graph = Graph()
        self.graph: Graph | None = graph
        source = graph.add_abuffer(sample_rate=rate, format="fltp", layout="stereo", time_base=Fraction(1, rate))
        meter, sink = graph.add("ebur128", "framelog=quiet:peak=true"), graph.add("abuffersink")
        source.link_to(meter)
        meter.link_to(sink)
        graph.configure()

    def hear(self, samples: np.ndarray) -> None:
        """The next samples, float32 (2, n), left and right."""
        assert self.graph is not None
        for frame in _frames(samples, self.rate, self.place):
            self.graph.push(frame)
            _drain(self.graph)
        self.place += samples.shape[1]

    def close(self) -> Loudness:
        """The loudness of all of them."""
        # what others left behind shall not speak below
        gc.collect()
        # the filter gives its summary to the log alone, when it ends
        with listened(av.logging.INFO) as said:
            self.graph = None
            gc.collect()
        measured = {name: float(value) for name, value in SAID.findall("".join(text for _, _, text in said))}
        integrated = measured["I"] if np.isfinite(measured["I"]) and measured["I"] > FLOOR else None
        peak = measured["Peak"] if np.isfinite(measured["Peak"]) else None
        return Loudness(integrated, None if integrated is None else measured["LRA"], peak)


def _frames(samples: np.ndarray, rate: int, place: int) -> Iterator[av.AudioFrame]:
    for start in range(0, samples.shape[1], PART):
        part = np.ascontiguousarray(samples[:, start : start + PART])
        frame = av.AudioFrame.from_ndarray(part, "fltp", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = rate, place + start, Fraction(1, rate)
        yield frame


def _drain(graph: Graph) -> None:
    try:
        while True:
            graph.pull()
    except NotYet:
        return

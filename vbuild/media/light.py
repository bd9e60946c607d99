"""Brings footage of high dynamic range to the 8 bits of Rec. 709."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vbuild.media.colours import REC_709, dye, hues, kind, untagged
from vbuild.media.graphs import UNNAMED, Filters, FilterStep

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

PQ, HLG = 16, 18
"""Transfer functions of Rec. ITU-R BT.2100, by their numbers in Rec. ITU-T H.273."""

SIDE = 49
"""Points a side of the cube of colours, between which FFmpeg interpolates."""

MASTERED = 1000.0
"""Candela a square metre of the brightest that footage is taken to hold."""

WHITE = 203.0
"""Of diffuse white, which becomes the white of Rec. 709 (Rep. ITU-R BT.2408)."""

WIDE_TO_709 = ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187))
"""Linear light of BT.2020 primaries in those of BT.709 (Rep. ITU-R BT.2407)."""

LUMA = (0.2627, 0.6780, 0.0593)
"""Of BT.2020."""


class Light:
    """Turns frames of high dynamic range into 8-bit Rec. 709; others go through untouched."""

    def __init__(self) -> None:
        self.filters = Filters()

    def plain(self, frame: VideoFrame) -> VideoFrame:
        """One frame, as an ordinary screen shows it."""
        curve = hues(frame).transfer
        if curve not in (PQ, HLG):
            return frame
        wide = kind(frame) == "yuv" and (frame.colorspace == UNNAMED or untagged(frame))
        steps: list[FilterStep] = [
            *([("setparams", "colorspace=bt2020nc")] if wide else []),
            ("scale", "out_range=full"),
            ("format", "gbrp12le"),
            ("lut3d", f"file={cube_file(curve)}:interp=tetrahedral"),
            ("scale", "out_color_matrix=bt709:out_range=limited"),
            ("format", "yuv420p"),
            ("setparams", "colorspace=bt709:range=limited"),
        ]
        made = self.filters.pass_through(frame, steps)
        dye(made, REC_709, REC_709)
        return made


@cache
def cube_file(transfer: int) -> str:
    """The cube of a transfer function as a file, for FFmpeg takes it from no other place; gone with the process."""
    folder = tempfile.mkdtemp(prefix="vbuild-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / f"{transfer}.cube"
    rows = cube(transfer).reshape(-1, 3)
    lines = "\n".join(f"{r:.6f} {g:.6f} {b:.6f}" for r, g, b in rows.tolist())
    path.write_text(f"LUT_3D_SIZE {SIDE}\n{lines}\n")
    return str(path)


def cube(transfer: int) -> np.ndarray:
    """Rec. 709 colours, 0..1, of all colours of BT.2100: float64 (blue, green, red, 3), each axis `SIDE` long."""
    axis = np.linspace(0, 1, SIDE)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    light = displayed(np.stack([red, green, blue], axis=-1), transfer)
    brightest = light.max(-1, keepdims=True)
    light = light * mapped(brightest) / np.maximum(brightest, 1e-6)
    linear = np.clip(light / WHITE @ np.array(WIDE_TO_709).T, 0, 1)
    return np.asarray(linear ** (1 / 2.4))


def displayed(signal: np.ndarray, transfer: int) -> np.ndarray:
    """Candela a square metre that a reference screen shows of a signal (…, 3) of 0..1 (BT.2100, tables 4 and 5)."""
    if transfer == PQ:
        return pq_to_light(signal)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    luma = (scene @ np.array(LUMA))[..., None]
    return np.asarray(MASTERED * np.maximum(luma, 1e-9) ** 0.2 * scene)


M1, M2, C1, C2, C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
"""Of the perceptual quantizer (BT.2100, table 4)."""


def pq_to_light(signal: np.ndarray) -> np.ndarray:
    """Signal of 0..1 to candela a square metre."""
    root = signal ** (1 / M2)
    return np.asarray(10_000 * (np.maximum(root - C1, 0) / (C2 - C3 * root)) ** (1 / M1))


def light_to_pq(light: np.ndarray) -> np.ndarray:
    """The reverse."""
    power = (light / 10_000) ** M1
    return np.asarray(((C1 + C2 * power) / (1 + C3 * power)) ** M2)


def mapped(light: np.ndarray) -> np.ndarray:
    """Light of up to `MASTERED` brought under `WHITE`, the dark left alone (Rep. ITU-R BT.2390, 5.4.1)."""
    top = light_to_pq(np.array(MASTERED))
    most = light_to_pq(np.array(WHITE)) / top
    knee = 1.5 * most - 0.5
    signal = np.minimum(light_to_pq(light) / top, 1)
    t = np.clip((signal - knee) / (1 - knee), 0, 1)
    bent = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * most
    return pq_to_light(np.where(signal < knee, signal, bent) * top)

"""The encoders of clips and their options; the planner reads them, so av is not needed here."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from vbuild.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

Codec = Literal["libx264", "libopenh264", "h264_nvenc", "libvpx-vp9", "libsvtav1", "copy"]

Like = Literal["curator", "cosmos"]

SizeFit = Literal["crop", "pad", "scale"]
"""Its shape is kept, and what is over is cut off at both ends; all of it lies in the middle, on black; or its shape is
not kept."""

INPUT = "input"
"""In place of a bitrate: the source's."""

BITRATE = re.compile(r"[1-9]\d*(\.\d+)?[kM]?")


@dataclass(frozen=True)
class Encoder:
    """What an encoder knows."""

    quality: str | None
    """Its option of constant quality; None if it has none."""
    worst: int
    """The top of that scale, whose best is 0."""
    usual: int | None
    effort: str | None
    """Its option of effort."""
    efforts: tuple[str, ...]
    usual_effort: str | None
    fixed: Mapping[str, str] = field(default_factory=dict)
    by_quality: Mapping[str, str] = field(default_factory=dict)
    """What it needs beside the option of constant quality."""
    fastest: int = 1000
    """Frames a second that it takes at most."""
    fields: bool = False
    """Whether it knows interlaced frames."""

    def rate(self, fps: float) -> Fraction:
        """The rate that it is told of footage of so many frames a second: within what it takes, and one at least."""
        return Fraction(min(max(fps, 1.0), self.fastest)).limit_denominator(1001)


X264_EFFORTS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")

ENCODERS: Mapping[str, Encoder] = {
    "libx264": Encoder("crf", 51, 23, "preset", X264_EFFORTS, "medium", fields=True),
    "libopenh264": Encoder(None, 0, None, None, (), None, fastest=60),
    "h264_nvenc": Encoder("cq", 51, 23, "preset", tuple(f"p{n}" for n in range(1, 8)), "p4", {"rc": "vbr"}, {"b": "0"}),
    "libvpx-vp9": Encoder(
        "crf", 63, 31, "cpu-used", tuple(map(str, range(9))), "4", {"deadline": "good", "row-mt": "1"}, {"b": "0"}
    ),
    "libsvtav1": Encoder("crf", 63, 35, "preset", tuple(map(str, range(14))), "8", fastest=240),
}

SETS: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "curator": {
        "h264_nvenc": {
            "cq": "21",
            "tune": "hq",
            "b_ref_mode": "middle",
            "temporal-aq": "1",
            "spatial-aq": "1",
            "rc-lookahead": "20",
        },
        "libvpx-vp9": {"crf": "31", "cpu-used": "4", "tile-columns": "2"},
        "libopenh264": {},
    },
    "cosmos": {"libopenh264": {"b": "4M"}},
}
"""What NeMo Curator and Cosmos-Curate give to an encoder."""

PLAIN: Mapping[str, Mapping[str, str]] = {"libopenh264": {"b": "4M"}}
"""What an encoder gets where nobody is followed: libopenh264 knows no constant quality."""


@dataclass(frozen=True)
class SizeLimits:
    """How large an encoded clip may be, or is to be, and how many frames it has; within limits it stays as it is."""

    long_side: int | None = None
    """Pixels."""
    short_side: int | None = None
    frames: int | None = None
    exact: tuple[int, int] | None = None
    """Width and height, both even; of smaller footage that is not padded the largest of that shape that it fills."""
    fit: SizeFit = "crop"
    """How a picture of another shape comes to it."""
    upscale: bool = False
    """Whether smaller footage is enlarged."""
    fps: float | None = None
    """Frames a second, at most."""
    repeat: bool = False
    """Whether frames are shown again where there are fewer."""

    def bind(self, width: int, height: int) -> bool:
        """Whether a picture of that size is beyond the limits."""
        long, short = max(width, height), min(width, height)
        return long > (self.long_side or long) or short > (self.short_side or short)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height, both even as 4:2:0 wants them, of the file of a picture of that size."""
        if self.exact is not None:
            whole = self.fit == "pad" or self.upscale
            share = 1.0 if whole else min(1.0, width / self.exact[0], height / self.exact[1])
            return _within(self.exact[0], share), _within(self.exact[1], share)
        sides = (self.long_side, max(width, height)), (self.short_side, min(width, height))
        scale = min((wanted / side for wanted, side in sides if wanted is not None), default=1.0)
        if not self.upscale:
            scale = min(1.0, scale)
        return _even(width, scale), _even(height, scale)

    def scaled(self, width: int, height: int) -> tuple[int, int]:
        """Width and height to which a picture of that size is scaled; then what is over is cut off, or padded."""
        made = self.size(width, height)
        shares = made[0] / width, made[1] / height
        if self.exact is None or self.fit == "scale":
            return made
        if self.fit == "crop":
            return max(made[0], _even(width, max(shares))), max(made[1], _even(height, max(shares)))
        scale = min(shares) if self.upscale else min(1.0, *shares)
        return min(made[0], _even(width, scale)), min(made[1], _even(height, scale))


def _within(side: int, share: float) -> int:
    """A share of an even side, even and no more; of quotients that are whole in truth none is less."""
    return max(2, int(side * share / 2 + 1e-6) * 2)


def _even(side: int, scale: float) -> int:
    return max(2, side // 2 * 2 if scale == 1 else round(side * scale / 2) * 2)


def options(
    codec: str, like: str | None, crf: int | None, preset: str | None, bitrate: str | None, more: Mapping[str, str]
) -> dict[str, str]:
    """The options of an encoder: its own, those of who is followed, then what is asked for by name.

    Raises UsageError, in a message that begins with the field's name, for what the encoder does not know, and for what
    is said twice.
    """
    known = ENCODERS[codec]
    if crf is not None and bitrate is not None:
        raise UsageError(f"crf={crf}: bitrate={bitrate} is in place of constant quality; leave one of them out")
    for name, value, own in (
        ("crf", crf, known.quality),
        ("bitrate", bitrate, known.quality),
        ("bitrate", bitrate, "b"),
        ("preset", preset, known.effort),
    ):
        if value is not None and own is not None and own in more:
            raise UsageError(f"{name}={value}: options has {own}={more[own]} in its place; leave one of them out")
    if "b" in more and "b" not in known.by_quality:  # beside constant quality these encoders do not heed it
        bitrate, more = more["b"], {name: value for name, value in more.items() if name != "b"}
    made = dict(known.fixed)
    if known.quality is not None:
        made[known.quality] = str(known.usual)
    if known.effort is not None and known.usual_effort is not None:
        made[known.effort] = known.usual_effort
    made |= _followed(codec, like)
    if crf is not None:
        if known.quality is None:
            raise UsageError(f"crf={crf}: {codec} knows no constant quality; give bitrate, such as 4M")
        if not 0 <= crf <= known.worst:
            raise UsageError(f"crf={crf}: {codec} takes 0 (best) to {known.worst}; {known.usual} is usual")
        made[known.quality] = str(crf)
    if preset is not None:
        if known.effort is None or preset not in known.efforts:
            said = f"takes {', '.join(known.efforts)}" if known.efforts else "has none"
            raise UsageError(f"preset={preset}: {codec} {said}")
        made[known.effort] = preset
    if bitrate is not None:
        if bitrate != INPUT and not BITRATE.fullmatch(bitrate):
            raise UsageError(f"bitrate={bitrate}: write bits a second as 4M or 800k, input for the source's, or null")
        made.pop(known.quality or "", None)
        made["b"] = _rate(bitrate)
    elif known.quality is not None:
        made |= known.by_quality
    return {**made, **more}


def _rate(text: str) -> str:
    """A bitrate in one way of writing it."""
    if text == INPUT:
        return text
    bits = round(float(text.rstrip("kM")) * {"k": 1e3, "M": 1e6}.get(text[-1], 1))
    scale, unit = next((s, u) for s, u in ((10**6, "M"), (1000, "k"), (1, "")) if bits % s == 0)
    return f"{bits // scale}{unit}"


def unspelled(codec: str, made: Mapping[str, str]) -> tuple[int | None, str | None, str | None, dict[str, str]]:
    """The crf, the preset, the bitrate and the options that say `made`, which `options` gave, and nothing usual."""
    known, usual = ENCODERS[codec], options(codec, None, None, None, None, {})
    left = {name: value for name, value in made.items() if usual.get(name) != value}
    quality, effort = known.quality or "", known.effort or ""
    crf = int(left.pop(quality)) if left.get(quality, "").isdecimal() else None
    preset = left.pop(effort) if left.get(effort) in known.efforts else None
    bitrate = left.pop("b", None) if quality not in made else None
    return crf, preset, bitrate, left


def _followed(codec: str, like: str | None) -> Mapping[str, str]:
    if like is None:
        return PLAIN.get(codec, {})
    if codec not in SETS[like]:
        raise UsageError(f"like={like}: it has no options for {codec}; it has them for {', '.join(SETS[like])}")
    return SETS[like][codec]

"""What the numbers of a frame mean as colours, and the filters that keep the meaning where numbers change.

Numbers of matrices, primaries and transfers are those of Rec. ITU-T H.273.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from vbuild.media.graphs import UNNAMED, Filters, FilterStep

if TYPE_CHECKING:
    from av.video.stream import VideoStream

RGB, REC_709, RESERVED = 0, 1, 3

LIMITED, FULL = 1, 2
"""FFmpeg's numbers of ranges; 0 where nobody says, which means full for RGB and grey and limited for all else."""

KNOWN = frozenset((REC_709, UNNAMED, 4, 5, 6, 7, 9))
"""Matrices with which FFmpeg converts. Where none is named it takes that of BT.601, whatever the size; so it does here
with those that it does not know."""

PALETTES = frozenset(("rgb8", "bgr8", "rgb4_byte", "bgr4_byte"))
"""Formats of so few colours that FFmpeg treats them as it does palettes."""

FOREIGN: FilterStep = ("setparams", "colorspace=unknown")
"""Takes a matrix away from frames that are converted without it, or with one that FFmpeg does not know."""

EXACT = "accurate_rnd+full_chroma_int+full_chroma_inp"

KERNELS = {
    "area": "flags=area+full_chroma_int",
    "bilinear": f"flags=bilinear+{EXACT}",
    "bicubic": f"flags=bicubic+{EXACT}:param0=0:param1=0.5",
}
"""`Frames.kernel` → how FFmpeg scales. By areas RGB is up to 3 of 255 off without the second flag. The others come near
to Pillow's: exact in colours, and cubic by Catmull and Rom (B = 0, C = 0.5)."""


def kind(frame: VideoFrame) -> Literal["rgb", "grey", "yuv"]:
    """What the planes of a frame hold; palettes and CIE XYZ count as RGB."""
    return _kind(frame.format.name)


@cache
def _kind(pixels: str) -> Literal["rgb", "grey", "yuv"]:
    format_ = VideoFormat(pixels)
    if format_.is_rgb or format_.has_palette or format_.name.startswith("xyz"):
        return "rgb"
    return "yuv" if any(part.is_chroma for part in format_.components) else "grey"


TELLS = hasattr(VideoFrame, "color_trc")
"""Whether frames tell their primaries and transfer. Before PyAV 17 only decoders do, so that frames have to bear what
theirs said: FFmpeg's filters hand it on."""


@dataclass(frozen=True)
class Hues:
    """What primaries and transfer are called."""

    primaries: int = UNNAMED
    transfer: int = UNNAMED


def hues(frame: VideoFrame) -> Hues:
    """Those of a frame that went through `colours_named` or `dye`."""
    if TELLS:
        return Hues(int(frame.color_primaries), int(frame.color_trc))
    return frame.opaque if isinstance(frame.opaque, Hues) else Hues()


def dye(frame: VideoFrame, primaries: int, transfer: int) -> None:
    """Has a frame say that these are its primaries and transfer."""
    if TELLS:
        frame.color_primaries, frame.color_trc = primaries, transfer
    else:
        frame.opaque = Hues(primaries, transfer)


def colours_named(frame: VideoFrame, stream: VideoStream) -> VideoFrame:
    """A frame just decoded of a stream, without a matrix that says nothing: a reserved one, or that of RGB where it
    holds none."""
    if not TELLS:
        context: Any = stream.codec_context
        dye(frame, int(context.color_primaries), int(context.color_trc))
    if frame.colorspace == RESERVED or (frame.colorspace == RGB and kind(frame) != "rgb"):
        frame.colorspace = UNNAMED
    return frame


def full(frame: VideoFrame) -> bool:
    """Whether black and white stand at the ends of the numbers."""
    return frame.color_range == FULL or frame.format.name.startswith("yuvj")


def unpacked(frame: VideoFrame) -> list[FilterStep]:
    """What goes before a step that gives RGB a matrix: FFmpeg looks palettes up as BT.601, whatever it is told."""
    return [("format", "rgb24")] if frame.format.has_palette or frame.format.name in PALETTES else []


def to_array(frame: VideoFrame, size: tuple[int, int], pixels: str, kernel: str = "area") -> list[FilterStep]:
    """The steps to a picture of a size (w, h) in RGB, `rgb24` or `bgr24`, or in full-range luma, `gray`."""
    scale = f"{size[0]}:{size[1]}:{KERNELS[kernel]}:threads=1"  # small pictures take half the time without threads
    if pixels != "gray" or kind(frame) == "grey":
        return [*untagged(frame), ("scale", scale), ("format", pixels)]
    if kind(frame) == "rgb":
        luma = [("scale", f"{scale}:out_color_matrix=bt709:out_range=full"), ("format", "yuv444p")]
        return [*unpacked(frame), *luma, ("extractplanes", "y")]
    # FFmpeg would convert luma by the matrices of both sides, of which grey has none
    return [FOREIGN, ("scale", f"{scale}:out_range=full"), ("format", pixels)]


def untagged(frame: VideoFrame) -> list[FilterStep]:
    """What goes before a step that scales: FFmpeg refuses to scale frames with a matrix that it does not know."""
    return [] if kind(frame) != "yuv" or int(frame.colorspace) in KNOWN else [FOREIGN]


class Planes:
    """Brings frames to a size and to 8 bits of 4:2:0 for an encoder.

    Matrix, range, primaries and transfer stay as they are and are named as they were. RGB, which has no matrix, and
    grey become limited Rec. 709 and say so.
    """

    def __init__(self) -> None:
        self.filters = Filters()

    def convert(self, frame: VideoFrame, size: tuple[int, int], scaled: tuple[int, int] | None = None) -> VideoFrame:
        """One frame; it is the same one if there is nothing to do.

        It is `scaled`, by default to `size`; what is then over is cut off at both ends, what is missing is black.
        """
        if (*size, "yuv420p") == (frame.width, frame.height, frame.format.name):
            return frame
        # fields are scaled each by itself, as their chroma was sampled
        width, height = scaled or size
        scale, of = f"{width}:{height}:flags=bicubic:interl=-1:threads=1", kind(frame)
        if of == "rgb":
            steps = [*unpacked(frame), ("scale", f"{scale}:out_color_matrix=bt709:out_range=limited")]
        else:
            limited = of == "grey" or not full(frame)
            steps = [FOREIGN, ("scale", f"{scale}:out_range={'limited' if limited else 'full'}")]
        steps.append(("format", "yuv420p"))
        if width > size[0] or height > size[1]:
            steps.append(("crop", f"{size[0]}:{size[1]}"))
        elif (width, height) != size:
            steps.append(("pad", f"{size[0]}:{size[1]}:-1:-1:black"))
        made = self.filters.pass_through(frame, steps)
        made.colorspace, made.color_range = frame.colorspace, FULL if full(frame) else frame.color_range
        if of != "yuv":
            made.colorspace, made.color_range = REC_709, LIMITED
        if of == "rgb":
            was = hues(frame)
            dye(made, *(REC_709 if name == UNNAMED else name for name in (was.primaries, was.transfer)))
        return made


def tag_colours(context: Any, frame: VideoFrame) -> None:
    """Has an encoder name the colours of its frames."""
    context.color_range, context.colorspace = frame.color_range, frame.colorspace
    told = hues(frame)
    context.color_primaries, context.color_trc = told.primaries, told.transfer

"""What a clip looks like does not depend on where its pass began, or on what decoded it."""

from fractions import Fraction

import av
import numpy as np
import pytest
from footage import interlaced, number_of, video

from vbuild.media.clip import Cut
from vbuild.media.colours import Hues, dye, hues
from vbuild.media.hardware import Planar
from vbuild.media.passes import footage
from vbuild.media.pixels import Upright
from vbuild.media.probe import probe
from vbuild.stage import Decode, Frames

WHOLE = Decode(device="cpu", deinterlace=True)

EVERY = Frames(every=True, size=(128, 96), format="gray")


def cut(path, start, end):
    """A clip by seconds from the first frame."""
    found = probe(str(path))
    base = Fraction(found.time_base_num, found.time_base_den)
    first, last = (found.start_pts + round(Fraction(str(s)) / base) for s in (start, end))
    return Cut(first, last, {"a": EVERY})


@pytest.mark.parametrize("name", ["a.mkv", "a.ts"])
def test_whole_pictures_do_not_depend_on_where_the_pass_began(tmp_path, name):
    """A clip that begins at a keyframe and was sought has the very frames that it has in a decode from the start."""
    path = interlaced(tmp_path / name, seconds=12)
    late = cut(path, 9.6, 10.4)
    (alone,) = footage(str(path), 0, [late], WHOLE)
    _, beside = footage(str(path), 0, [cut(path, 0, 9.6), late], WHOLE)
    assert [number_of(p) for p in alone.samples["a"].pixels] == list(range(240, 260))
    assert np.array_equal(alone.samples["a"].pixels, beside.samples["a"].pixels)


def values(frame) -> list[bytes]:
    """The bytes of each plane, without what pads its lines."""
    size = 2 if "10" in frame.format.name else 1
    lines = [(np.frombuffer(p, np.uint8).reshape(-1, p.line_size), p) for p in frame.planes]
    return [found[: p.height, : p.width * size].tobytes() for found, p in lines]


@pytest.mark.parametrize(("laid", "plain"), [("nv12", "yuv420p"), ("p010le", "yuv420p10le")])
def test_what_a_card_lays_out_otherwise_has_the_same_values(tmp_path, laid, plain):
    """A frame in a card's layout becomes, bit for bit, the frame that the processor decodes."""
    with av.open(str(video(tmp_path / "a.mkv", seconds=0.2, pixel_format=plain))) as container:
        for frame in container.decode(video=0):
            back = Planar().lay(frame.reformat(format=laid))
            assert (back.format.name, back.pts, back.time_base) == (plain, frame.pts, frame.time_base)
            assert values(back) == values(frame)


def test_a_stretched_frame_keeps_the_names_of_its_colours():
    """An encoder is told what it gets."""
    frame = av.VideoFrame.from_ndarray(np.full((48, 32, 3), 90, np.uint8), "rgb24").reformat(format="yuv420p")
    frame.colorspace, frame.color_range = 1, 1
    dye(frame, 9, 16)
    frame.pts, frame.time_base = 7, Fraction(1, 25)
    made = Upright(Fraction(2)).turn(frame)
    assert (made.width, made.height, made.pts) == (64, 48, 7)
    assert (made.colorspace, made.color_range, hues(made)) == (1, 1, Hues(primaries=9, transfer=16))

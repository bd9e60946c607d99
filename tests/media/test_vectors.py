"""The codec's own motion vectors: what a pass makes of them, and that it changes nothing else."""

import gc
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from footage import interlaced, video

from vbuild.media.clip import Cut
from vbuild.media.passes import footage
from vbuild.media.probe import probe
from vbuild.media.vectors import painted
from vbuild.stage import Decode, Frames, Media, Vectors

SIZE = (160, 112)
FPS = 24

NOISE = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 1, (160, 1200)), (0, 0), 5)
TEXTURE = np.repeat(cv2.normalize(NOISE, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)[..., None], 3, axis=2)

VECTOR = np.dtype(
    [(n, "i4") for n in ("w", "h", "dst_x", "dst_y", "motion_x", "motion_y")] + [("motion_scale", "u2")], align=True
)


def pan(*speeds, fps=FPS):
    """A picture that moves by so many pixels a frame, each speed for a second."""
    places = np.cumsum([0, *np.repeat(speeds, fps)])
    return lambda time: np.ascontiguousarray(TEXTURE[: SIZE[1], (x := places[round(time * fps)]) : x + SIZE[0]])


def panning(path, *speeds, fps=FPS, **more):
    """Footage of a pan, every frame predicted from the one before."""
    more = {"bframes": 0, "gop": 300, "size": SIZE} | more
    return video(path, seconds=len(speeds), fps=fps, picture=pan(*speeds, fps=fps), **more)


def cut(path, start=0, end=None, **requests):
    """A clip by seconds from the first frame."""
    found = probe(str(path))
    base = Fraction(found.time_base_num, found.time_base_den)
    last = found.end_pts if end is None else found.start_pts + round(Fraction(str(end)) / base)
    return Cut(found.start_pts + round(Fraction(str(start)) / base), last, requests)


def moved(path, request=None, decode=None):
    """What moved in the whole of a video."""
    (taken,) = footage(str(path), 0, [cut(path, v=request or Vectors(fps=2))], *([decode] if decode else []))
    return taken.samples["v"]


def array(*vectors):
    """Vectors as FFmpeg's: w, h, dst_x, dst_y, motion_x, motion_y, motion_scale."""
    return np.array(list(vectors), VECTOR)


@pytest.mark.parametrize(
    ("name", "codec", "much"),
    [
        ("a.mp4", "libx264", 0.02),
        ("a.avi", "mpeg4", 0.1),
        ("a.mpg", "mpeg2video", 0.2),
        ("b.mpg", "mpeg1video", 0.2),
    ],
)
def test_a_pan_moves_by_its_own_speed(tmp_path, name, codec, much):
    """Three pixels a frame are read as three, and none as next to none."""
    found = moved(panning(tmp_path / name, 3, 3, codec=codec, gop=48))
    assert np.median(found.cells) == 3
    assert found.cells.mean() == pytest.approx(3, rel=much)
    assert (found.width, found.height, found.cells.shape) == (*SIZE, (14, 20))
    still = moved(panning(tmp_path / f"still-{name}", 0, 0, codec=codec, gop=48), Vectors(fps=FPS))
    assert still.cells.mean() < 0.1


@pytest.mark.parametrize(
    ("codec", "name", "told", "pixels"),
    [
        ("libvpx-vp9", "a.webm", "vp9", "yuv420p"),
        ("libvpx", "a.webm", "vp8", "yuv420p"),
        ("libsvtav1", "a.mp4", "av1", "yuv420p"),
        ("mjpeg", "a.avi", "mjpeg", "yuvj420p"),
        ("prores", "a.mov", "prores", "yuv422p10le"),
    ],
)
def test_a_codec_that_gives_none_is_named(tmp_path, codec, name, told, pixels):
    """There is nothing to add up, and that is no error."""
    found = moved(panning(tmp_path / name, 3, codec=codec, pixel_format=pixels))
    assert found.cells is None
    assert (found.codec, found.frames, found.seen) == (told, 0, FPS)


def test_blocks_are_painted_where_they_come_to_lie():
    """By hand: size, centre, scale, the later of two, what is too small, what has no scale and what lies outside."""
    found = painted(
        array(
            (16, 16, 8, 8, -12, 16, 4),  # 3 to the right, 4 up: 5
            (8, 8, 28, 4, 7, 0, 1),
            (16, 8, 24, 12, 0, 2, 2),
            (8, 16, 4, 24, 3, 0, 1),  # its lower half is under the picture
            (8, 8, 28, 4, 6, 0, 1),
            (4, 4, 12, 20, 99, 0, 1),
            (8, 8, 20, 20, 99, 0, 0),
            (8, 8, -4, 4, 99, 0, 1),
            (16, 16, 40, 8, 99, 0, 1),
        ),
        width=30,
        height=20,
    )
    assert found.tolist() == [[5, 5, 0, 6], [5, 5, 1, 1], [3, 0, 0, 0]]


def test_cells_hold_what_pixels_would():
    """Blocks of a real decode painted pixel by pixel, one after the other, read the same."""
    size = (60, 44)
    random = np.random.default_rng(1)
    kinds = random.integers(8, 17, (200, 2)) // 8 * 8
    places = random.integers(-1, 8, (200, 2)) * 8 + kinds // 2
    motion = random.integers(-64, 64, (200, 2))
    vectors = array(*(tuple(map(int, v)) for v in np.hstack([kinds, places, motion, np.full((200, 1), 4)])))
    wanted = np.zeros(size[::-1])
    for w, h, x, y, across, down, scale in vectors.tolist():
        top, left = max(0, y - h // 2), max(0, x - w // 2)
        wanted[top : max(0, y + h // 2), left : max(0, x + w // 2)] = np.hypot(across, down) / scale
    found = painted(vectors, *size).repeat(8, 0).repeat(8, 1)[: size[1], : size[0]]
    assert np.array_equal(found, wanted)


def test_frames_without_vectors_are_passed_over(tmp_path):
    """Keyframes at every moment that is wanted leave the frames behind them; NeMo Curator is left with none."""
    path = panning(tmp_path / "a.mp4", 3, 3, gop=12)
    found = moved(path)
    assert (found.frames, found.seen) == (4, 48)
    assert moved(path, Vectors(fps=2, parity=True)).cells is None


def test_all_frames_but_the_first(tmp_path):
    """What the first frame of a clip was predicted from is not of the clip."""
    path = panning(tmp_path / "a.mp4", 3, 1, gop=300)
    first, second = footage(
        str(path), 0, [cut(path, end=1, v=Vectors(fps=FPS)), cut(path, start=1, v=Vectors(fps=FPS))]
    )
    assert (first.samples["v"].frames, second.samples["v"].frames) == (23, 23)
    assert (np.median(first.samples["v"].cells), np.median(second.samples["v"].cells)) == (3, 1)


def test_parity_looks_at_half_of_the_clip(tmp_path):
    """Whole clips by default; NeMo Curator's choice is a frame in so many, of half of the clip, and ten at least."""
    path = panning(tmp_path / "a.mp4", *[1] * 12, *[3] * 12, fps=10)
    found = moved(path)
    assert found.frames == 48
    assert np.median(found.cells) == pytest.approx(2, abs=0.05)
    half = moved(path, Vectors(fps=2, parity=True))
    assert half.frames == 24
    assert np.median(half.cells) == pytest.approx(1, abs=0.1)
    (short,) = footage(str(path), 0, [cut(path, end=8, v=Vectors(fps=2, parity=True))])
    assert short.samples["v"].frames == 10


class Planes:
    """A sink that keeps the bytes of its frames."""

    def __init__(self):
        self.seen = []

    def frame(self, frame, time):
        self.seen.append((time, frame.format.name, [bytes(plane) for plane in frame.planes]))

    def packet(self, packet):
        pass

    def close(self):
        return {}


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.avi", "mpeg4"), ("a.mpg", "mpeg2video"), ("a.webm", "libvpx-vp9")]
)
def test_nothing_else_changes(tmp_path, name, codec):
    """The frames of a pass are byte for byte the same with vectors and without, for arrays and for an encoder."""
    path = video(tmp_path / name, seconds=2, fps=25, codec=codec)
    others = {"all": Frames(every=True, size=(128, 96)), "pairs": Frames(fps=2, short_side=48, pairs=True)}
    found = []
    for more in ({}, {"v": Vectors(fps=2)}):
        sink = Planes()
        whole = cut(path, **others, **more)
        (taken,) = footage(str(path), 0, [Cut(whole.start_pts, whole.end_pts, whole.requests, {"s": (Media(), sink)})])
        found.append((sink.seen, taken))
    (plain, without), (told, beside) = found
    assert plain == told
    assert without.frames == beside.frames == len(plain)
    for other in others:
        assert np.array_equal(without.samples[other].pixels, beside.samples[other].pixels)


def test_a_clip_that_was_sought_reads_the_same(tmp_path):
    """A clip alone, and behind others of which one overlaps it."""
    path = panning(tmp_path / "a.mp4", *[1, 2, 3] * 4, gop=24, bframes=2)
    clips = [cut(path, a, b, v=Vectors(fps=5)) for a, b in ((0, 2), (8.5, 10), (9, 11))]
    together = [taken.samples["v"] for taken in footage(str(path), 0, clips)]
    for clip, beside in zip(clips, together, strict=True):
        (alone,) = footage(str(path), 0, [clip])
        assert np.array_equal(alone.samples["v"].cells, beside.cells)
        assert alone.samples["v"].frames == beside.frames > 0


def test_frames_made_whole_have_the_vectors_of_the_decoder(tmp_path):
    """Deinterlacing changes pixels and no vectors."""
    path = interlaced(tmp_path / "a.mkv", seconds=2)
    plain, whole = (moved(path, decode=Decode(device="cpu", deinterlace=whole)) for whole in (False, True))
    assert np.array_equal(plain.cells, whole.cells)
    assert plain.frames == whole.frames == 4


def test_a_card_is_not_asked(tmp_path):
    """Its decoder tells no vectors, so that a pass that wants them is the processor's."""
    path = panning(tmp_path / "a.mp4", 3)
    assert np.array_equal(moved(path, decode=Decode(device="cuda")).cells, moved(path).cells)


def test_no_frame_waits_for_the_garbage_collector(tmp_path):
    """A long pass holds a few frames, however many were looked at."""
    path = panning(tmp_path / "a.mp4", 3, 3)
    gc.collect()
    gc.disable()
    try:
        found = moved(path, Vectors(fps=FPS))
        # by type, for to ask some lazy modules of others for their class loads these
        left = sum(issubclass(type(thing), av.VideoFrame) for thing in gc.get_objects())
    finally:
        gc.enable()
    assert found.frames == 47
    assert left < 10

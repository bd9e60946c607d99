"""One decode serves every request on every clip, by presentation time, and says what it lost."""

import random
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from cutting import EVERY, cuts_of, numbers
from footage import frames, number_of, turned, video

from vbuild.errors import SourceError
from vbuild.media.clip import Cut
from vbuild.media.passes import footage
from vbuild.media.probe import probe
from vbuild.stage import Frames, Media, Sound


class Gathered:
    """A sink that keeps the numbers of its frames and its packets of sound."""

    def __init__(self):
        self.numbers, self.times, self.packets = [], [], []

    def frame(self, frame, time):
        self.numbers.append(number_of(frame.to_ndarray(format="gray")))
        self.times.append(time)

    def packet(self, packet):
        self.packets.append(packet)

    def close(self):
        return {}


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.mpg", "a.avi", "a.webm", "a.flv", "a.mov"])
def test_a_frame_belongs_to_exactly_one_clip(tmp_path, name):
    """In every container the clips' frames are the video's, each once, in order, and the right ones."""
    codec = {".mpg": "mpeg2video", ".webm": "libvpx-vp9", ".avi": "mpeg4"}.get(Path(name).suffix, "libx264")
    path = video(tmp_path / name, seconds=4, fps=25, numbered=True, codec=codec)
    bounds = [0, 1.0, 1.52, 2.52, 10]
    found = numbers(path, cuts_of(path, bounds, all=EVERY))
    assert [n for clip in found for n in clip] == list(range(100))
    assert [clip[0] for clip in found] == [0, 25, 38, 63]


def test_a_clip_that_begins_between_frames_begins_with_the_one_that_stands(tmp_path):
    """The frame before is its first, at time 0; all others are at their own times."""
    path = video(tmp_path / "a.mp4", seconds=2, fps=10, numbered=True)
    _, taken = footage(str(path), 0, cuts_of(path, [0, 0.95, 1.25], all=EVERY, few=Frames(fps=10, size=(128, 96))))
    assert [number_of(p) for p in taken.samples["all"].pixels] == [9, 10, 11, 12]
    assert taken.samples["all"].times == pytest.approx([0, 0.05, 0.15, 0.25])
    assert [number_of(p) for p in taken.samples["few"].pixels] == [9, 10, 11]
    assert taken.frames == 4


def test_clips_that_overlap_and_leave_gaps(tmp_path):
    """Overlapping clips share frames, and what lies in a gap is in none."""
    path = video(tmp_path / "a.mp4", seconds=3, fps=25, numbered=True)
    first, second = cuts_of(path, [0, 1.0], all=EVERY), cuts_of(path, [0.4, 1.2], all=EVERY)
    third = cuts_of(path, [2.0, 2.2], all=EVERY)
    found = numbers(path, [*first, *second, *third])
    assert found == [list(range(25)), list(range(10, 30)), list(range(50, 55))]


@pytest.mark.parametrize("name", ["a.mp4", "a.ts", "a.mpg"])
@pytest.mark.parametrize("gop", [25, 1000])
def test_a_far_clip_is_sought(tmp_path, name, gop):
    """A clip behind a long gap has its own frames, also where a seek lands late or the only keyframe is the first."""
    codec = "mpeg2video" if name.endswith("mpg") else "libx264"
    if codec == "mpeg2video" and gop > 600:
        gop = 300
    path = video(tmp_path / name, seconds=16, fps=25, size=(64, 48), numbered=True, codec=codec, gop=gop)
    cuts = [
        *cuts_of(path, [0, 0.4], all=EVERY),
        *cuts_of(path, [9, 9.4], all=EVERY),
        *cuts_of(path, [15, 15.4], all=EVERY),
    ]
    assert numbers(path, cuts) == [list(range(10)), list(range(225, 235)), list(range(375, 385))]


def test_rates_are_by_presentation_time(tmp_path):
    """At uneven times the nearest frame is taken, and a frame may stand for several moments."""
    times = [0.0, 0.1, 0.2, 0.9, 1.0, 1.9]
    path = video(tmp_path / "a.mp4", times=times, numbered=True)
    (taken,) = footage(
        str(path), 0, cuts_of(path, [0, 2.0], few=Frames(fps=2, size=(128, 96)), three=Frames(count=3, size=(128, 96)))
    )
    assert [number_of(p) for p in taken.samples["few"].pixels] == [0, 2, 4, 5]
    assert taken.samples["few"].times == pytest.approx([0.0, 0.2, 1.0, 1.9], abs=1e-4)
    assert [number_of(p) for p in taken.samples["three"].pixels] == [2, 4, 5]


def test_with_ends_the_first_and_the_last_frame_are_seen(tmp_path):
    """So many frames lie evenly from the one to the other; of a clip with fewer, some stand for several."""
    path = video(tmp_path / "a.mp4", seconds=3, fps=10, numbered=True)
    asked = {f"{n}": Frames(count=n, ends=True, size=(64, 48)) for n in (2, 4)}
    whole, short = (
        {name: [number_of(p) for p in found.pixels] for name, found in taken.samples.items()}
        for taken in footage(str(path), 0, [*cuts_of(path, [0, 2.0], **asked), *cuts_of(path, [2.0, 2.2], **asked)])
    )
    assert whole == {"2": [0, 19], "4": [0, 7, 13, 19]}
    assert short == {"2": [20, 21], "4": [20, 21, 21, 21]}


def test_pairs_are_adjacent(tmp_path):
    """With `pairs` each frame comes with the one right behind it, the clip's last with the one before."""
    path = video(tmp_path / "a.mp4", seconds=1, fps=10, numbered=True)
    (taken,) = footage(str(path), 0, cuts_of(path, [0, 1.0], pairs=Frames(fps=2, size=(64, 48), pairs=True)))
    assert [[number_of(p) for p in pair] for pair in taken.samples["pairs"].pixels] == [[0, 1], [5, 6]]
    assert taken.samples["pairs"].steps == pytest.approx([0.1, 0.1])


REQUESTS = {
    "tiny": Frames(every=True, size=(48, 27)),
    "pairs": Frames(fps=2, short_side=64, pairs=True, format="gray"),
    "eight": Frames(count=8, size=(56, 56)),
    "high": Frames(fps=1, height=48),
    "sound": Sound(rate=16_000),
}


def test_what_else_is_asked_changes_nothing(tmp_path):
    """Each request gets byte for byte alone what it gets beside all others."""
    path = video(tmp_path / "a.mp4", seconds=2, sound="aac", beeps=[0.5], size=(160, 120))
    together = list(footage(str(path), 0, cuts_of(path, [0, 1.0, 2.0], **REQUESTS)))
    for name, request in REQUESTS.items():
        for taken, alone in zip(
            together, footage(str(path), 0, cuts_of(path, [0, 1.0, 2.0], **{name: request})), strict=True
        ):
            for part in ("pixels", "times") if name != "sound" else ("data",):
                both = (taken.samples[name], alone.samples[name])
                a, b = both if part == "data" else (getattr(both[0], part), getattr(both[1], part))
                assert np.array_equal(a, b), (name, part)


def test_sinks_get_frames_as_they_come(tmp_path):
    """A sink sees each frame of its clip at full size with its time, and the clip's sound."""
    path = video(tmp_path / "a.mp4", seconds=2, fps=25, numbered=True, sound="aac")
    sinks = [Gathered(), Gathered()]
    cuts = cuts_of(path, [0, 0.8, 2.0])
    cuts = [Cut(c.start_pts, c.end_pts, {}, {"x": (Media(), s)}) for c, s in zip(cuts, sinks, strict=True)]
    assert [taken.frames for taken in footage(str(path), 0, cuts)] == [20, 30]
    assert [s.numbers for s in sinks] == [list(range(20)), list(range(20, 50))]
    assert sinks[1].times == pytest.approx([n / 25 for n in range(30)], abs=1e-3)
    assert all(s.packets for s in sinks)


def test_sound_is_on_the_clips_clock(tmp_path):
    """A beep is heard in its clip, at its moment, to the sample; where there is no sound there is silence."""
    path = video(tmp_path / "a.mkv", seconds=3, sound="pcm_s16le", beeps=[1.25])
    found = [
        t.samples["sound"] for t in footage(str(path), 0, cuts_of(path, [0, 1.0, 2.0, 4.0], sound=Sound(rate=48_000)))
    ]
    assert [part.shape for part in found] == [(1, 48_000), (1, 48_000), (1, 96_000)]
    assert abs(found[0]).max() < 0.05
    assert np.flatnonzero(abs(found[1][0]) > 0.1)[0] == pytest.approx(12_000, abs=12)
    assert not found[2][0, 50_000:].any()


@pytest.mark.parametrize(("degrees", "corner"), [(90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))])
def test_pictures_stand_upright(tmp_path, degrees, corner):
    """Footage with a turn in its header is turned, for arrays and for sinks, and so are its sizes."""

    def paint(_):
        picture = np.full((96, 128, 3), 30, np.uint8)
        picture[:32, :32] = 230
        return picture

    path = turned(video(tmp_path / "plain.mp4", seconds=0.5, picture=paint), tmp_path / "turned.mp4", degrees)
    found = probe(str(path))
    assert (found.rotation, found.width, found.height) == (degrees, *((128, 96) if degrees == 180 else (96, 128)))
    seen = []

    class Seen(Gathered):
        def frame(self, frame, time):
            seen.append(frame.to_ndarray(format="gray"))

    (cut,) = cuts_of(path, [0, 1.0], small=Frames(count=1, short_side=96, format="gray"))
    (taken,) = footage(str(path), 0, [Cut(cut.start_pts, cut.end_pts, cut.requests, {"x": (Media(), Seen())})])
    for picture in (taken.samples["small"].pixels[0], seen[0]):
        assert picture.shape == (found.height, found.width)
        corners = {(y, x): int(picture[y, x]) for y in (0, -1) for x in (0, -1)}
        assert max(corners, key=corners.get) == corner


def test_pixels_that_are_not_square_are_made_so(tmp_path):
    """Sample aspect stretches the width of what is shown."""
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 96, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2)
        for n in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((96, 64, 3), 90, np.uint8), "rgb24")
            frame.pts = n
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert (probe(str(path)).width, probe(str(path)).height) == (128, 96)
    (taken,) = footage(str(path), 0, cuts_of(path, [0, 1.0], a=Frames(count=1, short_side=96)))
    assert taken.samples["a"].pixels.shape == (1, 96, 128, 3)


@pytest.mark.parametrize(
    ("pixel_format", "codec"),
    [
        ("yuv444p", "libx264"),
        ("yuv420p10le", "libx264"),
        ("gray", "libx264"),
        ("yuv422p", "libx264"),
        ("yuva420p", "libvpx-vp9"),
    ],
)
def test_every_pixel_format_comes_as_8_bit_rgb(tmp_path, pixel_format, codec):
    """Depth, chroma and alpha are brought to rgb24 of the same picture."""
    path = video(tmp_path / "a.mkv", seconds=0.5, codec=codec, pixel_format=pixel_format, crf=5)
    plain = video(tmp_path / "b.mkv", seconds=0.5, crf=5)
    one, other = (
        next(iter(footage(str(p), 0, cuts_of(p, [0, 1.0], a=Frames(count=1, size=(64, 48)))))).samples["a"].pixels
        for p in (path, plain)
    )
    assert one.dtype == np.uint8
    if pixel_format == "gray":
        one, other = one.mean(-1), other @ np.array([0.299, 0.587, 0.114])
    assert abs((one.astype(float) - other).mean()) < 3
    assert abs(one.astype(float) - other).mean() < 8


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (121, 81), (33, 17)])
def test_odd_sizes_are_kept(tmp_path, size):
    """Pictures of odd sizes come out at their own size."""
    path = video(tmp_path / "a.mkv", seconds=0.5, size=size, codec="ffv1", pixel_format="yuv444p")
    (taken,) = footage(str(path), 0, cuts_of(path, [0, 1.0], a=Frames(count=2, short_side=4000)))
    assert taken.samples["a"].pixels.shape == (2, size[1], size[0], 3)


@pytest.mark.parametrize(("asked", "size"), [({"long_side": 64}, (64, 48)), ({"long_side": 640}, (128, 96))])
def test_a_longer_side_is_shrunk_and_never_enlarged(tmp_path, asked, size):
    """The picture keeps its shape, lying or standing."""
    for shape in (size, size[::-1]):
        full = (128, 96) if shape[0] > shape[1] else (96, 128)
        path = video(tmp_path / f"{shape[0]}.mp4", seconds=0.5, size=full)
        (taken,) = footage(str(path), 0, cuts_of(path, [0, 1.0], a=Frames(count=1, **asked)))
        assert taken.samples["a"].pixels.shape == (1, *shape[::-1], 3)


def test_bad_packets_are_skipped_and_reported(tmp_path):
    """Garbage in the middle costs some frames of one clip, which says so; the others are whole."""
    path = video(tmp_path / "a.mp4", seconds=4, fps=25, numbered=True, gop=25)
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        target = [p for p in packets if 1.0 <= p.pts * p.time_base < 2.0 and not p.is_keyframe]
        spans = [(p.pos, p.size) for p in target[:12]]
    shuffle = random.Random(7)
    for place, size in spans:
        data[place + 4 : place + size] = bytes(shuffle.randrange(256) for _ in range(size - 4))
    path.write_bytes(data)
    taken = list(footage(str(path), 0, cuts_of(path, [0, 1.0, 2.0, 3.0, 4.0], all=EVERY)))
    assert [t.frames for t in taken][0::2] == [25, 25]
    assert taken[3].frames == 25
    assert taken[0].warning is None
    assert taken[1].warning is not None


def test_what_is_asked_beyond_the_end_is_empty(tmp_path):
    """A cut behind the last frame has no frames, and no error."""
    path = video(tmp_path / "a.mp4", seconds=1)
    (taken,) = footage(str(path), 0, cuts_of(path, [5.0, 6.0], a=Frames(fps=1, size=(8, 8))))
    assert (taken.frames, len(taken.samples["a"].pixels)) == (0, 0)


def test_a_file_that_is_gone_is_an_error(tmp_path):
    """The error is ours and names what is wrong."""
    with pytest.raises(SourceError, match="the file is gone"):
        list(footage(str(tmp_path / "no.mp4"), 0, [Cut(0, 10)]))


def test_all_frames_are_those_of_a_plain_decode(tmp_path):
    """Times and pictures agree with a decode by PyAV alone, for b-frames and an offset start."""
    path = video(tmp_path / "a.mkv", seconds=2, start=3.0, seed=4)
    (taken,) = footage(str(path), 0, cuts_of(path, [0, 9.0], a=Frames(every=True, size=(128, 96))))
    plain = frames(path)
    assert taken.samples["a"].times == pytest.approx([t - plain[0][0] for t, _ in plain], abs=1e-3)
    assert all(abs(a.astype(int) - b).mean() < 1.5 for a, (_, b) in zip(taken.samples["a"].pixels, plain, strict=True))

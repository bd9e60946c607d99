"""High dynamic range is shown as an ordinary screen shows it, and interlaced frames are made whole if asked."""

from fractions import Fraction

import av
import numpy as np
import pytest
from footage import number_of, scene, video
from project import Project

from vbuild.media.clip import Cut
from vbuild.media.light import HLG, PQ, cube, light_to_pq, mapped, pq_to_light
from vbuild.media.passes import footage
from vbuild.media.probe import probe
from vbuild.stage import Decode, Frames
from vbuild.stages.motion import Motion


def grey(path, levels: list[float], transfer: int):
    """Ten-bit BT.2020 footage of grey frames; levels are signals of 0..1."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace, context.color_range = transfer, 9, 9, 1
        for n, level in enumerate(levels):
            frame = av.VideoFrame(64, 48, "yuv420p10le")
            for plane, value in zip(frame.planes, (64 + level * 876, 512, 512), strict=True):
                plane.update(np.full(plane.buffer_size // 2, round(value), np.uint16).tobytes())
            frame.pts, frame.time_base = n, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def seen(path, decode=None, **request):
    """The frames of a file as arrays."""
    found = probe(str(path))
    cut = Cut(found.start_pts, found.end_pts, {"a": Frames(**request)})
    (taken,) = footage(str(path), found.stream, [cut], *([decode] if decode else []))
    return taken.samples["a"].pixels


def test_the_quantizer_is_its_own_reverse():
    """At the anchors of BT.2100: 0.58 of the signal is 203 cd/m2, 1.0 is 10 000."""
    assert pq_to_light(np.array([0.0, 0.5807, 1.0])) == pytest.approx([0, 203, 10_000], rel=0.005, abs=1e-6)
    levels = np.linspace(0, 10_000, 50)
    assert pq_to_light(light_to_pq(levels)) == pytest.approx(levels, rel=1e-6, abs=1e-6)


def test_the_curve_leaves_the_dark_alone_and_ends_at_white():
    """Dark light is kept, the brightest becomes white, and nothing turns round."""
    assert mapped(np.array([1.0, 10.0])) == pytest.approx([1, 10], rel=1e-3)
    assert mapped(np.array([1000.0])) == pytest.approx([203], rel=1e-3)
    assert (np.diff(mapped(np.linspace(0, 1000, 200))) > 0).all()


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_grey_stays_grey_and_in_order(tmp_path, transfer):
    """What is neutral stays so, brighter stays brighter, black is black and the top is white, as the cube says."""
    levels = [0.0, 0.2, 0.4, 0.5, 0.6, 1.0]
    frames = seen(grey(tmp_path / "a.mkv", levels, transfer), every=True, size=(64, 48)).astype(float)
    means = frames.mean((1, 2))
    assert np.ptp(means, axis=1).max() < 3
    middle = means[:, 1]
    assert (np.diff(middle) > 0).all()
    assert middle[0] < 2
    assert middle[-1] > 250
    axis = np.linspace(0, 1, len(cube(transfer)))
    wanted = [
        np.interp(level, axis, cube(transfer)[range(len(axis)), range(len(axis)), range(len(axis)), 1])
        for level in levels
    ]
    assert middle == pytest.approx(np.array(wanted) * 255, abs=4)


def test_ordinary_footage_goes_through_untouched(tmp_path):
    """Ten bits alone are no high dynamic range."""
    ten = seen(video(tmp_path / "a.mkv", seconds=0.5, pixel_format="yuv420p10le", crf=1), count=1, size=(64, 48))
    eight = seen(video(tmp_path / "b.mkv", seconds=0.5, crf=1), count=1, size=(64, 48))
    assert abs(ten.astype(int) - eight).max() < 12


def interlaced(path, combed: bool = True):
    """Footage whose lines are of two moments, and which says so."""
    paint = scene(3, (128, 96))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg2video", rate=25, options={"flags": "+ilme+ildct", "b": "8M"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for n in range(20):
            picture = paint(n / 5)
            picture[1::2] = paint(n / 5 + 0.1)[1::2]
            frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = n, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def comb(frames: np.ndarray) -> float:
    """How much neighbouring lines differ beyond lines two apart."""
    rows = frames.astype(float).mean(-1)
    return float(abs(rows[:, 1:-1] - (rows[:, :-2] + rows[:, 2:]) / 2).mean())


def test_interlaced_frames_are_made_whole_if_asked(tmp_path):
    """A frame for a frame, at the same times, without combs; and only if it is asked for."""
    path = interlaced(tmp_path / "a.mpg")
    plain = seen(path, every=True, size=(128, 96))
    whole = seen(path, Decode(device="cpu", deinterlace=True), every=True, size=(128, 96))
    assert len(plain) == len(whole) == 20
    assert comb(whole) < comb(plain) / 2


def test_footage_that_is_not_interlaced_is_left_as_it_is(tmp_path):
    """Byte for byte."""
    path = video(tmp_path / "a.mp4", seconds=1, numbered=True)
    plain = seen(path, every=True, size=(128, 96))
    assert np.array_equal(plain, seen(path, Decode(deinterlace=True), every=True, size=(128, 96)))
    assert [number_of(p) for p in plain] == list(range(24))


def test_deinterlacing_is_in_the_key_and_the_device_is_not(tmp_path):
    """Another way to see frames has everything that sees them run again; another device has nothing run."""
    project = Project(tmp_path, {"motion": Motion()})
    video(project.videos / "a.mp4", seconds=1)
    project.build()
    ran = {s.name: s.ran for s in project.build(decode=Decode(device="cuda")).stages}
    assert set(ran.values()) <= {0}
    changed = project.build(decode=Decode(deinterlace=True))
    assert {s.name: s.ran for s in changed.stages} == {"probe": 0, "split": 0, "motion": 1}


def test_a_device_that_is_not_there_is_said_once(tmp_path):
    """The processor decodes, and the report says so."""
    from vbuild.media.hardware import cuda

    project = Project(tmp_path, {"motion": Motion()})
    video(project.videos / "a.mp4", seconds=1)
    notes = project.build(decode=Decode(device="cuda")).notes
    assert notes == ([] if cuda() else ["decode.device=cuda: no CUDA device opens here; the processor decoded"])

"""Clips as files of their own."""

import av
import numpy as np
import pytest
from footage import frames, number_of, video

from vbuild.errors import UsageError
from vbuild.media.clip import Cut
from vbuild.media.options import ENCODERS
from vbuild.media.passes import footage
from vbuild.media.probe import probe
from vbuild.stage import Blob, Clip
from vbuild.stages.transcode import Transcode


def transcoded(path, scratch, stage, spans=None):
    """The rows of a stage for spans of a video in seconds, all of it by default."""
    found = probe(str(path))
    ticks = found.time_base_den / found.time_base_num
    spans = [(0.0, found.duration)] if spans is None else spans
    bounds = [tuple(found.start_pts + round(second * ticks) for second in span) for span in spans]
    begin = found.start_pts / ticks
    sinks = [
        stage.open(Clip(duration=end - start, start=begin + start, fps=found.fps, scratch=scratch), stage.load())
        for start, end in spans
    ]
    cuts = [Cut(*b, sinks={"": (stage.asks(), sink)}) for b, sink in zip(bounds, sinks, strict=True)]
    return [sinks[taken.index].close() for taken in footage(str(path), found.stream, cuts)]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return video(tmp_path_factory.mktemp("footage") / "a.mp4", seconds=3.0, fps=10, numbered=True, sound="aac")


def test_every_frame_is_in_exactly_one_clip(tmp_path, source):
    """Clips that touch hold all frames between them, none twice, and each file says what its row says."""
    rows = transcoded(source, tmp_path, Transcode(preset="ultrafast"), [(0.0, 1.3), (1.3, 3.0)])
    held = [[number_of(frame) for _, frame in frames(row[""].data)] for row in rows]
    assert held == [list(range(13)), list(range(13, 30))]
    assert [row["frames"] for row in rows] == [13, 17]
    assert [row["duration"] for row in rows] == pytest.approx([1.3, 1.7])
    for row in rows:
        assert isinstance(row[""], Blob)
        with av.open(str(row[""].data)) as container:
            stream = container.streams.video[0]
            assert (row["w"], row["h"]) == (stream.width, stream.height)
            assert row["codec"] == stream.codec_context.codec.canonical_name
            assert row["audio"] == container.streams.audio[0].codec_context.codec.canonical_name
        assert row["fps"] == pytest.approx(10)


def test_sound_can_be_left_out(tmp_path, source):
    """Without sound the file has none, and the row says null."""
    (row,) = transcoded(source, tmp_path, Transcode(preset="ultrafast", sound=False))
    assert row["audio"] is None
    with av.open(str(row[""].data)) as container:
        assert not container.streams.audio


def test_quality_and_bitrate_reach_the_encoder(tmp_path, source):
    """A higher crf makes a smaller file; a bitrate takes its place."""

    def size(**params):
        (row,) = transcoded(source, tmp_path, Transcode(preset="ultrafast", sound=False, **params))
        return row[""].data.stat().st_size

    assert size(crf=40) < 0.5 * size(crf=15)
    assert size(bitrate="40k") < 0.5 * size(bitrate="2M")
    assert size(options={"b": "40k"}) == size(bitrate="40k")


def test_equal_parameters_make_equal_bytes(tmp_path, source):
    """Encoding is a function: twice the same clip is twice the same file."""
    one, two = (transcoded(source, tmp_path, Transcode(), [(0.5, 2.0)])[0] for _ in range(2))
    assert one[""].data.read_bytes() == two[""].data.read_bytes()


def openable():
    """The encoders that open here; libx264 is in every build of PyAV."""
    for codec in ENCODERS:
        try:
            Transcode(codec=codec).check()
        except UsageError as error:
            assert str(error).startswith(f"codec={codec}: ")  # noqa: PT017
            assert "libx264" in str(error)  # noqa: PT017
        else:
            yield codec


@pytest.mark.parametrize("codec", list(openable()))
def test_every_encoder_holds_every_frame_in_its_place(tmp_path, source, codec):
    """Numbered frames come out of each encoder in order and at their times, and twice the same bytes."""
    one, two = (transcoded(source, tmp_path, Transcode(codec=codec), [(0.5, 2.0)])[0] for _ in range(2))
    found = frames(one[""].data)
    assert [number_of(frame) for _, frame in found] == list(range(5, 20))
    assert [time for time, _ in found] == pytest.approx([n / 10 for n in range(15)], abs=1e-3)
    assert one[""].data.read_bytes() == two[""].data.read_bytes()
    assert (one["frames"], one["start"], one["audio"]) == (15, 0.0, "aac")


def test_it_follows_curator_and_cosmos(tmp_path, source):
    """Their option sets go by name, under what is given; an encoder of which they say nothing is refused."""
    nvenc = Transcode(codec="h264_nvenc", like="curator")._options(None)
    assert nvenc == {
        "rc": "vbr", "cq": "21", "b": "0", "preset": "p4", "tune": "hq", "b_ref_mode": "middle",
        "temporal-aq": "1", "spatial-aq": "1", "rc-lookahead": "20",
    }  # fmt: skip
    vp9 = Transcode(codec="libvpx-vp9", like="curator", crf=40)._options(None)
    assert vp9 == {
        "crf": "40", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1", "tile-columns": "2"
    }  # fmt: skip
    assert Transcode(codec="libopenh264", like="cosmos")._options(None) == {"b": "4M"}
    assert Transcode(codec="libopenh264", like="curator")._options(None) == {}
    with pytest.raises(UsageError, match=r"^like=curator: it has no options for libx264; it has them for h264_nvenc"):
        Transcode(like="curator")


def test_the_rate_may_be_the_input_s(tmp_path, source):
    """`input` asks for the bits a second that the probe found in the source's picture."""
    found = probe(str(source))
    assert Transcode(bitrate="input")._options(found.bitrate)["b"] == str(found.bitrate)
    with av.open(str(source)) as container:
        bits = 8 * sum(packet.size for packet in container.demux(video=0))
    assert found.bitrate == pytest.approx(bits / 3.0, rel=1e-3)


@pytest.mark.parametrize(
    ("params", "size"),
    [
        ({"short_side": 48}, (64, 48)),
        ({"long_side": 64}, (64, 48)),
        ({"short_side": 4000, "long_side": 4000}, (128, 96)),
        ({"short_side": 31}, (42, 32)),
    ],
)
def test_sizes_are_limited_never_raised_and_even(tmp_path, source, params, size):
    """A limit on either side shrinks the picture in its shape; what is within the limits stays."""
    (row,) = transcoded(source, tmp_path, Transcode(preset="ultrafast", **params), [(0.0, 0.5)])
    assert (row["w"], row["h"]) == size
    assert frames(row[""].data)[0][1].shape == (size[1], size[0], 3)


@pytest.mark.parametrize(("most", "kept"), [(30, range(30)), (100, range(30)), (15, range(0, 30, 2)), (1, [0])])
def test_frames_are_limited_by_thinning(tmp_path, source, most, kept):
    """A clip with too many frames keeps an even share of them and its length; one within the limit keeps all."""
    (row,) = transcoded(source, tmp_path, Transcode(preset="ultrafast", max_frames=most))
    assert [number_of(frame) for _, frame in frames(row[""].data)] == list(kept)
    assert row["duration"] == pytest.approx(3.0)
    assert row["fps"] == pytest.approx(len(kept) / 3)
    with av.open(str(row[""].data)) as container:
        assert float(container.streams.video[0].duration * container.streams.video[0].time_base) == pytest.approx(3.0)


PICTURE = (128, 96)
"""Of the source: 4:3."""


@pytest.mark.parametrize(
    ("params", "size", "shown"),
    [
        ({"size": (96, 54)}, (96, 54), (1, 0.75)),
        ({"size": (54, 96)}, (54, 96), (54 / 128, 1)),
        ({"size": (96, 54), "fit": "pad"}, (96, 54), None),
        ({"size": (96, 54), "fit": "scale"}, (96, 54), (1, 1)),
        ({"size": (256, 144)}, (128, 72), (1, 0.75)),
        ({"size": (256, 144), "fit": "scale"}, (128, 72), (1, 1)),
        ({"size": (256, 144), "fit": "pad"}, (256, 144), None),
        ({"size": (256, 144), "upscale": True}, (256, 144), (1, 0.75)),
        ({"size": (256, 144), "fit": "pad", "upscale": True}, (256, 144), None),
        ({"size": (128, 96)}, (128, 96), (1, 1)),
        ({"short_side": 192, "upscale": True}, (256, 192), (1, 1)),
        ({"long_side": 64, "short_side": 480, "upscale": True}, (64, 48), (1, 1)),
    ],
)
def test_a_size_is_met_by_cropping_padding_or_squeezing(tmp_path, params, size, shown):
    """The file has the size, or where that would enlarge the footage its shape; shown is the middle that was asked for.

    The picture is a ramp to the right in red and one down in blue: the colours of its corners say what is shown.
    """
    across, down = np.meshgrid(np.linspace(0, 200, PICTURE[0]), np.linspace(0, 200, PICTURE[1]))
    ramp = np.stack([across, np.full_like(across, 60), down], axis=2).astype(np.uint8)
    path = video(tmp_path / "ramp.mp4", seconds=0.5, fps=10, size=PICTURE, picture=lambda _: ramp, crf=4)
    (row,) = transcoded(path, tmp_path, Transcode(crf=4, **params))
    assert (row["w"], row["h"]) == size
    picture = frames(row[""].data)[0][1].astype(float)
    assert picture.shape == (size[1], size[0], 3)
    if shown is None:
        # what is not black is the whole ramp, in its shape, in the middle, and no larger unless it may be
        bright = picture[..., 1] > 30
        rows, columns = np.flatnonzero(bright.mean(1) > 0.2), np.flatnonzero(bright.mean(0) > 0.2)
        height, width = len(rows), len(columns)
        factor = min(size[0] / 128, size[1] / 96) if params.get("upscale") else min(1, size[0] / 128, size[1] / 96)
        assert (width, height) == pytest.approx((128 * factor, 96 * factor), abs=2)
        assert abs(rows[0] - (size[1] - 1 - rows[-1])) <= 2
        assert abs(columns[0] - (size[0] - 1 - columns[-1])) <= 2
        picture, shown = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], (1, 1)
    for channel, axis, share in ((0, 1, shown[0]), (2, 0, shown[1])):
        line = picture[..., channel].mean(1 - axis)
        assert line[-2] - line[1] == pytest.approx(200 * share * (1 - 3 / len(line)), abs=8)
        assert line.mean() == pytest.approx(100, abs=6)


RATES = [
    # a source of 10 frames a second: what is asked, the numbers kept, and their times
    ({"fps": 5}, range(0, 30, 2), [n / 5 for n in range(15)]),
    ({"fps": 10}, range(30), [n / 10 for n in range(30)]),
    ({"fps": 24}, range(30), [n / 10 for n in range(30)]),
    ({"fps": 4}, [0, 2, 5, 7, 10, 12, 15, 17, 20, 22, 25, 27], [n / 4 for n in range(12)]),
    ({"fps": 20, "repeat": True}, sorted([*range(30)] * 2), [n / 20 for n in range(60)]),
    ({"fps": 5, "max_frames": 5}, range(0, 30, 6), [n * 0.6 for n in range(5)]),
]


@pytest.mark.parametrize(("params", "numbers", "times"), RATES)
def test_a_rate_is_met_by_time(tmp_path, source, params, numbers, times):
    """Of each 1/fps seconds the nearest frame, at an even rate; of fewer frames none twice, unless told, and their own
    times; the file lasts as long as the clip."""
    (row,) = transcoded(source, tmp_path, Transcode(preset="ultrafast", **params))
    found = frames(row[""].data)
    assert [number_of(frame) for _, frame in found] == list(numbers)
    assert [time for time, _ in found] == pytest.approx(times, abs=1e-4)
    assert (row["frames"], row["duration"]) == (len(times), pytest.approx(3.0))
    assert row["fps"] == pytest.approx(len(times) / 3)
    with av.open(str(row[""].data)) as container:
        stream = container.streams.video[0]
        assert float(stream.duration * stream.time_base) == pytest.approx(3.0, abs=1e-3)


@pytest.mark.parametrize("codec", list(openable()))
@pytest.mark.parametrize(("fps", "repeat", "count"), [(24, False, 36), (23.976, False, 36), (60, True, 90)])
def test_every_encoder_keeps_an_even_rate(tmp_path, codec, fps, repeat, count):
    """Of footage of 30 frames a second each gives that many, evenly, in order, twice the same bytes."""
    path = video(tmp_path / "a.mp4", seconds=2.0, fps=30, numbered=True, sound="aac")
    stage = Transcode(codec=codec, fps=fps, repeat=repeat)
    one, two = (transcoded(path, tmp_path, stage, [(0.25, 1.75)])[0] for _ in range(2))
    found = frames(one[""].data)
    assert len(found) == count
    assert [time for time, _ in found] == pytest.approx([n / fps for n in range(count)], abs=1e-4)
    assert [number_of(frame) for _, frame in found] == pytest.approx(
        [min(7.5 + n / fps * 30, 52) for n in range(count)], abs=0.51
    )
    assert one[""].data.read_bytes() == two[""].data.read_bytes()


def test_footage_of_uneven_times_is_thinned_where_it_is_dense(tmp_path):
    """With ten frames a second at most, a burst is thinned and a pause stays: nothing is shown twice."""
    times = [0.0, 0.1, 0.2, 0.5, *(0.8 + n / 50 for n in range(20))]
    path = video(tmp_path / "a.mp4", seconds=1.2, times=times, numbered=True)
    (row,) = transcoded(path, tmp_path, Transcode(preset="ultrafast", fps=10))
    found = frames(row[""].data)
    assert [number_of(frame) for _, frame in found] == [0, 1, 2, 3, 4, 9, 14, 19]
    assert [time for time, _ in found] == pytest.approx([0, 0.1, 0.2, 0.5, 0.8, 0.9, 1.0, 1.1], abs=2e-3)
    (row,) = transcoded(path, tmp_path, Transcode(preset="ultrafast", fps=10, repeat=True))
    found = frames(row[""].data)
    assert [number_of(frame) for _, frame in found] == [0, 1, 2, 2, 2, 3, 3, 3, 4, 9, 14, 19]
    assert [time for time, _ in found] == pytest.approx([n / 10 for n in range(12)], abs=1e-4)


@pytest.mark.parametrize(
    "params",
    [
        {"fps": 0},
        {"size": (0, 48)},
        {"size": (64, 47)},
        {"crf": 52},
        {"crf": -1},
        {"bitrate": "fast"},
        {"bitrate": "0"},
        {"preset": "p4"},
        {"max_frames": 0},
        {"long_side": 1},
    ],
)
def test_what_no_encoder_takes_is_refused(params):
    """A quality off the scale and a bitrate that is none are refused by name, before any clip is touched."""
    (name,) = params
    with pytest.raises(UsageError, match=rf"^{name}="):
        Transcode(**params)


@pytest.mark.parametrize(("codec", "params"), [("libopenh264", {"crf": 20}), ("copy", {"crf": 20})])
def test_what_this_encoder_does_not_know_is_refused(codec, params):
    """libopenh264 knows no constant quality, and a copy is not encoded."""
    with pytest.raises(UsageError, match=r"^crf=20: "):
        Transcode(codec=codec, **params)


# copies


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_a_copy_begins_on_a_keyframe_and_says_so(tmp_path, suffix):
    """The file holds the source's own frames from the keyframe before the clip to its end, and its row says where."""
    path = video(tmp_path / f"a.{suffix}", seconds=4.0, fps=10, gop=10, numbered=True, sound="aac")
    rows = transcoded(path, tmp_path, Transcode(codec="copy"), [(0.0, 1.5), (1.5, 2.5), (3.0, 4.0)])
    for row, first, end, start in zip(rows, (0, 10, 30), (15, 25, 40), (0.0, -0.5, 0.0), strict=True):
        found = frames(row[""].data)
        numbers = [number_of(frame) for _, frame in found]
        assert numbers == list(range(first, first + len(numbers)))
        assert end <= first + len(numbers) <= end + 3
        assert row["frames"] == len(numbers)
        assert row["start"] == pytest.approx(start, abs=1e-3)
        assert row["duration"] == pytest.approx(len(numbers) / 10, abs=2e-3)
        assert found[0][0] == pytest.approx(0.0, abs=1e-3)
        assert row["audio"] == "aac"


def test_a_copy_decodes_nothing_and_stands_beside_what_does(tmp_path):
    """In one pass with an encoder both get all of theirs; bytes are those of a pass of its own."""
    path = video(tmp_path / "a.mp4", seconds=3.0, fps=10, gop=10, numbered=True)
    (alone,) = transcoded(path, tmp_path, Transcode(codec="copy"), [(1.0, 2.0)])
    copy, encode = Transcode(codec="copy"), Transcode(preset="ultrafast")
    sinks = {name: s.open(Clip(duration=1.0, start=1.0, scratch=tmp_path), None) for name, s in
             (("copy", copy), ("encode", encode))}  # fmt: skip
    found = probe(str(path))
    tick = found.time_base_den
    cut = Cut(tick, 2 * tick, sinks={"copy": (copy.asks(), sinks["copy"]), "encode": (encode.asks(), sinks["encode"])})
    for taken in footage(str(path), found.stream, [cut]):
        assert taken.frames == 10
        copied, encoded = sinks["copy"].close(), sinks["encode"].close()
    assert copied[""].data.read_bytes() == alone[""].data.read_bytes()
    assert [number_of(frame) for _, frame in frames(encoded[""].data)] == list(range(10, 20))


def test_pictures_that_have_no_place_in_mp4_are_copied_to_matroska(tmp_path):
    """MPEG-1 pictures of a program stream come out as Matroska."""
    path = video(tmp_path / "a.mpg", seconds=2.0, fps=25, codec="mpeg1video", numbered=True)
    (row,) = transcoded(path, tmp_path, Transcode(codec="copy"))
    assert row[""].suffix == ".mkv"
    assert [number_of(frame) for _, frame in frames(row[""].data)] == list(range(row["frames"]))

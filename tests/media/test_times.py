"""A clip lasts as long as it is, whatever the times of the file; nothing at its ends or behind a jump is lost."""

from fractions import Fraction

import av
import numpy as np
import pytest
from cutting import EVERY, beeps, cut, cuts_of, flashes, numbers
from footage import frames, number_of, scene, video

from vbuild.media.clip import Cut
from vbuild.media.passes import footage
from vbuild.media.probe import probe
from vbuild.stage import Clip, Frames, Sound
from vbuild.stages.frames import Frames as Stills
from vbuild.stages.transcode import Transcode


def remuxed(source, target, order):
    """The streams of a file in another, in another order."""
    with av.open(str(source)) as given, av.open(str(target), "w") as made:
        streams = {n: made.add_stream_from_template(given.streams[n]) for n in order}
        for packet in given.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                made.mux(packet)
    return target


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_no_frame_is_lost_where_the_picture_is_not_the_first_stream(tmp_path, suffix):
    """The decoder is flushed by its own stream's last packet, and by no other's."""
    plain = video(tmp_path / f"plain.{suffix}", seconds=2, fps=25, numbered=True, sound="aac")
    path = remuxed(plain, tmp_path / f"a.{suffix}", (1, 0))
    found = probe(str(path))
    assert (found.stream, found.frames) == (1, 50)
    heard = {"all": EVERY, "sound": Sound()}
    (taken,) = footage(str(path), found.stream, [Cut(found.start_pts, found.end_pts, heard)])
    assert [number_of(p) for p in taken.samples["all"].pixels] == list(range(50))
    assert taken.warning is None


@pytest.mark.parametrize(("sounds", "heard"), [(1, None), (2, "mp3")])
def test_sound_that_nothing_decodes_is_passed_over(tmp_path, sounds, heard):
    """Its codec is named, the next that can be decoded is taken, and the picture is whole."""
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=25)
        picture.width, picture.height = 64, 48
        others = [container.add_stream(codec, rate=48_000) for codec in ("aac", "libmp3lame")[:sounds]]
        for n in range(25):
            frame = av.VideoFrame.from_ndarray(scene(1, (64, 48))(n / 25), "rgb24")
            frame.pts, frame.time_base = n, Fraction(1, 25)
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        for stream in others:
            frame = av.AudioFrame.from_ndarray(np.full((2, 48_000), 0.25, np.float32), "fltp", "stereo")
            frame.sample_rate, frame.pts = 48_000, 0
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    data = path.read_bytes()
    data = data.replace(b"mp4a", b"apac", 1).replace(b"esds", b"none", 1)
    path.write_bytes(data)
    found = probe(str(path))
    assert found.audio == heard
    assert found.warning == "no decoder is known for its sound (apac)"
    cuts = [Cut(found.start_pts, found.end_pts, {"all": EVERY, "sound": Sound()})]
    (taken,) = footage(str(path), found.stream, cuts)
    assert taken.frames == 25
    assert taken.samples["sound"].any() == (heard is not None)
    assert cut(path, tmp_path, (0, 1), preset="ultrafast")["audio"] == heard


def joined(path, *parts):
    """Files put end to end, as bytes."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


@pytest.mark.parametrize("second", [0.0, 300.0])
def test_a_clock_that_jumps_is_continued(tmp_path, second):
    """Back or far ahead: every frame is there at even distances, sound moves along, and it is said."""
    starts = {"a": 100.0, "b": 100.0 + second}
    parts = [
        video(tmp_path / f"{name}.ts", seconds=3, fps=25, sound="aac", beeps=[1.4], start=start, gop=25)
        for name, start in starts.items()
    ]
    path = joined(tmp_path / "joined.ts", *parts)
    found = probe(str(path))
    assert (found.frames, found.jumps) == (150, 1)
    assert found.duration == pytest.approx(6.0, abs=0.1)
    assert "its clock jumps 1 times" in found.warning
    request = {"all": Frames(every=True, size=(8, 8))}
    (taken,) = footage(str(path), 0, [Cut(found.start_pts, found.end_pts, request)], through=True)
    assert len(taken.samples["all"].times) == 150
    steps = np.diff(taken.samples["all"].times)
    assert steps.min() > 0.03
    assert steps.max() < 0.15
    offset = np.mean(np.subtract(beeps(parts[0]), flashes(parts[0])))
    for codec in ("libx264", "copy"):
        row = cut(path, tmp_path, (0, found.duration), codec=codec)
        light, sound = flashes(row[""].data), beeps(row[""].data)
        assert len(light) == len(sound) == 2
        assert np.subtract(sound, light) == pytest.approx([offset, offset], abs=0.06)


def test_far_clips_behind_a_jump_are_found(tmp_path):
    """Such a file is read through: its times cannot be sought."""
    parts = [video(tmp_path / f"{n}.ts", seconds=8, fps=25, seed=n, numbered=True, gop=25) for n in range(2)]
    path = joined(tmp_path / "joined.ts", *parts)
    found = probe(str(path))
    second = found.start_pts + 8 * 90_000
    cuts = [Cut(second + 6 * 90_000, second + 7 * 90_000, {"all": EVERY})]
    (taken,) = footage(str(path), 0, cuts, through=found.jumps > 0)
    assert [number_of(p) for p in taken.samples["all"].pixels] == list(range(150, 175))


def test_a_pause_is_no_jump(tmp_path):
    """A picture that stands long, in a format whose clock cannot leap, stands as long as it did."""
    path = video(tmp_path / "a.mp4", times=[0, 1, 30, 31])
    assert (probe(str(path)).jumps, probe(str(path)).duration) == (0, pytest.approx(32, abs=0.1))


SPARSE = {
    "slow": [0.0, 5.0, 10.0, 15.0],
    "bursts": [0.0, 0.033, *(12 + n / 25 for n in range(50)), 16.0, 19.97],
    "two at once": [0.0, 0.001, *(n / 15 for n in range(1, 300))],
}


@pytest.mark.parametrize("codec", ["libx264", "libsvtav1", "libvpx-vp9"])
@pytest.mark.parametrize("name", SPARSE)
def test_a_clips_file_lasts_as_long_as_the_clip(tmp_path, name, codec):
    """With few frames, and with many at uneven times: the first picture at 0, the last to the end, all the sound."""
    path = video(tmp_path / "a.mkv", seconds=20, times=SPARSE[name], sound="aac", size=(64, 48))
    efforts = {"libx264": "ultrafast", "libsvtav1": "12", "libvpx-vp9": "8"}
    for start, end in ((0, 8), (8, 11), (11, 18)):
        row = cut(path, tmp_path, (start, end), codec=codec, preset=efforts[codec])
        assert (row["start"], row["duration"]) == (0, pytest.approx(end - start, abs=0.002))
        with av.open(str(row[""].data)) as container:
            picture, sound = container.streams
            assert float(picture.duration * picture.time_base) == pytest.approx(end - start, abs=0.01)
            assert float(sound.duration * sound.time_base) == pytest.approx(end - start, abs=0.06)
        shown = [time for time, _ in frames(row[""].data)]
        wanted = [t - start for t in SPARSE[name] if start < t < end]
        assert shown == pytest.approx([0, *wanted], abs=0.002)


def test_a_clip_in_a_hole_shows_the_picture_before(tmp_path):
    """For samples, stills and copies alike it has one picture, at time 0."""
    path = video(tmp_path / "a.mp4", times=[0.0, 0.1, 0.2, 5.0, 5.1], numbered=True, bframes=0)
    found = probe(str(path))
    first, last = (found.start_pts + round(second * found.time_base_den) for second in (1, 3))
    stills = Stills(rates=(2.0,), middle=True)
    stage = stills.open(Clip(duration=2.0, scratch=tmp_path), None)
    requests = {"all": EVERY, "few": Frames(fps=1, size=(128, 96)), "one": Frames(count=1, size=(128, 96))}
    cuts = [Cut(first, last, requests, {"stills": (stills.asks(), stage)})]
    (taken,) = footage(str(path), 0, cuts)
    assert (taken.frames, taken.warning) == (1, None)
    for sampled in taken.samples.values():
        assert {number_of(p) for p in sampled.pixels} == {2}
        assert set(sampled.times.tolist()) == {0.0}
    assert stage.close()["time"] == [0.0]
    assert cut(path, tmp_path, (1, 3), codec="copy")["duration"] == pytest.approx(3.0)


def test_a_last_frame_of_a_tick_lasts_as_long_as_others(tmp_path):
    """Programs that do not know how long it is shown write one tick."""
    plain, path = video(tmp_path / "plain.mkv", seconds=1, fps=25, bframes=0), tmp_path / "a.mp4"
    with av.open(str(plain)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets = [p for p in source.demux(video=0) if p.size]
        for n, packet in enumerate(packets):
            packet.stream, packet.duration = stream, 1 if n == len(packets) - 1 else 40
            target.mux(packet)
    assert probe(str(path)).duration == pytest.approx(1.0, abs=0.002)


def test_pictures_of_a_clip_have_one_size(tmp_path):
    """Where the size changes, what follows is fitted into the first picture, whole and on black, and it is said."""
    white = {"picture": lambda size: lambda _: np.full((*size[::-1], 3), 200, np.uint8)}["picture"]
    parts = [
        video(tmp_path / f"{n}.ts", seconds=1, fps=25, size=size, picture=white(size), start=n)
        for n, size in enumerate([(160, 96), (96, 160)])
    ]
    path = joined(tmp_path / "a.ts", *parts)
    found = probe(str(path))
    request = {"all": Frames(every=True, short_side=96, format="gray")}
    (taken,) = footage(str(path), 0, [Cut(found.start_pts, found.end_pts, request)])
    assert taken.samples["all"].pixels.shape == (50, 96, 160)
    assert "25 frames were fitted into 160x96" in taken.warning
    last = taken.samples["all"].pixels[-1]
    assert last[48, 80] > 180
    assert last[:, :45].max() < 30 > last[:, -45:].max()
    assert last[0, 80] > 180
    row = cut(path, tmp_path, (0, 2), preset="ultrafast")
    assert (row["w"], row["h"], row["frames"]) == (160, 96, 50)


SOURCES = [
    *((codec, suffix) for codec in ("libx264", "mpeg4", "mpeg2video") for suffix in ("mp4", "mkv", "ts", "avi", "mpg")),
    *((codec, suffix) for codec in ("libx265", "libsvtav1", "ffv1") for suffix in ("mp4", "mkv")),
    *((codec, "webm") for codec in ("libvpx", "libvpx-vp9")),
    *(("libx264", "flv"), ("mpeg1video", "mkv"), ("mjpeg", "avi"), ("mjpeg", "mov")),
]
SOURCES = [pair for pair in SOURCES if pair != ("libx264", "mpg")]


@pytest.mark.parametrize(("codec", "suffix"), SOURCES)
def test_a_clip_does_not_depend_on_those_beside_it(tmp_path, codec, suffix):
    """Alone, behind another one far before, and among all: the same pixels and times, in every container and codec."""
    if (codec, suffix) == ("ffv1", "mp4") and av.__version__.startswith("15."):
        pytest.skip("PyAV 15 writes no FFV1 into mp4")
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    sound = None if (codec, suffix) == ("ffv1", "mp4") or suffix == "webm" else "aac" if suffix != "mpg" else "mp2"
    path = video(
        tmp_path / f"a.{suffix}",
        seconds=16,
        fps=25,
        codec=codec,
        gop=12,
        pixel_format=pixels,
        size=(64, 48),
        sound=sound,
        bframes=0 if codec == "mjpeg" else 2,
    )
    found = probe(str(path))
    request = {"all": Frames(every=True, size=(64, 48)), "sound": Sound()}
    cuts = cuts_of(path, [0, 1.3, 6.1, 7.43, 14.0, 15.0], **request)
    whole = list(footage(str(path), found.stream, cuts))
    for chosen in ([0, 2, 4], [2], [4], [1, 4], [3]):
        for taken, n in zip(footage(str(path), found.stream, [cuts[n] for n in chosen]), chosen, strict=True):
            for name in ("pixels", "times"):
                assert np.array_equal(getattr(taken.samples["all"], name), getattr(whole[n].samples["all"], name)), n
            assert np.array_equal(taken.samples["sound"], whole[n].samples["sound"]), n


def test_of_two_frames_as_near_the_earlier_is_taken(tmp_path):
    """For samples and stills, at rates that are no binary fractions too."""
    path = video(tmp_path / "a.mp4", seconds=2, fps=20, numbered=True)
    found = probe(str(path))
    rate = 40.0
    stills = Stills(rates=(rate,))
    sink = stills.open(Clip(duration=2.0, scratch=tmp_path), None)
    cuts = [Cut(found.start_pts, found.end_pts, {"a": Frames(fps=rate, size=(128, 96))}, {"s": (stills.asks(), sink)})]
    (taken,) = footage(str(path), 0, cuts)
    # each odd moment lies in the middle between two frames
    assert [number_of(p) for p in taken.samples["a"].pixels] == [n // 2 for n in range(80)]
    assert len(sink.close()["time"]) == 40


def test_packets_that_come_to_nothing_are_told(tmp_path):
    """What cannot be decoded, and raises nothing, is a warning of the clip."""
    path = video(tmp_path / "a.ts", seconds=2, fps=25, gop=25, numbered=True)
    with av.open(str(path)) as source, av.open(str(tmp_path / "b.ts"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for n, packet in enumerate(source.demux(video=0)):
            if packet.size and n >= 10:
                packet.stream = stream
                target.mux(packet)
    found = probe(str(tmp_path / "b.ts"))
    (taken,) = footage(str(tmp_path / "b.ts"), 0, [Cut(found.start_pts, found.end_pts, {"all": EVERY})])
    assert taken.frames < found.frames
    assert taken.warning is not None
    assert numbers(path, cuts_of(path, [0, 2.0], all=EVERY)) == [list(range(50))]


@pytest.mark.parametrize("codec", ["libx264", "libopenh264", "libvpx-vp9", "libsvtav1"])
def test_a_rate_that_an_encoder_does_not_take_is_brought_to_one(tmp_path, codec):
    """Frames keep their times, at 300 a second and at one in five seconds."""
    if codec not in av.codecs_available:
        pytest.skip(f"{codec} is not in this av")
    for fps, seconds in ((300, 0.2), (Fraction(1, 5), 20)):
        path = video(tmp_path / f"{codec}.mkv", seconds=seconds, fps=fps, size=(64, 64))
        sink = Transcode(codec=codec).open(Clip(duration=seconds, fps=float(fps), scratch=tmp_path), None)
        for time, picture in frames(path):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = round(time * 90_000), Fraction(1, 90_000)
            sink.frame(frame, time)
        row = sink.close()
        assert (row["frames"], row["duration"]) == (round(fps * seconds), seconds)

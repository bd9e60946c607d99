"""Files as people really have them: each comes to clips or to a reason, and no clip is wrong."""

import os
import random
import resource
import shutil
import subprocess
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from footage import video

from vbuild.errors import MediaError
from vbuild.media.clip import Cut
from vbuild.media.files import open_container
from vbuild.media.passes import footage
from vbuild.media.probe import probe
from vbuild.stage import Frames

VIDEOS = Path(os.environ.get("VBUILD_VIDEOS") or Path(__file__).parents[3] / "shared" / "videos")
OUTCOMES = Path(__file__).with_name("outcomes.tsv")

TINY = Frames(every=True, size=(8, 8), format="gray")


def outcome(path: Path) -> tuple[str, int, int, str]:
    """What comes of a file in clips of 10 s: status, clips with a picture, their pictures, and what is said of it."""
    try:
        found = probe(str(path))
    except MediaError as error:
        return "failed", 0, 0, str(error)
    base = Fraction(found.time_base_num, found.time_base_den)
    step = Fraction(10) / base
    bounds = [found.start_pts]
    while bounds[-1] < found.end_pts:
        bounds.append(min(-(-(found.start_pts + len(bounds) * step) // 1), found.end_pts))
    cuts = [Cut(a, b, {"all": TINY}) for a, b in pairwise(bounds)]
    taken = list(footage(str(path), found.stream, cuts, through=found.jumps > 0))
    assert [t.index for t in taken] == sorted(t.index for t in taken)
    for cut, part in zip(cuts, sorted(taken, key=lambda t: t.index), strict=True):
        times = part.samples["all"].times
        assert part.frames == len(times)
        assert (np.diff(times) > 0).all()
        assert all(0 <= t < (cut.end_pts - cut.start_pts) * base for t in times.tolist())
    said = [found.warning, *(t.warning for t in taken)]
    status = "warning" if any(said) else "ok"
    return status, sum(t.frames > 0 for t in taken), sum(t.frames for t in taken), "; ".join(s for s in said if s)


def plain(path: Path) -> int:
    """Frames that PyAV decodes of a file, packet by packet."""
    count = 0
    with open_container(str(path)) as container:
        stream = next(s for s in container.streams.video)
        try:
            for packet in container.demux(stream):
                try:
                    count += sum(1 for _ in packet.decode())
                except av.FFmpegError:
                    continue
        except av.FFmpegError:
            pass
    return count


def table() -> dict[str, tuple[str, int, int, str]]:
    """The outcome of each file of the collection, as it was looked at by hand."""
    rows = (line.split("\t") for line in OUTCOMES.read_text(encoding="utf-8").splitlines()[1:])
    return {name: (status, int(clips), int(frames), said) for name, status, clips, frames, said in rows}


@pytest.mark.skipif(not VIDEOS.is_dir(), reason="the collection of real files is not at hand; set VBUILD_VIDEOS")
@pytest.mark.parametrize("name", sorted(table()))
def test_each_file_of_the_collection_has_its_outcome(name):
    """Real footage, good and broken."""
    assert outcome(VIDEOS / name) == table()[name]


def alike(path: Path) -> None:
    """Asserts that clips of a file, of 1.7 s each, are alone what they are beside each other."""
    found = probe(str(path))
    step = round(Fraction(17, 10) * found.time_base_den / found.time_base_num)
    bounds = [*range(found.start_pts, found.end_pts, max(step, 1)), found.end_pts]
    cuts = [Cut(a, b, {"all": Frames(every=True, size=(64, 48))}) for a, b in pairwise(bounds)]
    through = found.jumps > 0
    whole = sorted(footage(str(path), found.stream, cuts, through=through), key=lambda taken: taken.index)
    for n in {0, len(cuts) // 3, len(cuts) * 2 // 3, len(cuts) - 1}:
        # one far behind another, as well as alone
        for chosen in ([n], [0, n] if n > 3 else [n]):
            taken = list(footage(str(path), found.stream, [cuts[m] for m in chosen], through=through))[-1]
            for part in ("pixels", "times"):
                assert np.array_equal(getattr(taken.samples["all"], part), getattr(whole[n].samples["all"], part)), n


@pytest.mark.slow
@pytest.mark.skipif(not VIDEOS.is_dir(), reason="the collection of real files is not at hand; set VBUILD_VIDEOS")
@pytest.mark.parametrize("name", sorted(name for name, row in table().items() if row[0] != "failed"))
def test_a_clip_of_each_file_does_not_depend_on_those_beside_it(name):
    """Real footage decodes behind a seek to what it decodes to from the start."""
    alike(VIDEOS / name)


@pytest.mark.skipif(not VIDEOS.is_dir(), reason="the collection of real files is not at hand; set VBUILD_VIDEOS")
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg, which puts Theora into Matroska, is not installed")
@pytest.mark.parametrize("name", ["popcorn_theora.ogv", "basketball_01_mpeg1.mpg", "child_eating_mpeg4.avi"])
def test_what_was_put_into_matroska_does_not_depend_on_what_is_beside_it(tmp_path, name):
    """A Theora decoder that has decoded keeps, through a seek, pictures that turn others green."""
    path = tmp_path / "a.mkv"
    command = ["ffmpeg", "-v", "error", "-fflags", "+genpts", "-i", str(VIDEOS / name), "-map", "0:v:0", "-c", "copy"]
    subprocess.run([*command, str(path)], check=True)
    alike(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A film of two seconds whose header stands in front."""
    folder = tmp_path_factory.mktemp("odd")
    path = video(folder / "plain.mp4", seconds=2, fps=25, gop=10, sound="aac")
    front = folder / "front.mp4"
    with av.open(str(path)) as source, av.open(str(front), "w", options={"movflags": "+faststart"}) as target:
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    return front.read_bytes()


@pytest.mark.parametrize("part", range(1, 21))
def test_a_file_that_is_cut_off(tmp_path, whole, part):
    """Cut at any point, it is a reason or the frames that are left, with a warning."""
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: len(whole) * part // 21])
    status, _, frames, said = outcome(path)
    assert status in ("failed", "warning")
    assert said
    if status == "warning":
        assert frames == plain(path) < 50


@pytest.mark.parametrize("batch", range(10))
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
def test_a_file_with_flipped_bytes(tmp_path, batch, suffix):
    """Bytes flipped at 20 places, ten times over in each of four containers: no hang, no crash, no frame twice."""
    path = video(tmp_path / f"a.{suffix}", seconds=1, fps=25, gop=10, codec="mpeg4" if suffix == "avi" else "libx264")
    data = bytearray(path.read_bytes())
    chance = random.Random(batch)
    for _ in range(20):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    status, _, frames, _ = outcome(path)
    assert status in ("ok", "warning", "failed")
    if status != "failed":
        assert frames <= plain(path)


def test_a_stream_that_begins_without_a_keyframe(tmp_path):
    """What cannot be decoded before the first keyframe is missing; all else is there."""
    path = video(tmp_path / "a.ts", seconds=3, fps=25, gop=25)
    with av.open(str(path)) as source, av.open(str(tmp_path / "b.ts"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for n, packet in enumerate(source.demux(video=0)):
            if packet.size and n >= 10:
                packet.stream = stream
                target.mux(packet)
    status, clips, frames, _ = outcome(tmp_path / "b.ts")
    assert (status != "failed", clips) == (True, 1)
    assert 48 <= frames <= 65


def test_a_pixel_and_a_giant(tmp_path):
    """1x1 and 8K come through at their size."""
    assert outcome(video(tmp_path / "a.mkv", seconds=1, size=(1, 1), codec="ffv1", pixel_format="yuv444p"))[2] == 24
    giant = video(
        tmp_path / "b.mp4", seconds=2 / 24, size=(7680, 4320), picture=lambda _: np.zeros((4320, 7680, 3), np.uint8)
    )
    assert outcome(giant)[2] == 2


def test_a_header_that_claims_ten_hours(tmp_path):
    """The duration is that of the frames that are there, whatever the header claims."""
    path = video(tmp_path / "a.mp4", seconds=1)
    data = bytearray(path.read_bytes())
    for box in (b"mvhd", b"tkhd", b"mdhd"):
        place = data.index(box) + (24 if box == b"tkhd" else 20)
        data[place : place + 4] = (36_000 * 1000).to_bytes(4, "big")
    path.write_bytes(data)
    assert probe(str(path)).duration == pytest.approx(1.0, abs=0.05)
    assert outcome(path)[2] == 24


def test_a_raw_stream_without_times(tmp_path):
    """Frames without presentation times stand in the order in which they come."""
    path = video(tmp_path / "a.mp4", seconds=1, fps=25)
    with av.open(str(path)) as source, av.open(str(tmp_path / "raw.ts"), "w", format="h264") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    status, _, frames, said = outcome(tmp_path / "raw.ts")
    assert (status, frames) == ("warning", 25)
    assert "presentation time" in said


def test_two_streams_of_pictures(tmp_path):
    """The first is taken, and it is said."""
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=10) for _ in range(2)]
        for stream, size in zip(streams, (64, 32), strict=True):
            stream.width = stream.height = size
            stream.pix_fmt = "yuv420p"
        for stream, size in zip(streams, (64, 32), strict=True):
            for n in range(10):
                frame = av.VideoFrame.from_ndarray(np.full((size, size, 3), n * 20, np.uint8), "rgb24")
                frame.pts = n
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    found = probe(str(path))
    assert (found.width, found.video_streams) == (64, 2)
    assert "2 video streams" in found.warning


def test_a_cover_picture_is_no_video(tmp_path):
    """An audio file with a cover is refused as one."""
    path = tmp_path / "song.mp4"
    picture = tmp_path / "cover.png"
    cv2.imwrite(str(picture), np.zeros((16, 16, 3), np.uint8))
    with av.open(str(path), "w") as container, av.open(str(picture)) as cover:
        sound = container.add_stream("aac", rate=48_000, layout="mono")
        art = container.add_stream_from_template(cover.streams.video[0])
        art.disposition = av.stream.Disposition.attached_pic.value
        for packet in cover.demux(video=0):
            if packet.size:
                packet.stream = art
                container.mux(packet)
        for n in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 48_000, n * 1024, Fraction(1, 48_000)
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    assert outcome(path)[::3] == ("failed", "no video stream; it holds only audio and a cover picture")


def test_five_hundred_opens_leak_nothing(tmp_path):
    """Memory stays where it was."""
    path = video(tmp_path / "a.mp4", seconds=0.5, size=(320, 240))

    def run(times: int) -> int:
        for _ in range(times):
            outcome(path)
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    before = run(50)
    assert run(500) - before < 32 << 20

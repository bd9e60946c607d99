"""What a file holds is told by its packets, not by its header."""

from fractions import Fraction

import av
import numpy as np
import pytest
from footage import video

from vbuild.errors import MediaError, NoVideoError
from vbuild.media.probe import chapters, probe


def test_what_is_in_a_plain_file(tmp_path):
    """Sizes, rates, spans and sound."""
    found = probe(str(video(tmp_path / "a.mp4", seconds=2, fps=25, sound="aac", gop=10)))
    assert (found.codec, found.width, found.height, found.frames, found.audio) == ("h264", 128, 96, 50, "aac")
    assert (found.fps, found.duration) == (pytest.approx(25), pytest.approx(2))
    assert (found.keyframes, found.vfr, found.warning) == (5, False, None)


def test_uneven_frames_are_told(tmp_path):
    """Frames at uneven distances make a variable rate, and the mean is what is called fps."""
    found = probe(str(video(tmp_path / "a.mp4", times=[0.0, 0.1, 0.2, 0.5, 0.6, 1.1])))
    assert found.vfr
    assert found.frames == 6
    assert found.fps == pytest.approx(6 / found.duration)


def test_an_offset_start_is_kept(tmp_path):
    """Spans are in the source's own clock."""
    found = probe(str(video(tmp_path / "a.ts", seconds=1, start=7.0)))
    assert found.start_pts * Fraction(found.time_base_num, found.time_base_den) >= 7
    assert found.duration == pytest.approx(1.0, abs=0.01)


def test_a_header_that_lies_is_reported(tmp_path):
    """A file that was cut off says how many frames are missing."""
    path = video(tmp_path / "a.mp4", seconds=4, crf=1)
    with (
        av.open(str(path)) as source,
        av.open(str(tmp_path / "front.mp4"), "w", options={"movflags": "+faststart"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    data = (tmp_path / "front.mp4").read_bytes()
    (tmp_path / "front.mp4").write_bytes(data[: len(data) // 2])
    found = probe(str(tmp_path / "front.mp4"))
    assert found.frames < 96
    assert f"the header says 96 frames, {found.frames} are there" in found.warning


def test_files_without_a_picture(tmp_path):
    """Sound alone, a cover picture beside sound, text, and nothing at all are each told apart."""
    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("aac", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts = 48_000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(NoVideoError, match="it holds only audio"):
        probe(str(sound))
    (tmp_path / "text.mp4").write_text("no video at all")
    with pytest.raises(MediaError, match="it is no video that can be opened"):
        probe(str(tmp_path / "text.mp4"))
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(MediaError, match=r"the file is empty \(0 bytes\)"):
        probe(str(tmp_path / "empty.mp4"))


def test_the_extension_says_nothing(tmp_path):
    """A matroska file called mp4 is read as what it is."""
    path = video(tmp_path / "a.mkv", seconds=1)
    path.rename(tmp_path / "a.mp4")
    assert probe(str(tmp_path / "a.mp4")).container == "matroska,webm"


def refused(path):
    with pytest.raises(MediaError) as error:
        probe(str(path))
    return str(error.value)


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_an_index_that_is_missing_is_named(tmp_path, suffix):
    """An mp4 that was cut off before its index, once and again; a text of that name is a text."""
    data = video(tmp_path / f"a.{suffix}", seconds=1).read_bytes()
    for name in ("one", "two"):
        (tmp_path / f"{name}.{suffix}").write_bytes(data[: len(data) // 2])
        assert "its index, the moov box, is missing" in refused(tmp_path / f"{name}.{suffix}")
    (tmp_path / f"text.{suffix}").write_text("no video at all")
    assert "moov" not in refused(tmp_path / f"text.{suffix}")
    (tmp_path / f"noise.{suffix}").write_bytes(bytes(range(1, 256)) * 9)
    assert "moov" not in refused(tmp_path / f"noise.{suffix}")


@pytest.mark.parametrize("suffix", ["mkv", "webm"])
def test_a_file_that_is_cut_off_says_so(tmp_path, suffix):
    """What is there can be used, and the remark tells that the file ends too early; a whole file has none."""
    path = video(tmp_path / f"a.{suffix}", seconds=3, codec="libx264" if suffix == "mkv" else "libvpx-vp9")
    assert probe(str(path)).warning is None
    (tmp_path / f"cut.{suffix}").write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 10])
    assert "the file is cut off" in probe(str(tmp_path / f"cut.{suffix}")).warning


def test_a_file_that_is_cut_off_before_its_first_frame_says_so(tmp_path):
    """Its index is there, and nothing that it names."""
    path, front = video(tmp_path / "a.mp4", seconds=1, bframes=0), tmp_path / "front.mp4"
    with av.open(str(path)) as source, av.open(str(front), "w", options={"movflags": "+faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    data = front.read_bytes()
    front.write_bytes(data[: data.index(b"mdat") + 5])
    assert refused(front) == "the file is cut off before the end of its first frame"


def test_encrypted_pictures_are_named(tmp_path):
    """By common encryption, without the key."""
    path = video(tmp_path / "a.mp4", seconds=1)
    how = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "01" * 16, "encryption_kid": "02" * 16}
    with av.open(str(path)) as source, av.open(str(tmp_path / "b.mp4"), "w", options=how) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    assert refused(tmp_path / "b.mp4") == "its h264 video is encrypted"


def test_what_ffmpeg_logs_is_left_as_it_was(tmp_path, capfd):
    """Nothing is printed, of files that open and of those that do not."""
    level = av.logging.get_level()
    path = video(tmp_path / "a.mp4", seconds=1)
    (tmp_path / "b.mp4").write_bytes(path.read_bytes()[:900])
    capfd.readouterr()
    probe(str(path))
    refused(tmp_path / "b.mp4")
    assert av.logging.get_level() == level
    assert capfd.readouterr() == ("", "")


def test_chapters_are_told_by_every_av(tmp_path):
    """Those of a file of Ogg, whose comments name where they begin."""
    path = tmp_path / "a.ogv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number, start in enumerate(("00.000", "01.250", "03.000")):
            stream.metadata[f"CHAPTER00{number}"] = f"00:00:{start}"
        for n in range(50):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), n * 4, np.uint8), "rgb24").reformat(
                format="yuv420p"
            )
            frame.pts, frame.time_base = n, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert chapters(str(path)) == [0, 1.25, 1.25, 3, 3, 5]
    assert chapters(str(video(tmp_path / "b.mp4", seconds=1))) == []

"""What a file holds is told by its packets, not by its header."""

from fractions import Fraction

import av
import numpy as np
import pytest
from footage import video

from vbuild.errors import MediaError, NoVideoError
from vbuild.media.probe import probe


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

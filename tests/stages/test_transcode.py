"""Clips as files of their own."""

import av
import pytest
from footage import frames, number_of, video

from vbuild.errors import UsageError
from vbuild.media.passes import Cut, footage
from vbuild.media.probe import probe
from vbuild.stage import Blob, Clip
from vbuild.stages.transcode import Transcode


def transcoded(path, scratch, stage, spans=None):
    """The rows of a stage for spans of a video in seconds, all of it by default."""
    found = probe(str(path))
    ticks = found.time_base_den / found.time_base_num
    spans = [(0.0, found.duration)] if spans is None else spans
    bounds = [tuple(found.start_pts + round(second * ticks) for second in span) for span in spans]
    sinks = [stage.open(Clip(duration=end - start, scratch=scratch), stage.load()) for start, end in spans]
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
    assert size(bitrate="40k", crf=15) < 0.5 * size(bitrate="2M", crf=15)


def test_equal_parameters_make_equal_bytes(tmp_path, source):
    """Encoding is a function: twice the same clip is twice the same file."""
    one, two = (transcoded(source, tmp_path, Transcode(), [(0.5, 2.0)])[0] for _ in range(2))
    assert one[""].data.read_bytes() == two[""].data.read_bytes()


def test_each_encoder_gets_options_it_knows(tmp_path, source):
    """libopenh264 has neither crf nor preset and gets a bitrate instead; nvenc gets its constant quality."""
    assert Transcode(codec="libopenh264").options == {"b": "4M"}
    assert Transcode(codec="h264_nvenc", crf=21).options["cq"] == "21"
    assert "cq" not in Transcode(codec="h264_nvenc", bitrate="8M").options
    if "libopenh264" in av.codecs_available:
        (row,) = transcoded(source, tmp_path, Transcode(codec="libopenh264"))
        assert row["frames"] == 30


@pytest.mark.parametrize("params", [{"crf": 52}, {"crf": -1}, {"bitrate": "fast"}, {"bitrate": "0"}])
def test_what_no_encoder_takes_is_refused(params):
    """A quality off the scale and a bitrate that is none are refused by name, before any clip is touched."""
    (name,) = params
    with pytest.raises(UsageError, match=rf"^{name}="):
        Transcode(**params)

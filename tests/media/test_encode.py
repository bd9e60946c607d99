"""Picture and sound of an encoded or copied clip."""

from fractions import Fraction

import av
import numpy as np
import pytest
from cutting import RATE, beeps, cut, flashes, samples
from footage import interlaced, turned, video

from vbuild.errors import MediaError, UsageError
from vbuild.media import encode
from vbuild.media.clip import Cut
from vbuild.media.passes import footage
from vbuild.media.probe import probe
from vbuild.stage import Clip, Sound
from vbuild.stages.transcode import Transcode

SOURCES = [("mp4", "aac"), ("mkv", "aac"), ("ts", "aac"), ("ts", "mp2"), ("mkv", "libopus"), ("mp4", "libmp3lame"),
           ("mkv", "ac3"), ("mkv", "pcm_s16le"), ("mkv", "flac"), ("mov", "pcm_s16le")]  # fmt: skip
"""Container and sound; of these flac, mp2 and pcm are made AAC."""


@pytest.mark.parametrize("codec", ["libx264", "copy"])
@pytest.mark.parametrize(("suffix", "sound"), SOURCES)
def test_flash_and_beep_stay_together(tmp_path, suffix, sound, codec):
    """In every container and sound the beep is as far from the flash as in the source, within a millisecond."""
    path = video(tmp_path / f"a.{suffix}", seconds=4.0, fps=25, gop=25, sound=sound, beeps=(0.6, 2.0, 3.4))
    offset = np.mean(np.subtract(beeps(path), flashes(path)))
    row = cut(path, tmp_path, (1.32, 2.92), codec=codec, **({"preset": "ultrafast"} if codec == "libx264" else {}))
    file = row[""].data
    (flash,), (beep,) = flashes(file), beeps(file)
    assert beep - flash == pytest.approx(offset, abs=1e-3)
    assert flash == pytest.approx(2.0 - 1.32 - row["start"], abs=1e-3)
    start, wave = samples(file)
    assert start <= 1e-3
    assert start + len(wave) / RATE == pytest.approx(row["duration"], abs=1152 / RATE + 1e-3)
    kept = {"libopus": "opus", "libmp3lame": "mp3", "ac3": "ac3"}.get(sound, "aac")
    assert row["audio"] == kept


@pytest.mark.parametrize(("fps", "repeat"), [(24, False), (12.5, False), (60, False), (60, True)])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_flash_and_beep_stay_together_at_another_rate(tmp_path, suffix, fps, repeat):
    """The beep is where it was, the flash within half a frame of the source from it, and both last as long."""
    path = video(tmp_path / f"a.{suffix}", seconds=4.0, fps=25, gop=25, sound="aac", beeps=(0.6, 2.0, 3.4))
    offset = np.mean(np.subtract(beeps(path), flashes(path)))
    plain = cut(path, tmp_path, (1.32, 2.92), preset="ultrafast")
    row = cut(path, tmp_path, (1.32, 2.92), preset="ultrafast", fps=fps, repeat=repeat)
    file = row[""].data
    (flash,), (beep,), (before,) = flashes(file), beeps(file), beeps(plain[""].data)
    assert beep == pytest.approx(before, abs=1e-3)
    assert flash == pytest.approx(beep - offset, abs=0.5 / min(fps, 25) + 1e-3)
    assert row["duration"] == pytest.approx(plain["duration"])
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        assert float(stream.duration * stream.time_base) == pytest.approx(row["duration"], abs=2e-3)


def test_an_even_rate_holds_one_frame(tmp_path):
    """However long a clip is, only the frame that waits for its moment is kept, and that not beyond the clip."""
    path = video(tmp_path / "a.mp4", seconds=2.0, fps=25)
    stage, found = Transcode(preset="ultrafast", fps=24), probe(str(path))
    sink = stage.open(Clip(duration=2.0, fps=25.0, scratch=tmp_path), None)
    spans = [Cut(found.start_pts, found.end_pts, sinks={"": (stage.asks(), sink)})]
    assert [sink.close()["frames"] for _ in footage(str(path), found.stream, spans)] == [48]
    assert sink.encoder.pace.last is None
    assert stage.holds(1920, 1080) > Transcode(preset="ultrafast").holds(1920, 1080)


def test_sound_that_begins_late_stays_late(tmp_path):
    """Where the sound begins within the clip, silence stands before it, and the beep is in its place."""
    path = video(tmp_path / "a.mkv", seconds=3.0, fps=25, sound="pcm_s16le", sound_from=1.0, beeps=(2.0,))
    row = cut(path, tmp_path, (0.4, 2.8), preset="ultrafast")
    (flash,), (beep,) = flashes(row[""].data), beeps(row[""].data)
    assert (flash, beep) == pytest.approx((1.6, 1.6), abs=2e-3)


def test_sound_that_aac_does_not_know_is_not_lost(tmp_path):
    """A rate that AAC has not is brought to one that it has."""
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.width = stream.height = 64
        audio = container.add_stream("pcm_s16le", rate=11_000, layout="mono")
        for n in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), n, np.uint8), "rgb24")))
        container.mux(stream.encode(None))
        wave = (8000 * np.sin(np.arange(11_000) / 10)).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(wave, "s16", "mono")
        frame.sample_rate, frame.pts = 11_000, 0
        container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    row = cut(path, tmp_path, (0.0, 1.0), preset="ultrafast")
    assert row["audio"] == "aac"
    _, wave = samples(row[""].data)
    assert len(wave) == pytest.approx(48_000, rel=0.05)
    assert np.abs(wave).max() > 0.1


def changing(path, sound):
    """Three seconds of picture; of sound 1.5 s at 48 kHz in stereo, then as much at 44.1 kHz, mono, higher."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        picture.width = picture.height = 64
        audio = container.add_stream(sound, rate=48_000, layout="stereo")
        for n in range(30):
            container.mux(picture.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), n, np.uint8), "rgb24")))
        container.mux(picture.encode(None))
        for part, (rate, layout, hertz) in enumerate(((48_000, "stereo", 500), (44_100, "mono", 2000))):
            coder = av.CodecContext.create(sound, "w")
            coder.sample_rate, coder.layout, coder.format = rate, layout, audio.codec_context.format
            wave = 0.4 * np.sin(2 * np.pi * hertz * np.arange(round(1.5 * rate)) / rate)
            if "s16" in coder.format.name:
                wave = (wave * 32767).astype(np.int16)
            count, planar = (2, 1)[part], coder.format.name.endswith("p")
            wave = np.stack([wave] * count) if planar else np.repeat(wave, count)[None]
            kind = wave if wave.dtype == np.int16 else wave.astype(np.float32)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(kind), coder.format.name, layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
            coder.time_base = Fraction(1, rate)
            for packet in [*coder.encode(frame), *coder.encode(None)]:
                packet.pts = packet.dts = round((packet.pts / rate + 1.5 * part) * 90_000)
                packet.time_base, packet.stream = Fraction(1, 90_000), audio
                container.mux(packet)
    return path


@pytest.mark.parametrize("codec", ["libx264", "copy"])
def test_sound_whose_rate_and_channels_change_goes_on(tmp_path, codec):
    """The clip's sound has one rate, both parts in their place and at their pitch; so has what a stage hears."""
    path = changing(tmp_path / "a.ts", "mp2")
    row = cut(path, tmp_path, (0.0, 3.0), codec=codec)
    start, wave = samples(row[""].data)
    with av.open(str(row[""].data)) as container:
        rate = container.streams.audio[0].rate
    assert row["audio"] == "aac"
    assert start + len(wave) / rate == pytest.approx(row["duration"], abs=0.1)
    found = probe(str(path))
    request = Cut(found.start_pts, found.end_pts, {"": Sound(rate=RATE, channels=2)})
    (taken,) = footage(str(path), found.stream, [request])
    for heard, pace in ((wave, rate), *((channel, RATE) for channel in taken.samples[""])):
        for middle, hertz in ((0.7, 500), (2.2, 2000)):
            part = heard[round(middle * pace) :][: pace // 2]
            assert np.abs(np.fft.rfft(part)).argmax() * 2 == pytest.approx(hertz, abs=4)


def test_an_encoder_holds_no_frames(tmp_path):
    """However long a clip is, an encoder keeps none of its frames."""
    path = video(tmp_path / "a.mp4", seconds=4.0, fps=25)
    stage, found = Transcode(preset="ultrafast"), probe(str(path))
    most = 0

    class Watched:
        def __init__(self, inner):
            self.inner = inner
            self.packet, self.close = inner.packet, inner.close

        def frame(self, frame, time):
            nonlocal most
            self.inner.frame(frame, time)
            held = vars(self.inner.encoder).values()
            most = max(most, sum(isinstance(value, av.VideoFrame) for value in held))
            assert not any(isinstance(v, av.VideoFrame) for value in held if isinstance(value, list) for v in value)

    sink = Watched(stage.open(Clip(duration=4.0, scratch=tmp_path), None))
    spans = [Cut(found.start_pts, found.end_pts, sinks={"": (stage.asks(), sink)})]
    assert [sink.close()["frames"] for _ in footage(str(path), found.stream, spans)] == [100]
    assert most == 0


def test_an_encoder_that_does_not_open_is_named_with_those_that_do():
    """Being listed proves nothing: the refusal says why, and which encoders there are."""
    with pytest.raises(UsageError, match=r"^codec=h264_nope: it does not open on this machine \(.+\); libx264,.* do"):
        encode.check("h264_nope")
    encode.check("libx264")


def test_the_same_frames_give_the_same_bytes_at_any_width(tmp_path):
    """Ten encodes of one clip are one file, also where the width is no multiple of what wide instructions take."""
    source = video(tmp_path / "a.mkv", seconds=2, size=(320, 180), seed=3)
    files = set()
    for n in range(10):
        encoder = encode.ClipEncoder(
            tmp_path / f"{n}.mp4",
            codec="libx264",
            options={"preset": "medium", "crf": "23"},
            start=0.0,
            duration=2.0,
            fps=24.0,
        )
        with av.open(str(source)) as container:
            for frame in container.decode(video=0):
                encoder.frame(frame, float(frame.pts * frame.time_base))
            encoder.close()
        files.add((tmp_path / f"{n}.mp4").read_bytes())
    assert len(files) == 1


def combs(path) -> float:
    """How much more neighbouring lines of the moving half differ than every second: 0 and less without combs."""
    with av.open(str(path)) as container:
        grey = np.stack([f.to_ndarray(format="gray").astype(float) for f in container.decode(video=0)][2:-2])
    half = grey[:, grey.shape[1] // 2 :]
    return float(np.abs(np.diff(half, axis=1)).mean() - np.abs(half[:, 2:] - half[:, :-2]).mean())


@pytest.mark.parametrize(
    ("how", "fields"),
    [
        ({}, True),
        ({"long_side": 96}, False),
        ({"codec": "libvpx-vp9", "preset": "8"}, False),
    ],
)
def test_fields_are_kept_in_their_order_or_made_whole(tmp_path, how, fields):
    """Kept where the encoder knows fields and the size stays; else no comb is left, no frame lost, no time moved."""
    path = interlaced(tmp_path / "a.mkv", seconds=2)
    plain = probe(str(path))
    assert plain.interlaced
    assert "interlaced" in plain.warning
    row = cut(path, tmp_path, (0.0, 1.6), **how)
    with av.open(str(row[""].data)) as container:
        frames = list(container.decode(video=0))
        assert {f.interlaced_frame for f in frames} == {fields}
        assert len(frames) == row["frames"] == 40
        assert [f.time for f in frames] == pytest.approx(np.arange(40) / 25, abs=1e-3)
    assert (combs(row[""].data) > 1) == fields


def test_a_matrix_that_is_no_turn_is_told_and_not_followed(tmp_path):
    """The picture keeps its size."""
    found = probe(str(turned(video(tmp_path / "a.mp4", seconds=1), tmp_path / "b.mp4", "garbage")))
    assert (found.rotation, "matrix" in (found.warning or "")) == (0, True)


def test_a_copy_never_begins_behind_its_clip(tmp_path):
    """Its keyframe is hidden: the first one that is seen comes later, and the clip is refused."""
    path = video(tmp_path / "a.mp4", seconds=3, fps=25, gop=25)
    with av.open(str(path)) as source, av.open(str(tmp_path / "b.mp4"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.pts, packet.dts = packet.pts - packet.duration * 10, packet.dts - packet.duration * 10
                packet.stream = stream
                target.mux(packet)
    assert probe(str(tmp_path / "b.mp4")).start_pts == 0
    with pytest.raises(MediaError, match="no keyframe was found at or before the clip"):
        cut(tmp_path / "b.mp4", tmp_path, (0.0, 2.0), codec="copy")

"""What a clip sounds like."""

import numpy as np
import pytest
from footage import video
from project import Project

from vbuild.errors import UsageError
from vbuild.split.fixed_stride import FixedStride
from vbuild.stage import Clip
from vbuild.stages.audio import Audio

RATE = 48_000


def tone(decibels, seconds=10.0, hertz=997):
    """A sine of a peak level in stereo, float32 (2, n)."""
    wave = 10 ** (decibels / 20) * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)
    return np.stack([wave, wave]).astype(np.float32)


def measure(samples, audio="aac", **params):
    sink = Audio(**params).open(Clip(duration=samples.shape[1] / RATE, columns={"probe": {"audio": audio}}), None)
    for start in range(0, samples.shape[1], 7000):
        sink.frame(samples[:, start : start + 7000], start / RATE)
    return sink.close()


@pytest.mark.parametrize("decibels", [-23.0, -33.0, -6.0])
def test_loudness_is_that_of_ebu_tech_3341(decibels):
    """Its first cases: a stereo sine of 1 kHz at a peak of -23 dBFS is -23 LUFS, and one 10 dB lower 10 lower."""
    row = measure(tone(decibels))
    assert row["loudness"] == pytest.approx(decibels, abs=0.1)
    assert row["peak"] == pytest.approx(decibels, abs=0.2)
    assert row["range"] == pytest.approx(0.0, abs=0.1)
    assert row["silence"] == 0.0


def test_loudness_range_is_that_of_ebu_tech_3342():
    """Its first case: twenty seconds at -20 and twenty at -30 LUFS are 10 LU apart."""
    row = measure(np.concatenate([tone(-20.0, 20.0), tone(-30.0, 20.0)], axis=1))
    assert row["range"] == pytest.approx(10.0, abs=1.0)


def test_silence_is_the_share_of_quiet_parts():
    """A quarter of nothing is a quarter; hum under the level is silence, above it is not."""
    quiet = np.zeros((2, RATE), np.float32)
    assert measure(np.concatenate([tone(-20.0, 3.0), quiet], axis=1))["silence"] == pytest.approx(0.25)
    assert measure(tone(-60.0, 1.0))["silence"] == 1.0
    assert measure(tone(-60.0, 1.0), silence_level=-70.0)["silence"] == 0.0


def test_silence_has_no_loudness():
    """Digital silence has neither loudness nor peak, and is all silence."""
    row = measure(np.zeros((2, 5 * RATE), np.float32))
    assert row == {"present": True, "loudness": None, "range": None, "peak": None, "silence": 1.0}


def test_it_says_which_clips_have_sound(tmp_path):
    """In a dataset, a video without sound has none of it, and one with beeps is as loud as they are."""
    project = Project(tmp_path, {"audio": Audio()}, split=FixedStride(length=2.0, min=0.5))
    project.put("mute.mp4", video(tmp_path / "mute.mp4", seconds=2.0, fps=10))
    project.put("beep.mp4", video(tmp_path / "beep.mp4", seconds=2.0, fps=10, sound="aac", beeps=(0.5, 1.0)))
    project.build()
    rows = {row["uri"].rpartition("/")[2]: row for row in project.rows().values()}
    assert rows["mute.mp4"]["audio_present"] is False
    assert rows["mute.mp4"]["audio_loudness"] is None
    assert rows["beep.mp4"]["audio_present"] is True
    assert -20 < rows["beep.mp4"]["audio_loudness"] < -3
    assert 0 <= rows["beep.mp4"]["audio_silence"] < 0.1


@pytest.mark.parametrize("params", [{"part": 0.0}, {"silence_level": 3.0}])
def test_levels_and_parts_of_nothing_are_refused(params):
    """What cannot be is refused by name."""
    (name,) = params
    with pytest.raises(UsageError, match=rf"^{name}="):
        Audio(**params)

"""Windows are cut while a clip is decoded, and hold the frames that lie in them."""

from dataclasses import replace

import pytest
from cutting import cuts_of
from footage import number_of, video

from vbuild.media.passes import footage
from vbuild.media.sampling import Cutting
from vbuild.stage import Frames
from vbuild.windows import Windows


def by_rule(count, frames, remainder, least):
    """The first frame of each window of a clip of so many frames, as NeMo Curator's rule says it."""
    if count < least:
        return []
    whole = [n * frames for n in range(max(1, count // frames))]
    rest = count - len(whole) * frames
    return [*whole, len(whole) * frames] if rest > 0 and rest >= remainder else whole


@pytest.mark.parametrize("remainder", [1, 3, 5, 9])
@pytest.mark.parametrize("least", [1, 4])
def test_frames_are_cut_by_the_rule(remainder, least):
    """Nothing is told of a clip's length beforehand; each window ends where the next begins, the last with the clip."""
    for count in range(40):
        cutting = Cutting(Windows(frames=5, remainder=remainder, min=least).effective(), 100.0)
        for frame in range(count):
            cutting.see(float(frame))
        windows = cutting.stretches(over=True)
        assert [window.start for window in windows] == by_rule(count, 5, remainder, least)
        assert [window.end for window in windows] == [
            *[window.start for window in windows[1:]],
            *[100.0][: len(windows)],
        ]


@pytest.mark.parametrize(
    ("duration", "starts"),
    [(1.9, [0]), (2.9, [0]), (3.0, [0, 2]), (4.9, [0, 2]), (5.0, [0, 2, 4]), (6.0, [0, 2, 4]), (0.2, [0])],
)
@pytest.mark.parametrize("rate", [5, 24, 30000 / 1001])
def test_seconds_are_cut_at_any_rate(duration, starts, rate):
    """Windows of two seconds; what is left is one from a second on."""
    cutting = Cutting(Windows(seconds=2.0, min=1), duration)
    for frame in range(int(duration * rate) + 1):
        if frame / rate < duration:
            cutting.see(frame / rate)
    found = [window.start for window in cutting.stretches(over=True)]
    assert found == pytest.approx(starts, abs=1 / rate)
    assert len(found) == len(starts)


class Kept:
    """A sink that keeps its windows."""

    def __init__(self):
        self.windows = []

    def frame(self, frame, time):
        assert frame[0].start == time
        self.windows.append(frame)

    def packet(self, packet):
        raise AssertionError("no sound was asked for")


def windowed(path, request):
    """The windows of a video of three seconds."""
    sink = Kept()
    (cut,) = cuts_of(path, [0, 3])
    list(footage(str(path), 0, [replace(cut, sinks={"0": (request, sink)})]))
    return sink.windows


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Three seconds of 10 frames each that show their number."""
    return video(tmp_path_factory.mktemp("windows") / "a.mp4", seconds=3.0, fps=10, size=(320, 240), numbered=True)


def test_each_has_the_frames_in_it(film):
    """Frames stand on one grid from the clip's start, and times are from there."""
    found = windowed(film, Frames(fps=2, size=(320, 240), windows=Windows(frames=12, remainder=4)))
    assert [(round(w.start, 3), round(w.end, 3)) for w, _ in found] == [(0, 1.2), (1.2, 2.4), (2.4, 3.0)]
    assert [[number_of(picture) for picture in frames.pixels] for _, frames in found] == [[0, 5, 10], [15, 20], [25]]
    assert [frames.times.tolist() for _, frames in found] == [[0, 0.5, 1.0], [1.5, 2.0], [2.5]]


def test_none_is_without_a_frame(film):
    """One in which no sampled frame lies has its first."""
    found = windowed(film, Frames(fps=0.5, size=(320, 240), windows=Windows(frames=10, remainder=4)))
    assert [[number_of(picture) for picture in frames.pixels] for _, frames in found] == [[0], [10], [20]]
    assert [frames.times.tolist() for _, frames in found] == [[0], [1.0], [2.0]]


def test_all_frames_are_in_one_window_each(film):
    """Every frame is in the window in which it lies, the last ones too."""
    found = windowed(film, Frames(every=True, size=(320, 240), windows=Windows(frames=7, remainder=3)))
    assert [len(frames.times) for _, frames in found] == [7, 7, 7, 9]
    assert [number_of(picture) for _, frames in found for picture in frames.pixels] == list(range(30))


@pytest.mark.parametrize("wrong", [{"count": 4}, {"fps": 1, "pairs": True}])
def test_frames_that_no_window_can_choose_are_refused(wrong):
    """A number of frames a window is known at its end alone, and a pair may lie in two."""
    with pytest.raises(ValueError, match="windows"):
        Frames(**wrong, windows=Windows())

"""Small moving pictures."""

import io

import numpy as np
import pytest
from footage import number_of, video
from PIL import Image, ImageSequence

from vbuild.errors import UsageError
from vbuild.media.clip import Cut
from vbuild.media.passes import footage
from vbuild.media.probe import probe
from vbuild.stage import Clip, Windows
from vbuild.stages.preview import Preview


def previewed(path, **params):
    """The row of a whole video."""
    stage, found = Preview(**params), probe(str(path))
    sink = stage.open(Clip(duration=found.duration), stage.load())
    cut = Cut(found.start_pts, found.end_pts, sinks={"": (stage.asks(), sink)})
    (row,) = [sink.close() for _ in footage(str(path), found.stream, [cut])]
    return row


def preview(path, **params):
    (blob,) = previewed(path, **params)[""]
    return blob


def numbers(blob):
    with Image.open(io.BytesIO(blob.data)) as image:
        return [number_of(np.asarray(picture.convert("RGB"))) for picture in ImageSequence.Iterator(image)]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return video(tmp_path_factory.mktemp("footage") / "a.mp4", seconds=3.0, fps=10, size=(320, 240), numbered=True)


def test_it_shows_the_clip_at_its_own_rate_and_height(source):
    """Three seconds at one picture a second are three pictures a second apart, at the height that was asked."""
    blob = preview(source, height=120)
    assert blob.suffix == ".webp"
    with Image.open(io.BytesIO(blob.data)) as image:
        assert image.size == (160, 120)
        pictures = [(picture.convert("RGB"), picture.info["duration"]) for picture in ImageSequence.Iterator(image)]
    assert [number_of(np.asarray(picture)) for picture, _ in pictures] == [0, 10, 20]
    assert [duration for _, duration in pictures] == [1000, 1000, 1000]


def test_small_footage_is_not_enlarged(source):
    """Footage lower than the preview keeps its size."""
    with Image.open(io.BytesIO(preview(source, height=480).data)) as image:
        assert image.size == (320, 240)


def test_quality_reaches_the_encoder(source):
    """Lower quality makes a smaller file."""
    assert len(preview(source, quality=5).data) < 0.7 * len(preview(source, quality=95).data)


@pytest.mark.parametrize(
    ("windows", "shown", "starts"),
    [
        (Windows(), [[0, 10, 20]], [0.0]),
        (Windows(frames=None), [[0, 10, 20]], [0.0]),
        (Windows(frames=10), [[0], [10], [20]], [0.0, 1.0, 2.0]),
        (Windows(frames=14, remainder=3), [[0, 10], [20]], [0.0, 1.4]),
        (Windows(frames=14, remainder=2), [[0, 10], [20], [28]], [0.0, 1.4, 2.8]),
        (Windows(frames=25, remainder=6), [[0, 10, 20]], [0.0]),
        (Windows(frames=25, remainder=5), [[0, 10, 20], [25]], [0.0, 2.5]),
        (Windows(frames=20, remainder=40), [[0, 10, 20]], [0.0]),
        (Windows(min=31), [], []),
    ],
)
def test_each_window_has_its_own(source, windows, shown, starts):
    """Full windows, a remainder of its own or with the last, at least a picture in each, and their times."""
    row = previewed(source, windows=windows)
    assert [numbers(blob) for blob in row[""]] == shown
    assert row["start"] == pytest.approx(starts)
    assert row["end"] == pytest.approx([*starts[1:], 3.0] if starts else [])


def test_the_poster_is_the_middle(source):
    """The still is a jpeg of the frame in the middle, at its own height."""
    poster = previewed(source, poster_height=120)["poster"]
    with Image.open(io.BytesIO(poster.data)) as image:
        assert (image.format, image.size) == ("JPEG", (160, 120))
        assert number_of(np.asarray(image)) == 15


@pytest.mark.parametrize("params", [{"quality": 101}, {"level": 7}, {"fps": 0.0}, {"height": 0}])
def test_what_the_encoder_does_not_take_is_refused(params):
    """Parameters off their scale are refused by name."""
    (name,) = params
    with pytest.raises(UsageError, match=rf"^{name}="):
        Preview(**params)

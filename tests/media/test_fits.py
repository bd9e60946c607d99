"""Pictures come at a model's exact size, in its own geometry, and near to how Pillow would have made them."""

from fractions import Fraction

import av
import numpy as np
import pytest
from cutting import cuts_of
from footage import scene, turned, video
from PIL import Image

from vbuild.media.light import Light
from vbuild.media.passes import footage
from vbuild.media.pixels import Picture, placed, scaled_size, target_size
from vbuild.stage import Frames

SIZES = [(426, 240), (640, 360), (854, 480), (1280, 720), (240, 426)]
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
MATRIX = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]])
"""RGB of luma and chroma, Rec. ITU-R BT.601."""


def made(size, pixels):
    """A frame in a format, and its colours exactly: uint8 (h, w, 3)."""
    picture = scene(1, size)(0.5)
    frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format=pixels)
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    if pixels == "yuv444p":
        yuv = frame.to_ndarray().astype(float)
        scaled = np.stack([(yuv[0] - 16) / 219, (yuv[1] - 128) / 224, (yuv[2] - 128) / 224], axis=-1)
        picture = (scaled @ MATRIX.T * 255).round().clip(0, 255).astype(np.uint8)
    return frame, picture


def likeness(one, other):
    """Peak signal to noise, in dB."""
    return 10 * np.log10(255**2 / ((one.astype(float) - other) ** 2).mean())


@pytest.mark.parametrize("pixels", ["gbrp", "yuv444p"])
@pytest.mark.parametrize("fit", ["squash", "crop"])
@pytest.mark.parametrize("size", SIZES)
def test_kernels_come_near_to_pillows(size, fit, pixels):
    """53 dB and more, of colours that are worked out here; by areas it is less, which costs half."""
    frame, exact = made(size, pixels)
    found = {}
    for kernel in ("area", "bilinear", "bicubic"):
        request = Frames(count=1, size=(224, 224), fit=fit, kernel=kernel, rounding="floor")
        wide, high = scaled_size(request, size)
        small = np.asarray(Image.fromarray(exact).resize((wide, high), FILTERS.get(kernel, FILTERS["bicubic"])))
        left, top = (wide - 224) // 2, (high - 224) // 2
        picture = Picture(frame, None, {}, Light()).array(request)
        assert picture.shape == (224, 224, 3)
        found[kernel] = likeness(picture, small[top : top + 224, left : left + 224])
    assert min(found["bilinear"], found["bicubic"]) >= 53 > found["area"]


@pytest.mark.parametrize(
    ("asked", "shown", "scaled"),
    [
        ({"fit": "crop"}, (1280, 720), (398, 224)),
        ({"fit": "crop", "rounding": "floor"}, (854, 480), (398, 224)),
        ({"fit": "crop"}, (854, 480), (399, 224)),
        ({"fit": "crop", "rounding": "floor"}, (480, 854), (224, 398)),
        ({"fit": "crop"}, (100, 100), (224, 224)),
        ({"fit": "crop", "size": (320, 100)}, (640, 480), (320, 240)),
        ({"fit": "crop", "size": (100, 320)}, (640, 480), (427, 320)),
        ({"fit": "crop", "short_side": 256}, (640, 480), (341, 256)),
        ({"fit": "pad"}, (854, 480), (224, 126)),
        ({"fit": "pad", "rounding": "floor"}, (854, 480), (224, 125)),
        ({"fit": "pad"}, (48, 96), (112, 224)),
        ({"fit": "pad"}, (2000, 1), (224, 1)),
        ({}, (854, 480), (224, 224)),
        ({"size": None, "short_side": 240}, (854, 480), (427, 240)),
        ({"size": None, "short_side": 224}, (854, 480), (399, 224)),
        ({"size": None, "short_side": 224, "rounding": "floor"}, (854, 480), (398, 224)),
        ({"size": None, "long_side": 299, "rounding": "floor"}, (897, 900), (298, 299)),
        ({"size": None, "short_side": 299, "rounding": "floor"}, (897, 900), (299, 300)),
    ],
)
def test_sides_follow_from_the_shape(asked, shown, scaled):
    """By the model's own rounding; what is whole in truth is not rounded down; a crop and a pad are enlarged too."""
    request = Frames(count=1, **{"size": (224, 224), **asked})
    assert scaled_size(request, shown) == scaled
    assert target_size(request, shown) == (request.size or scaled)


@pytest.mark.parametrize(
    ("shape", "size", "rows", "columns"),
    [
        ((5, 8), (3, 2), [1, 2], [2, 3, 4]),
        ((4, 7), (4, 4), [0, 1, 2, 3], [1, 2, 3, 4]),
        ((2, 3), (3, 5), [None, 0, 1, None, None], [0, 1, 2]),
        ((6, 1), (2, 2), [2, 3], [0, None]),
    ],
)
def test_the_middle_is_taken(shape, size, rows, columns):
    """Of an odd difference the smaller half before; black where there is nothing."""
    picture = np.arange(1, 1 + shape[0] * shape[1], dtype=np.uint8).reshape(shape)
    wanted = [[0 if None in (y, x) else int(picture[y, x]) for x in columns] for y in rows]
    assert placed(picture, size).tolist() == wanted
    assert placed(np.stack([picture] * 3, axis=-1), size)[..., 1].tolist() == wanted


@pytest.mark.parametrize("degrees", [0, 90])
@pytest.mark.parametrize("pixels", ["rgb24", "gray"])
def test_a_pass_gives_each_request_its_own(tmp_path, degrees, pixels):
    """Of one decode: cropped, squashed and padded, upright, of the shape that was asked; each what it is alone."""
    path = video(tmp_path / "a.mp4", seconds=0.5, size=(128, 96), crf=5)
    path = turned(path, tmp_path / "b.mp4", degrees) if degrees else path
    asked = {
        f"{fit}-{kernel}": Frames(count=1, size=(48, 64), fit=fit, kernel=kernel, format=pixels)
        for fit in ("crop", "squash", "pad")
        for kernel in ("area", "bicubic")
    }
    (taken,) = footage(str(path), 0, cuts_of(path, [0, 1.0], **asked))
    for name, request in asked.items():
        found = taken.samples[name].pixels
        assert found.shape == (1, 64, 48, 3)[: 4 if pixels == "rgb24" else 3]
        (alone,) = footage(str(path), 0, cuts_of(path, [0, 1.0], a=request))
        assert (alone.samples["a"].pixels == found).all()
    padded = taken.samples["pad-area"].pixels[0]
    bars = 0 if degrees else 14
    assert not padded[:bars].any()
    assert not padded[len(padded) - bars :].any()
    assert padded[bars : len(padded) - bars].mean() > 20


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, r"Frames\(\): one of fps, count and every is needed"),
        ({"fps": 2.0, "count": 3}, r"Frames\(fps, count\): one of fps, count and every is needed"),
        ({"count": 0}, "count=0: must be more than 0"),
        ({"fps": -1.0}, "fps=-1.0: must be more than 0"),
        ({"count": 1, "fit": "crop"}, "fit='crop': it needs a size"),
        ({"count": 1, "fit": "stretch"}, "fit='stretch': it must be one of squash, crop, pad"),
        ({"count": 1, "kernel": "lanczos"}, "kernel='lanczos': it must be one of area, bilinear, bicubic"),
        ({"count": 1, "size": (8, 9), "fit": "crop", "short_side": 8}, "short_side=8: it must be as long as both"),
    ],
)
def test_frames_that_cannot_be_made_are_refused(asked, said):
    """When they are asked for, which is before a build."""
    with pytest.raises(ValueError, match=said):
        Frames(**asked)

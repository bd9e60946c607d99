"""The colours that come out of every chain are those that went in, by the formulas of H.273, and are named in files."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from footage import turned

from vbuild.media.colours import Hues, colours_named, hues
from vbuild.media.light import MASTERED, PQ, cube, light_to_pq
from vbuild.media.passes import Cut, footage
from vbuild.media.probe import probe
from vbuild.stage import Clip, Decode
from vbuild.stage import Frames as Asked
from vbuild.stages.frames import Frames
from vbuild.stages.preview import Preview
from vbuild.stages.sheet import Sheet
from vbuild.stages.transcode import Transcode

PATCHES = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 0, 0), (64, 64, 64), (200, 200, 200), (255,) * 3]

SIDE = 32
"""Pixels a side of a patch."""

WEIGHTS = {1: (0.2126, 0.0722), 2: (0.299, 0.114), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
"""Matrix → the weights of red and blue (H.273, table 4). Where none is named FFmpeg takes BT.601, at any size."""

LIMITED, FULL = 1, 2


def levels(range_: int, bits: int) -> tuple[float, float, float, float]:
    """Black, and the spans of luma and chroma, and the middle of chroma."""
    unit, most = 1 << bits - 8, (1 << bits) - 1
    return (0, most, most, 128 * unit) if range_ == FULL else (16 * unit, 219 * unit, 224 * unit, 128 * unit)


def to_planes(rgb, matrix: int, range_: int, bits: int = 8):
    """Whole numbers of Y, Cb, Cr for colours (n, 3) of 0..1."""
    (red, blue), (black, luma, chroma, middle) = WEIGHTS[matrix], levels(range_, bits)
    y = rgb @ np.array([red, 1 - red - blue, blue])
    cb, cr = (rgb[:, 2] - y) / (2 - 2 * blue), (rgb[:, 0] - y) / (2 - 2 * red)
    found = np.stack([black + y * luma, middle + cb * chroma, middle + cr * chroma], axis=-1)
    return np.clip(np.round(found), 0, (1 << bits) - 1).astype(int)


def to_rgb(planes, matrix: int, range_: int, bits: int = 8):
    """Colours (n, 3) of 0..1 for numbers of Y, Cb, Cr."""
    (red, blue), (black, luma, chroma, middle) = WEIGHTS[matrix], levels(range_, bits)
    y, cb, cr = ((planes - [black, middle, middle]) / [luma, chroma, chroma]).T
    r, b = y + (2 - 2 * red) * cr, y + (2 - 2 * blue) * cb
    return np.clip(np.stack([r, (y - red * r - blue * b) / (1 - red - blue), b], axis=-1), 0, 1)


def painted(planes, pixels: str):
    """A frame of patches side by side, of numbers (n, 3) of Y, Cb, Cr."""
    frame = av.VideoFrame(SIDE * len(planes), 64, pixels)
    kind = np.uint16 if "10" in pixels else np.uint8
    for plane, values in zip(frame.planes, planes.T, strict=True):
        row = np.repeat(values, plane.width // len(planes)).astype(kind)
        held = np.zeros((plane.height, plane.line_size // row.itemsize), kind)
        held[:, : plane.width] = row
        plane.update(held.tobytes())
    return frame


def source(path, matrix, range_, *, rgb=PATCHES, pixels="yuv420p", aspect=None, flags="", transfer=2, named=None):
    """A lossless file of patches, and the colours (n, 3) of 0..1 that its numbers mean; `named`: as another matrix."""
    bits = 10 if "10" in pixels else 8
    planes = to_planes(np.array(rgb) / 255, matrix, range_, bits)
    with av.open(str(path), "w") as container:
        options = {"preset": "ultrafast", "qp": "0"} | ({"flags": flags} if flags else {})
        stream = container.add_stream("libx264", rate=10, options=options)
        frame = painted(planes, pixels)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, pixels
        context = stream.codec_context
        context.colorspace = matrix if named is None else named
        context.color_range, context.color_trc = range_, transfer
        context.color_primaries = 9 if matrix == 9 else 2
        if aspect is not None:
            context.sample_aspect_ratio = aspect
        for n in range(4):
            frame = painted(planes, pixels)
            frame.pts, frame.time_base = n, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path, to_rgb(planes, matrix, range_, bits)


def patches(picture):
    """The colours (n, 3) in the middles of the patches of an array (h, w, 3), which lie side by side or one below the
    other."""
    upright = picture if picture.shape[1] > picture.shape[0] else picture.transpose(1, 0, 2)
    row = upright[upright.shape[0] // 2]
    return row[((np.arange(len(PATCHES)) + 0.5) * len(row) / len(PATCHES)).astype(int)].astype(float)


def taken(path, stage=None, decode=None, request=None, **clip):
    """What a pass gives for all of a file: the row of a stage, or what a request wants."""
    found = probe(str(path))
    requests = {} if request is None else {"": request}
    sink = None if stage is None else stage.open(Clip(duration=found.duration, **clip), None)
    sinks = {} if sink is None else {"": (stage.asks(), sink)}
    cut = Cut(found.start_pts, found.end_pts, requests, sinks)
    ((each, row),) = (
        (each, None if sink is None else sink.close())
        for each in footage(str(path), found.stream, [cut], decode or Decode(device="cpu"))
    )
    return each.samples[""] if sink is None else row


def file_of(row):
    """The first frame of an encoded clip: its frame, and the colours (n, 3) of 0..255 that its numbers mean."""
    with av.open(str(row[""].data)) as container:
        frame = colours_named(next(container.decode(video=0)), container.streams.video[0])
    planes = [np.frombuffer(p, np.uint8).reshape(-1, p.line_size)[:, : p.width] for p in frame.planes]
    full = [np.repeat(np.repeat(p, frame.height // len(p), 0), frame.width // p.shape[1], 1) for p in planes]
    matrix, range_ = int(frame.colorspace), int(frame.color_range) or LIMITED
    return frame, to_rgb(patches(np.stack(full, axis=-1)), matrix, range_) * 255


CHAINS = ["upright", "turned", "mirrored", "stretched", "deinterlaced", "small"]


def through(chain, tmp_path, matrix, range_, **made):
    """A file for a chain, what its colours are, and how it is decoded and encoded."""
    aspect = Fraction(16, 11) if chain == "stretched" else None
    flags = "+ildct+ilme" if chain == "deinterlaced" else ""
    path, wanted = source(tmp_path / "a.mp4", matrix, range_, aspect=aspect, flags=flags, **made)
    if chain in ("turned", "mirrored"):
        path = turned(path, tmp_path / "turned.mp4", 90 if chain == "turned" else "mirrored")
    if chain == "mirrored":
        wanted = wanted[::-1]
    return path, wanted, Decode(device="cpu", deinterlace=chain == "deinterlaced")


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("range_", [LIMITED, FULL])
@pytest.mark.parametrize("matrix", [1, 2, 6, 9])
def test_every_chain_keeps_colours_and_their_names(tmp_path, chain, range_, matrix):
    """Arrays, luma and encoded clips are within two of what the source's numbers mean; the clip is named as it was."""
    path, wanted, decode = through(chain, tmp_path, matrix, range_)
    picture = taken(path, decode=decode, request=Asked(count=1, short_side=64)).pixels[0]
    assert abs(patches(picture) - wanted * 255).max() <= 2
    red, blue = WEIGHTS[matrix]
    grey = taken(path, decode=decode, request=Asked(count=1, short_side=32, format="gray")).pixels[0]
    luma = patches(np.repeat(grey[..., None], 3, -1))[:, 0]
    assert abs(luma - wanted @ [red, 1 - red - blue, blue] * 255).max() <= 2
    size = {"short_side": 48} if chain == "small" else {}
    row = taken(path, Transcode(options={"qp": "0"}, **size), decode, scratch=tmp_path)
    frame, found = file_of(row)
    assert abs(found - wanted * 255).max() <= 2
    assert (int(frame.colorspace), int(frame.color_range) or LIMITED) == (matrix, range_)
    assert hues(frame).primaries == (9 if matrix == 9 else 2)


@pytest.mark.parametrize("chain", ["upright", "turned", "stretched"])
@pytest.mark.parametrize("range_", [LIMITED, FULL])
@pytest.mark.parametrize("matrix", [2, 9])
def test_high_dynamic_range_becomes_what_the_cube_says(tmp_path, chain, range_, matrix):
    """In PQ, turned and stretched, whether it names its matrix or not: as the cube says, and named Rec. 709."""
    signal = light_to_pq(np.array([[20, 20, 20], [60, 50, 40], [40, 50, 60], [100] * 3, [0] * 3, [150, 140, 140],
                                   [200] * 3, [MASTERED] * 3])) * 255  # fmt: skip
    path, _, decode = through(chain, tmp_path, 9, range_, rgb=signal, pixels="yuv420p10le", transfer=PQ, named=matrix)
    wanted = np.array([looked_up(colour / 255) for colour in signal]) * 255
    picture = taken(path, decode=decode, request=Asked(count=1, short_side=64)).pixels[0]
    assert abs(patches(picture) - wanted).max() <= 3
    frame, found = file_of(taken(path, Transcode(options={"qp": "0"}), decode, scratch=tmp_path))
    assert abs(found - wanted).max() <= 3
    assert (int(frame.colorspace), int(frame.color_range), hues(frame).transfer) == (1, LIMITED, 1)


def looked_up(signal):
    """A colour of the cube, between the four points of its grid that are nearest."""
    table = cube(PQ)
    place = signal * (len(table) - 1)
    point = place.astype(int)
    part = place - point
    order = np.argsort(-part)
    weights = -np.diff([1, *part[order], 0])
    found = weights[0] * table[tuple(point[::-1])]
    for axis, weight in zip(order, weights[1:], strict=True):
        point[axis] += 1
        found = found + weight * table[tuple(point[::-1])]
    return found


RGB_KINDS = [("rgb24", "png"), ("rgba", "png"), ("gbrp", "utvideo"), ("pal8", "png")]


def plain(path, pixels, codec, colours):
    """A file of patches whose frames hold RGB, grey or a palette themselves."""
    row = np.repeat(np.array(colours, np.uint8), SIDE, 0)
    picture = np.ascontiguousarray(np.broadcast_to(row, (64, *row.shape)))
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = picture.shape[1], picture.shape[0], pixels
        for n in range(3):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24") if pixels != "pal8" else palette(picture)
            frame = frame if pixels == "pal8" else frame.reformat(format=pixels)
            frame.pts, frame.time_base = n, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def palette(picture):
    """A frame of numbers into a palette."""
    colours, numbers = np.unique(picture.reshape(-1, 3), axis=0, return_inverse=True)
    table = np.zeros((256, 4), np.uint8)
    table[: len(colours)] = np.hstack([np.full((len(colours), 1), 255, np.uint8), colours])
    return av.VideoFrame.from_ndarray((numbers.reshape(picture.shape[:2]).astype(np.uint8), table), "pal8")


@pytest.mark.parametrize(("pixels", "codec"), RGB_KINDS)
def test_rgb_becomes_limited_rec_709_and_says_so(tmp_path, pixels, codec):
    """Whether packed, planar, with alpha or by a palette: never GBR in 4:2:0, and luma is that of the same matrix."""
    path = plain(tmp_path / ("a.mov" if codec == "png" else "a.avi"), pixels, codec, PATCHES)
    assert abs(patches(taken(path, request=Asked(count=1, short_side=32)).pixels[0]) - PATCHES).max() <= 2
    grey = taken(path, request=Asked(count=1, short_side=32, format="gray")).pixels[0]
    assert (
        abs(patches(np.repeat(grey[..., None], 3, -1))[:, 0] - np.array(PATCHES) @ [0.2126, 0.7152, 0.0722]).max() <= 2
    )
    frame, found = file_of(taken(path, Transcode(options={"qp": "0"}), scratch=tmp_path))
    assert abs(found - PATCHES).max() <= 2
    assert (int(frame.colorspace), int(frame.color_range), hues(frame)) == (1, LIMITED, Hues(1, 1))


@pytest.mark.parametrize("pixels", ["yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "gray"])
def test_other_layouts_keep_their_colours(tmp_path, pixels):
    """Full range of old, more chroma, ten bits and grey: the clip's numbers in its own words mean the same."""
    if pixels == "gray":
        colours = [(level,) * 3 for level in (0, 16, 64, 128, 200, 235, 250, 255)]
        path, wanted = plain(tmp_path / "a.mkv", "gray", "ffv1", colours), np.array(colours) / 255
    else:
        range_ = FULL if pixels == "yuvj420p" else LIMITED
        path, wanted = source(tmp_path / "a.mkv", 1, range_, pixels=pixels)
    assert abs(patches(taken(path, request=Asked(count=1, short_side=32)).pixels[0]) - wanted * 255).max() <= 2
    frame, found = file_of(taken(path, Transcode(options={"qp": "0"}), scratch=tmp_path))
    assert abs(found - wanted * 255).max() <= 2
    assert (int(frame.colorspace), int(frame.color_range)) == (1, FULL if pixels == "yuvj420p" else LIMITED)


@pytest.mark.parametrize("range_", [LIMITED, FULL])
@pytest.mark.parametrize("chain", ["upright", "turned", "stretched"])
def test_stills_sheets_and_previews_show_the_colours(tmp_path, chain, range_):
    """Image files, which are of the colours of a screen, show those of the source, as well as their compression can."""
    path, wanted, _ = through(chain, tmp_path, 1, range_)
    (still,) = taken(path, Frames(rates=(), middle=True, format="png"), scratch=tmp_path)[""]
    assert abs(patches(cv2.imread(str(still.data))[..., ::-1]) - wanted * 255).max() <= 2
    row = taken(path, Preview(quality=100, poster_quality=100))
    for blob, most in ((row["poster"], 4), (row[""][0], 6)):
        picture = cv2.imdecode(np.frombuffer(blob.data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        assert abs(patches(picture) - wanted * 255).max() <= most
    stage = Sheet(columns=1, rows=1, height=1000, times=False, format="png")
    (row,) = stage.run([Clip(duration=0.4, frames=taken(path, request=stage.asks()))], None)
    sheet = cv2.imdecode(np.frombuffer(row[""].data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert abs(patches(sheet[4:-4, 4:-4]) - wanted * 255).max() <= 2


@pytest.mark.parametrize("matrix", [0, 8, 10])
def test_a_matrix_that_nobody_can_convert_stops_nothing(tmp_path, matrix):
    """What it means is not known, so BT.601 is taken for it; a matrix of RGB over 4:2:0 is not handed on."""
    path, _ = source(tmp_path / "a.mp4", 2, LIMITED, named=matrix, aspect=Fraction(16, 11))
    assert taken(path, request=Asked(count=1, short_side=32)).pixels.shape == (1, 32, 186, 3)
    assert taken(path, request=Asked(count=1, short_side=32, format="gray")).pixels.shape == (1, 32, 186)
    frame, _ = file_of({"": taken(path, Transcode(short_side=48), scratch=tmp_path)[""]}) if matrix == 0 else (None, 0)
    assert frame is None or int(frame.colorspace) == 2

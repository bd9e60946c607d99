"""What tests of stages with networks share: clips as a pass gives them, and as models' processors see them."""

import dataclasses

import numpy as np
from cutting import cuts_of
from footage import video

from vbuild.media.passes import footage
from vbuild.stage import Clip, Frames

SIZE = (178, 100)
"""Width and height of the footage, whose shape is none of the models'."""

IMAGENET = {"mean": (0.485, 0.456, 0.406), "deviation": (0.229, 0.224, 0.225)}
"""Of red, green and blue, as published."""


def film(folder, seed=0, seconds=1.0):
    """A video of colours that move."""
    return video(folder / f"{seed}.mp4", seconds=seconds, fps=16, size=SIZE, seed=seed, pixel_format="yuv444p", crf=8)


def clip_of(path, request):
    """One clip, as a stage that asks so is given it."""
    (taken,) = footage(str(path), 0, cuts_of(path, [0, 1.0], a=request))
    return Clip(duration=1.0, frames=taken.samples["a"])


def whole(path, request):
    """The same frames at their full size, in exact colours: uint8 (n, h, w, 3)."""
    full = Frames(count=request.count, fps=request.fps, kernel="bicubic")
    return clip_of(path, full).frames.pixels


def rows(stage, clips, batch, network):
    """What a stage says of clips, so many at once."""
    return [row for n in range(0, len(clips), batch) for row in stage.run(clips[n : n + batch], network)]


def with_frames(clip, count):
    """The clip with the first of its frames alone."""
    frames = clip.frames
    return dataclasses.replace(clip, frames=type(frames)(frames.pixels[:count], frames.times[:count]))


def unit(vectors):
    """Rows as unit vectors."""
    found = np.asarray(vectors, np.float64)
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


def by_hand(frames, *, short=None, size, bicubic, mean, deviation):
    """Published preprocessing, written plainly: float (n, 3, h, w) of uint8 (n, h, w, 3)."""
    from PIL import Image

    made = []
    for frame in frames:
        high, wide = frame.shape[:2]
        shape = (size, size)
        if short is not None:
            shape = (short, int(short * high / wide)) if wide < high else (int(short * wide / high), short)
        kernel = Image.Resampling.BICUBIC if bicubic else Image.Resampling.BILINEAR
        small = np.asarray(Image.fromarray(frame).resize(shape, kernel))
        top, left = (small.shape[0] - size) // 2, (small.shape[1] - size) // 2
        made.append(small[top : top + size, left : left + size])
    return ((np.stack(made) / 255 - mean) / deviation).transpose(0, 3, 1, 2).astype(np.float32)


def check_batches(stage, clips, network):
    """One, three and eight at once give the same within float rounding, and none lacks a vector for being short."""
    many = [*clips, *(with_frames(clips[0], n) for n in (1, 2, 3))]
    many += clips[: 8 - len(many)]
    found = [np.stack([row[""] for row in rows(stage, many, batch, network)]) for batch in (1, 3, 8)]
    assert np.allclose(np.linalg.norm(found[0], axis=1), 1, atol=1e-5)
    for other in found[1:]:
        assert np.abs(found[0] - other).max() < 2e-6
    (row,) = stage.run([with_frames(clips[0], 0)], network)
    assert row[""] is None


def check_words(stage, network):
    """Texts have unit vectors of the same width, a text's own whatever else is asked; those of two texts."""
    found = stage.embed_text(["a red car", "a dog"], network)
    assert found.shape == (2, stage.writes[""].size)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert np.abs(stage.embed_text(["a dog"], network)[0] - found[1]).max() < 2e-6
    return found

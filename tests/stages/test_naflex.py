"""Embeddings by NaFlex: true to the checkpoint for pictures of any shape, and the same in any batch."""

import dataclasses

import numpy as np
import pytest
import torch
from embedded import check_batches, check_words, clip_of, film, rows, unit, whole
from footage import video

from vbuild.errors import UsageError
from vbuild.media.pixels import target_size
from vbuild.recipes import recipe
from vbuild.stage import Frames
from vbuild.stages.clip_frames import ClipFrames
from vbuild.stages.naflex import NaFlex
from vbuild.stages.siglip import SigLIP

SHAPES = ((178, 100), (100, 178), (96, 96), (256, 64), (48, 160))


@pytest.fixture(scope="module")
def stage(tiny):
    """With a tiny model, on the processor."""
    return NaFlex(model=str(tiny("naflex")), device="cpu", count=3)


@pytest.fixture(scope="module")
def shaped(tmp_path_factory):
    """A video of each shape."""
    folder = tmp_path_factory.mktemp("shaped")
    return [
        video(folder / f"{n}.mp4", seconds=1, fps=16, size=size, seed=n, pixel_format="yuv444p", crf=8)
        for n, size in enumerate(SHAPES)
    ]


@pytest.mark.parametrize("n", range(len(SHAPES)))
def test_it_is_what_transformers_own_processor_and_model_say(stage, network, shaped, n):
    """Cosine of 0.9999 and more, of the same frames, however wide or tall; theirs are filled up, and ours are not."""
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(stage.model, backend="pil")
    clip = clip_of(shaped[n], stage.asks())
    inputs = processor(images=[*whole(shaped[n], stage.asks())], return_tensors="pt")
    assert inputs["pixel_values"].shape[1] == 20
    high, wide = inputs["spatial_shapes"][0].tolist()
    assert clip.frames.pixels.shape[1:] == (high * 8, wide * 8, 3)
    with torch.inference_mode():
        vectors = unit(network.model.get_image_features(**inputs).pooler_output)
    (row,) = stage.run([clip], network)
    assert float(row[""] @ unit(vectors.mean(0))) >= 0.9999


def test_pictures_are_as_large_as_the_processor_makes_them():
    """Of any shape, small ones enlarged."""
    from transformers.models.siglip2.image_processing_pil_siglip2 import get_image_size_for_max_num_patches as wanted

    draw = np.random.default_rng(0)
    shapes = [(1920, 1080), (1080, 1920), (1, 1), (5, 4000), (1919, 1079), *draw.integers(1, 3000, (300, 2)).tolist()]
    for most in (4, 256, 1024):
        request = Frames(count=1, patches=(16, most))
        for width, height in shapes:
            assert target_size(request, (width, height)) == wanted(height, width, 16, most)[::-1]


def test_neither_the_batch_nor_a_clips_length_matters(stage, network, clips):
    """One, three or eight at once; of one frame, two or three; of none there is no vector."""
    check_batches(stage, clips, network)


def test_clips_of_many_shapes_go_together(stage, network, shaped):
    """Each has the vector that it has alone, and so have its frames in `clip_frames`."""
    clips = [clip_of(path, stage.asks()) for path in shaped]
    alone = [row[""] for row in rows(stage, clips, 1, network)]
    for other, vector in zip(rows(stage, clips, 5, network), alone, strict=True):
        assert np.abs(other[""] - vector).max() < 2e-6
    frames = ClipFrames(model=stage.model, fps=4, device="cpu")
    some = [clip_of(path, frames.asks()) for path in shaped]
    found = list(frames.run(some, network))
    assert [len(row["vectors"]) for row in found] == [4] * 5
    assert np.abs(found[3]["vectors"][0] - next(iter(frames.run(some[3:4], network)))["vectors"][0]).max() < 2e-6


def test_words_have_vectors_too(stage, network):
    """Unit vectors of the same width, a text's own whatever else is asked."""
    found = check_words(stage, network)
    assert found[0] @ found[1] < 0.9999


def test_more_patches_are_another_result(stage, tmp_path):
    """The checkpoint's own number is none that is said; pictures of more are larger."""
    assert recipe(dataclasses.replace(stage, patches=20)).id == recipe(stage).id
    finer = dataclasses.replace(stage, patches=80)
    assert recipe(finer).id != recipe(stage).id
    path = film(tmp_path)
    small, large = (clip_of(path, one.asks()).frames.pixels.shape[1:3] for one in (stage, finer))
    assert (small, large) == ((24, 48), (56, 88))
    with pytest.raises(UsageError, match="patches=0: must be 1 or more"):
        NaFlex(patches=0)
    with pytest.raises(ValueError, match="nothing else says a size"):
        Frames(count=1, patches=(16, 4), short_side=16)


def test_each_type_has_its_stage(tiny):
    """When it is planned."""
    with pytest.raises(UsageError, match=r"of the type siglip2, .* use stage naflex"):
        SigLIP(model=str(tiny("naflex"))).models()
    with pytest.raises(UsageError, match=r"of the type siglip, .* use stage siglip"):
        NaFlex(model=str(tiny("siglip"))).models()

"""Vectors of frames: those of the embedding, kept as they are, and read by all that look at frames."""

import numpy as np
import pytest
from embedded import clip_of, rows, with_frames

from vbuild.errors import UsageError
from vbuild.models import encoders
from vbuild.stages.clip import CLIP
from vbuild.stages.clip_frames import ClipFrames


@pytest.mark.parametrize("kind", ["clip", "siglip", "dinov2", "dinov3"])
def test_their_middle_is_the_embedding_of_the_same_frames(tiny, films, kind):
    """Of every type of frame encoder, whatever the batch and the clips' lengths."""
    stage = ClipFrames(model=str(tiny(kind)), fps=8, device="cpu")
    clips = [clip_of(path, stage.asks()) for path in films]
    clips += [with_frames(clips[0], n) for n in (1, 2, 0)]
    network = stage.load()
    found = {batch: rows(stage, clips, batch, network) for batch in (1, 3, 8)}
    for alone, three, all_ in zip(*found.values(), strict=True):
        assert alone["times"] == three["times"] == all_["times"]
        assert np.allclose(alone["vectors"], all_["vectors"], atol=2e-6)
        assert np.allclose(alone["vectors"], three["vectors"], atol=2e-6)
    assert [len(row["vectors"]) for row in found[1]] == [8, 8, 8, 1, 2, 0]
    if kind == "clip":
        whole = CLIP(model=stage.model, fps=8, device="cpu")
        (row,) = whole.run(clips[:1], network)
        assert np.allclose(row[""], encoders.mean(np.stack(found[1][0]["vectors"])), atol=1e-6)


def test_a_video_encoder_is_refused(tiny):
    """It has no vectors of frames."""
    with pytest.raises(UsageError, match=r"of the type xclip, .* use stage xclip"):
        ClipFrames(model=str(tiny("xclip"))).models()

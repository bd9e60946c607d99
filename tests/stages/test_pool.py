"""An embedding of stored vectors of frames, in whole builds: one forward pass serves embedding, dedup and tags."""

import numpy as np
import pytest
from project import Project, hits, ran

from vbuild.config import checked
from vbuild.decisions.dedup import Dedup
from vbuild.errors import UsageError
from vbuild.executor.config import Local
from vbuild.stage import Clip
from vbuild.stages.clip import CLIP
from vbuild.stages.clip_frames import ClipFrames
from vbuild.stages.pool import Pool
from vbuild.stages.tags import Tags


def project(tmp_path, films, stages):
    made = Project(tmp_path, stages)
    for path in (*films, films[0]):
        made.put(f"{len(list(made.videos.iterdir()))}.mp4", path)
    return made


def test_one_pass_serves_all(tmp_path, films, tiny):
    """The embedding is CLIP's own within what float16 keeps; other labels run no frame again."""
    model = str(tiny("clip"))
    stages = {
        "frames": ClipFrames(model=model, fps=8, device="cpu"),
        "embed": Pool(of="frames", model=model),
        "whole": CLIP(model=model, fps=8, device="cpu"),
        "tags": Tags(of="embed", model=model, labels=("a red car", "dog")),
    }
    one = project(tmp_path, films, stages)
    assert not one.build().failures
    for row in one.rows().values():
        assert np.dot(row["embed"], row["whole"]) > 0.9999
        assert row["tags"] in ("a red car", "dog")
        assert row["tags_a_red_car"] + row["tags_dog"] == pytest.approx(1, abs=1e-5)
    one.stages["tags"] = Tags(of="embed", model=model, labels=("night", "dog"))
    report = one.build()
    assert set(ran(report)) == {"tags"}
    assert hits(report)["frames"] == len(one.rows())


def test_a_dedup_drops_what_an_embedding_says_is_the_same(tmp_path, films, tiny):
    """With models in a process of their own; the one film that is there as a copy in other bytes."""
    copy = films[0].with_suffix(".mkv")
    copy.write_bytes(films[0].read_bytes() + b"\0" * 16)
    model = str(tiny("clip"))
    one = project(tmp_path, [*films, copy], {"embed": CLIP(model=model), "dedup": Dedup(of="embed", eps=1e-5)})
    one.local = Local(workers=1)
    assert not one.build().failures
    rows = one.rows().values()
    assert sum(row["dropped_by"] == "dedup" for row in rows) == 1
    assert all(np.linalg.norm(row["embed"]) == pytest.approx(1, abs=1e-5) for row in rows)
    assert ran(one.again()) == {}


def test_the_model_is_that_of_the_stage_that_is_read(tiny):
    """Through as many as lie between; a stage that reads none has to say it."""
    data = {
        "frames": {"_target_": "vbuild.stages.clip_frames.ClipFrames", "model": str(tiny("clip"))},
        "embed": {"_target_": "vbuild.stages.pool.Pool", "of": "frames"},
        "tags": {"_target_": "vbuild.stages.tags.Tags", "of": "embed", "labels": ["dog"]},
    }
    split = {"_target_": "vbuild.split.fixed_stride.FixedStride"}
    config = checked({"source": {"path": "x"}, "split": split, "stages": data}, declared="d")
    assert {stage.model for stage in config.stages.values()} == {str(tiny("clip"))}
    with pytest.raises(UsageError, match="model: pool needs the model of the vectors that it reads"):
        Pool(of="frames").models()


def test_neither_the_batch_nor_a_clips_length_matters(tiny):
    """A clip's vector is its own; of no frame there is none."""
    stage = Pool(of="frames", model=str(tiny("clip")))
    chance = np.random.default_rng(0)
    vectors = [chance.standard_normal((count, 24)).astype(np.float16) for count in (3, 1, 0, 5)]
    clips = [Clip(duration=1.0, columns={"frames": {"vectors": some}}) for some in vectors]
    found = [row[""] for row in stage.run(clips, None)]
    alone = [row[""] for clip in clips for row in stage.run([clip], None)]
    assert found[2] is None
    assert alone[2] is None
    for one, other in zip(found, alone, strict=True):
        assert one is None or (one == other).all()

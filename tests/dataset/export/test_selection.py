"""The windows of clips are read for those that are asked for, in the order asked for."""

import numpy as np
import pytest
from footage import video
from made import Tone, Word
from project import Project

import vbuild
from vbuild.dataset.export import selection
from vbuild.dataset.export.selection import Selection, name_of


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Eight clips of a second, most of them with two windows each of two captioners."""
    folder = tmp_path_factory.mktemp("windows")
    stages = {"tone": Tone(), "zoe": Word(of="tone", style="said"), "adam": Word(of="tone", style="told", fails=1)}
    made = Project(folder, stages)
    for seed in range(2):
        made.put(f"{seed}.mp4", video(folder / "one.mp4", seconds=4, seed=seed))
    made.build()
    return vbuild.open("d", store=made.store)


def test_windows_lie_in_order_whatever_rows_are_asked_for(dataset, monkeypatch):
    """Captioner by captioner, window by window; a clip of which one said nothing has the other's."""
    monkeypatch.setattr(selection, "CHUNK", 3)
    clips = Selection(dataset)
    assert clips.captioners.keys() == {"adam", "zoe"}
    told = dataset.captions.search().limit(None).to_list()
    wanted = {
        ident: sorted((w["captioner"], w["window"], w["text"]) for w in told if w["clip_id"] == ident)
        for ident in clips.keys["clip_id"].to_pylist()
    }
    ids = clips.keys["clip_id"].to_pylist()
    rows = np.array([5, 0, 7, 7, 2])
    found = clips.windows(rows)
    for row, windows in zip([*rows.tolist(), *range(8)], [*found, *(clips.captions(n) for n in range(8))], strict=True):
        assert [(w["captioner"], w["window"], w["text"]) for w in windows] == wanted[ids[row]]
    assert max(map(len, wanted.values())) == 4
    assert clips.windows(np.array([], np.int64)) == []


def test_a_selection_of_nothing_has_no_captioner(dataset):
    """Nor has a clip of it a window."""
    clips = Selection(dataset, "start_s > 100")
    assert len(clips) == 0
    assert clips.captioners == {}


def test_clips_of_videos_that_are_called_alike_have_names_of_their_own():
    """A hundred thousand of them that begin and end at the same times."""
    ids = np.random.default_rng(0).bytes(16 * 100_000).hex()
    clips = [{"uri": f"/{n}/video.mp4", "start_s": 0.0, "end_s": 5.0} for n in range(100_000)]
    names = {name_of({**clip, "clip_id": ids[32 * n : 32 * (n + 1)]}) for n, clip in enumerate(clips)}
    assert len(names) == len(clips)

"""A dataset is searched by words, likeness and conditions, and says in a line what cannot be found."""

from pathlib import Path

import pytest
from footage import video
from made import Point, Tone, Word
from project import Project

import vbuild
from vbuild.errors import DatasetError

GREYS = {"b.mp4": (40, 200), "a.mp4": (90, 150, 60)}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Two videos, five clips of one grey each, of which the darkest is dropped; a second build adds a video."""
    folder = tmp_path_factory.mktemp("query")
    made = Project(folder, {"tone": Tone(), "point": Point(), "word": Word(of="tone")}, where={"lit": "tone_mean > 50"})

    def add(name, greys):
        def picture(time):
            import numpy as np

            return np.full((48, 64, 3), greys[min(int(time), len(greys) - 1)], np.uint8)

        shot = video(folder / name, seconds=len(greys), fps=4, size=(64, 48), gop=4, picture=picture)
        made.put(name, shot)

    for name, greys in GREYS.items():
        add(name, greys)
    made.first = made.build().build
    add("c.mp4", (120,))
    made.build()
    return made


@pytest.fixture
def dataset(project):
    """The dataset as its last build left it."""
    return vbuild.open("d", store=project.store)


def places(rows):
    """Which clips they are: file and second."""
    files = [Path(uri).name for uri in rows["uri"].to_pylist()]
    return list(zip(files, rows["start_s"].to_pylist(), strict=True))


ORDER = [("a.mp4", 0), ("a.mp4", 1), ("a.mp4", 2), ("b.mp4", 0), ("b.mp4", 1), ("c.mp4", 0)]
KEPT = [place for place in ORDER if place != ("b.mp4", 0)]


def test_all_clips_in_order(dataset):
    """Without words they come by video and time, whatever the order in which they lie; dropped ones if asked for."""
    assert places(dataset.search()) == KEPT
    assert places(dataset.search(everything=True)) == ORDER
    assert places(dataset.search(limit=2)) == KEPT[:2]


def test_a_condition_narrows(dataset):
    """SQL over the columns of a clip; `or` in it does not reach past its own bounds."""
    assert places(dataset.search(where="tone_mean > 100")) == [("a.mp4", 1), ("b.mp4", 1), ("c.mp4", 0)]
    assert places(dataset.search(where="tone_mean < 45 or tone_mean > 190")) == [("b.mp4", 1)]
    assert places(dataset.search(where="not kept", everything=True)) == [("b.mp4", 0)]
    assert dataset.search(where="tone_mean > 1000").num_rows == 0


def test_words_rank(dataset):
    """Clips whose caption holds a word, with their score; with a condition only those that meet it."""
    step = dataset.search(where="tone_step = 4")["word"].to_pylist()[0]
    assert step.startswith("a clip of step 4")
    found = dataset.search("4", where="tone_mean > 100")
    assert set(places(found)) == {("a.mp4", 1), ("c.mp4", 0)} & set(places(dataset.search(where="tone_step = 4")))
    assert found["_score"].to_pylist() == sorted(found["_score"].to_pylist(), reverse=True)
    assert dataset.search("zebra").num_rows == 0


def test_likeness_ranks(dataset):
    """The nearest to a clip by cosine distance, without the clip; the beginning of its id is enough."""
    rows = dataset.search()
    clip = rows["clip_id"].to_pylist()[0]
    for given in (clip, clip[:8]):
        found = dataset.search(like=given, limit=3)
        assert clip not in found["clip_id"].to_pylist()
        assert found.num_rows == 3
        assert found["_distance"].to_pylist() == sorted(found["_distance"].to_pylist())
    assert dataset.search(like=clip, limit=1)["uri"].to_pylist()[0].endswith(("a.mp4", "c.mp4"))
    both = dataset.search("clip", like=clip, where="tone_mean > 100")
    assert set(places(both)) == {("a.mp4", 1), ("b.mp4", 1), ("c.mp4", 0)}


def test_any_build_is_opened_again(project):
    """A build that is named shows the tables as it left them."""
    assert vbuild.open("d", store=project.store, build=project.first).search(everything=True).num_rows == 5
    assert vbuild.open("d", output=project.store / "datasets").clips.count_rows() == 6
    with pytest.raises(DatasetError, match=f"it has no build x; there are {project.first}, "):
        vbuild.open("d", store=project.store, build="x")


WRONG = [
    ({"where": "tone_maen > 1"}, "--where 'tone_maen > 1': d has no column 'tone_maen'; did you mean 'tone_mean'?"),
    ({"where": "word like 'a"}, '--where "word like \'a": Unterminated string literal'),
    ({"where": "tone_mean > 'x'"}, '--where "tone_mean > \'x\'": Received literal Utf8("x") and could not convert'),
    ({"like": "12"}, "--like 12: there is no such file, and a clip id is hex, 4 to 32 characters"),
    ({"like": "0000' or '1"}, "--like 0000' or '1: there is no such file, and a clip id is hex"),
    ({"like": "0" * 32}, "d has no such clip"),
    ({"near": [1.0, 0, 0, 0], "vector": "tone_mean"}, "d: tone_mean is no embedding; there are point"),
]


@pytest.mark.parametrize(("asked", "said"), WRONG, ids=[said for _, said in WRONG])
def test_what_cannot_be_asked(dataset, asked, said):
    """One line for a person: which part of the question, what is wrong with it."""
    with pytest.raises(DatasetError) as raised:
        dataset.search(**asked)
    assert said in str(raised.value)
    assert not {"\n", "cargo", "kept"} & set(str(raised.value).split(" "))
    assert "/" not in str(raised.value)


def test_what_a_dataset_has_not_is_said(tmp_path, project):
    """Without captions no words, without a vector no likeness; and no dataset is found by a wrong name."""
    bare = Project(tmp_path, {"tone": Tone()})
    for path in project.videos.iterdir():
        bare.put(path.name, path)
    bare.build()
    dataset = vbuild.open("d", store=bare.store)
    with pytest.raises(DatasetError, match="no clip has a caption to be searched"):
        dataset.search("dark")
    with pytest.raises(DatasetError, match="it has no embedding"):
        dataset.search(like=dataset.search(limit=1)["clip_id"][0].as_py())
    with pytest.raises(DatasetError, match=r"there is none in .*; there are d"):
        vbuild.open("other", store=bare.store)
    with pytest.raises(DatasetError, match=r"nothing has been built in .* yet"):
        vbuild.open("d", store=tmp_path / "empty")

"""Clips are found by words, pictures and videos through the very model that made their vectors."""

import os
import shutil
from pathlib import Path

import models_tiny
import numpy as np
import pe_tiny
import pytest
from footage import video
from made import Tone, Word
from PIL import Image
from project import Project

import vbuild
from vbuild.errors import DatasetError, UsageError
from vbuild.stages.clip import CLIP
from vbuild.stages.clip_frames import ClipFrames
from vbuild.stages.dinov2 import DINOv2
from vbuild.stages.pe_video import PeVideo
from vbuild.stages.perceptual import Perceptual
from vbuild.stages.pool import Pool
from vbuild.stages.tags import Tags
from vbuild.stages.xclip import XCLIP

COLOURS = {"red": (200, 30, 30), "green": (30, 190, 30), "blue": (30, 30, 210), "grey": (90, 90, 90)}


def picture(colour):
    """A picture of a colour, brighter to the right."""
    shade = np.linspace(0.5, 1, 128)[None, :, None]
    return (np.full((96, 128, 3), COLOURS[colour]) * shade).astype(np.uint8)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A clip of each colour, with vectors of many kinds."""
    folder = tmp_path_factory.mktemp("likeness")
    kinds = ("clip", "dinov2", "xclip")
    model = {kind: str(models_tiny.make(folder / kind, kind)) for kind in kinds}
    model["pe_video"] = str(pe_tiny.make(folder / "pe_video"))
    made = Project(
        folder,
        {
            "twins": Perceptual(),
            "looks": DINOv2(model=model["dinov2"], device="cpu"),
            "embed": CLIP(model=model["clip"], device="cpu"),
            "frames": ClipFrames(model=model["clip"], device="cpu"),
            "pooled": Pool(of="frames", model=model["clip"]),
            "acts": XCLIP(model=model["xclip"], device="cpu"),
            "senses": PeVideo(model=model["pe_video"], device="cpu", count=4),
            "tags": Tags(of="embed", model=model["clip"], labels=("red", "dog"), scale="cosine", prompt="{}"),
            "tone": Tone(),
            "word": Word(of="tone"),
        },
    )
    for colour in COLOURS:
        path = video(
            folder / f"{colour}.mp4", seconds=1, fps=8, size=(128, 96), crf=4, picture=lambda _, c=colour: picture(c)
        )
        made.put(f"{colour}.mp4", path)
    report = made.build()
    assert not report.failures, report.firsts
    made.folder = folder
    return made


@pytest.fixture
def dataset(project):
    return vbuild.open("d", store=project.store)


def names(rows):
    """The colours of clips."""
    return [Path(uri).stem for uri in rows["uri"].to_pylist()]


@pytest.mark.parametrize("vector", [None, "embed", "pooled", "acts", "senses"])
def test_words_find_by_the_models_text_tower(dataset, vector):
    """What is nearest to words is what the vectors themselves say; the first column that knows words by default."""
    found = dataset.search(near="a red car", vector=vector)
    column = vector or "embed"
    kind = {"acts": XCLIP, "senses": PeVideo}.get(column, CLIP)
    stage = kind(model=str(Path(dataset.folder).parents[2] / kind.title()), device="cpu")
    words = stage.embed_text(["a red car"], stage.load())[0]
    rows = dataset.to_arrow()
    distances = [1 - float(np.dot(words, v)) for v in rows[column].to_pylist()]
    assert found["_distance"].to_pylist() == pytest.approx(sorted(distances), abs=1e-5)
    assert names(found) == [names(rows)[n] for n in np.argsort(distances)]


def test_what_words_are_near_is_what_tags_say(dataset):
    """The stage that compares labels with clips and the search come to the same cosine."""
    found = dataset.search(near="red", vector="embed")
    assert found["_distance"].to_pylist() == pytest.approx([1 - c for c in found["tags_red"].to_pylist()], abs=1e-5)


@pytest.mark.parametrize("vector", ["twins", "looks", "embed", "pooled", "acts", "senses"])
@pytest.mark.parametrize("form", ["path", "text", "pillow", "array", "video"])
def test_a_picture_finds_the_clip_that_shows_it(dataset, project, tmp_path, vector, form):
    """As a file, an image or an array; and a video finds what shows the same."""
    shown = picture("blue")
    path = tmp_path / "blue.png"
    Image.fromarray(shown).save(path)
    given = {
        "path": path,
        "text": str(path),
        "pillow": Image.fromarray(shown),
        "array": shown,
        "video": project.videos / "blue.mp4",
    }[form]
    found = dataset.search(near=given, vector=vector, limit=2)
    assert names(found)[0] == "blue"
    assert found["_distance"][0].as_py() < (1e-5 if form == "video" else 0.01)


def test_a_vector_and_a_clip_find_what_is_near_to_them(dataset):
    """A clip is not among what is near to it."""
    rows = dataset.to_arrow(["clip_id", "uri", "embed"])
    vector = rows["embed"][0].as_py()
    assert names(dataset.search(near=vector, vector="embed"))[0] == names(rows)[0]
    clip = dataset.clip(rows["clip_id"][0].as_py())
    others = dataset.search(near=clip, vector="embed")
    assert names(others) == names(dataset.search(near=clip.id, vector="embed"))
    assert sorted([*names(others), names(rows)[0]]) == sorted(COLOURS)


def test_words_in_captions_and_likeness_are_one_ranking(dataset):
    """By reciprocal ranks, among what a condition leaves."""
    found = dataset.search("clip", near=picture("green"), vector="embed", where="tone_mean < 100")
    assert "_relevance_score" in found.column_names
    assert set(names(found)) == set(names(dataset.search(where="tone_mean < 100")))
    assert found["_relevance_score"].to_pylist() == sorted(found["_relevance_score"].to_pylist(), reverse=True)


WRONG = [
    ({"near": "a car", "vector": "twins"}, "twins: stage perceptual knows no words"),
    ({"near": "a car", "vector": "looks"}, "looks: stage dinov2 knows no words"),
    ({"near": " "}, "near: give words"),
    ({"near": [1.0, 2.0]}, "near: twins has vectors of 329 numbers, .* this is float64 of shape"),
    ({"near": Path("/none.png")}, "/none.png: there is no such file"),
    ({"near": "a", "like": "b"}, "near, like: they say the same; give one"),
    ({"limit": 0}, "limit=0: a whole number of 1 or more"),
]


@pytest.mark.parametrize(("asked", "said"), WRONG, ids=[said for _, said in WRONG])
def test_what_has_no_place_among_the_vectors_is_said(dataset, asked, said):
    with pytest.raises(DatasetError, match=said):
        dataset.search(**asked)


def test_a_file_that_is_no_picture_is_said(dataset, tmp_path):
    """With its name."""
    path = tmp_path / "text.png"
    path.write_text("no picture")
    with pytest.raises(DatasetError, match=r"text\.png: ."):
        dataset.search(near=path)


def test_another_model_than_that_of_the_vectors_is_refused(tmp_path, project):
    """One whose files changed since, one that is gone, and code of another version."""
    folder = tmp_path / "model"
    shutil.copytree(project.folder / "clip", folder)
    made = Project(tmp_path, {"embed": CLIP(model=str(folder), device="cpu")}, videos=project.videos)
    made.build()
    dataset = vbuild.open("d", store=made.store)
    assert names(dataset.search(near="a red car"))
    other = models_tiny.make(tmp_path / "other", "clip", seed=1)
    weights = folder / "model.safetensors"
    shutil.copy2(other / "model.safetensors", weights)
    os.utime(weights)
    with pytest.raises(DatasetError, match=r"embed: its model is not that of the vectors \(model dir:.* build d again"):
        dataset.search(near="a red car")
    with pytest.raises(DatasetError, match="embed: its model is not that of the vectors"):
        dataset.search(near=picture("red"))
    dataset.build["recipes"]["embed"]["version"] = 0
    shutil.copy2(project.folder / "clip" / "model.safetensors", weights)
    with pytest.raises(DatasetError, match=r"embed: its version is not that of the vectors \(1 here, 0 there\)"):
        dataset.search(near="a red car")
    shutil.rmtree(folder)
    with pytest.raises(UsageError, match=r"stages\.embed\.model=.*: there is no such folder"):
        dataset.search(near="a red car")


def test_conditions_name_columns_of_videos(dataset):
    """By their own name, or with the table's; the database is told which clips those are."""
    for where in ("codec = 'h264' and tone_mean > 60", "videos.codec = 'h264' and videos.w = 128 and tone_mean > 60"):
        wanted = set(names(dataset.search(where="tone_mean > 60")))
        assert wanted
        assert set(names(dataset.search(where=where))) == wanted
        assert {name for b in dataset.scan(where=where) for name in names(b)} == wanted
        assert set(names(dataset.search(near=picture("red"), where=where))) == wanted
        assert set(names(dataset.search("clip", where=where))) == wanted
    assert names(dataset.search(where="videos.codec = 'vp9'")) == []
    assert names(dataset.search(near=picture("red"), where="codec = 'vp9'")) == []
    with pytest.raises(DatasetError, match=r"--where 'videos\.codek = 1': .*codek"):
        dataset.search(where="videos.codek = 1")


def test_conditions_on_videos_that_leave_many_clips(dataset, monkeypatch):
    """Of more than can be named one by one, answers are looked at, as many as it takes."""
    few = [names(dataset.search(near=picture("red"), where="uri like '%grey%' and codec = 'h264'", limit=1))]
    monkeypatch.setattr("vbuild.dataset.joined.FEW", 0)
    assert [names(dataset.search(near=picture("red"), where="uri like '%grey%' and codec = 'h264'", limit=1))] == few
    assert few == [["grey"]]


def test_columns_of_videos_are_read_beside_those_of_clips(dataset):
    """In a search and in a scan, by their name or with the table's, in the order asked for."""
    wanted = ["videos.codec", "tone_mean", "pixel_format"]
    found = dataset.search(near=picture("red"), columns=wanted, limit=2)
    assert found.column_names == [*wanted, "_distance"]
    assert found["videos.codec"].to_pylist() == ["h264", "h264"]
    (batch,) = dataset.scan(wanted)
    assert batch.schema.names == wanted
    assert set(batch["pixel_format"].to_pylist()) == {"yuv420p"}
    assert dataset.to_arrow(wanted, "tone_mean > 1000").schema == batch.schema
    with pytest.raises(DatasetError, match=r"columns=videos.codek: d has no such column; did you mean 'codec'"):
        dataset.search(columns=["videos.codek"])


def test_how_the_model_runs_is_said_when_a_dataset_is_opened(project, capsys):
    """Knobs, which no build records; what is none is refused, and so is a device that is not there."""
    from vbuild.cli.main import run
    from vbuild.errors import PlaceError

    given = vbuild.open("d", store=project.store, knobs={"embed.device": "cpu", "embed.batch": 3})
    assert names(given.search(near="a red car", vector="embed")) == names(
        vbuild.open("d", store=project.store).search(near="a red car", vector="embed")
    )
    for knobs, kind, said in (
        ({"embed.devise": "cpu"}, UsageError, "embed.devise: stage clip has no such knob; did you mean 'device'"),
        ({"embed.model": "x"}, UsageError, "embed.model: stage clip has no such knob"),
        ({"embed.device": "tpu"}, PlaceError, "embed: its model cannot be loaded .*tpu"),
    ):
        with pytest.raises(kind, match=said):
            vbuild.open("d", store=project.store, knobs=knobs).search(near="a red car", vector="embed")
    words = ["query", "d", "--store", str(project.store), "--near", "a red car", "--by", "embed"]
    assert run([*words, "--knob", "embed.device=cpu", "--limit", "1"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    with pytest.raises(UsageError, match=r"--knob device=cpu: STAGE\.KNOB=VALUE is expected"):
        run([*words, "--knob", "device=cpu"])

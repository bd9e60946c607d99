"""The datasets that come along, built of small footage by configuration alone."""

import cv2
import numpy as np
import pytest
from footage import grained, scene, video

from vbuild.compose import load
from vbuild.engine import build

QUICK = "stages.transcode.preset=ultrafast"


def rows(config):
    """The clips of a dataset, by their files."""
    import lance

    found = lance.dataset(str(config.output / config.name / "clips.lance")).to_table().to_pylist()
    return {row["uri"].rpartition("/")[2]: row for row in found}


def small_mover(time):
    """A wide shot of a fixed camera in which a few small things walk."""
    picture = np.full((720, 1280, 3), 90, np.uint8)
    picture[::8] = 110
    for n in range(40):
        x, y = round(30 * n + 60 * time), 200 + 12 * n % 400
        cv2.rectangle(picture, (x, y), (x + 24, y + 48), (40 + 5 * n, 30, 200 - 4 * n), -1)
    return picture


@pytest.mark.timeout(240)
def test_world_keeps_what_moves_and_is_large(tmp_path, monkeypatch):
    """A wide shot of small movers and a moving scene stay; a photograph, whatever is small, and a twin do not."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "films").mkdir()
    still = scene(1, (1280, 720))(0.0)
    films = {
        "wide.mp4": {"picture": small_mover},
        "moving.mp4": {"picture": grained(3, (1280, 720), 1.0), "fps": 50},
        "photo.mp4": {"picture": lambda _: still},
        "small.mp4": {"size": (640, 360)},
    }
    for name, how in films.items():
        video(tmp_path / "films" / name, **{"seconds": 2.4, "fps": 24, "size": (1280, 720), "crf": 18} | how)
    overrides = ["+dataset=world", "source.path=films", "store=store", "executor=inline", "split.crop=0", QUICK]
    config = load(overrides)
    assert config.name == "world-films"
    assert not build(config).failures
    found = rows(config)
    assert {name: row["dropped_by"] for name, row in found.items()} == {
        "wide.mp4": None, "moving.mp4": None, "photo.mp4": "still", "small.mp4": "small",
    }  # fmt: skip
    assert "still" not in found["wide.mp4"]["caption"]
    assert found["moving.mp4"]["transcode_fps"] == pytest.approx(30, abs=0.5)
    assert found["wide.mp4"]["transcode_fps"] == pytest.approx(24, abs=0.5)
    assert 0 <= found["wide.mp4"]["best_start"] <= 1


def test_curator_has_its_defaults_and_runs(tmp_path, monkeypatch):
    """Clips of ten seconds by vectors: what moves stays, a photograph goes, and what has no vectors passes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "films").mkdir()
    still = scene(1, (320, 256))(0.0)
    for name, how in {
        "moving.mp4": {"picture": grained(2, (320, 256), 1.0)},
        "photo.mp4": {"picture": lambda _: still},
        "vp9.webm": {"codec": "libvpx-vp9"},
    }.items():
        video(tmp_path / "films" / name, **{"seconds": 10.0, "fps": 12, "size": (320, 256), "gop": 24} | how)
    config = load(["+dataset=curator", "source.path=films", "store=store", "executor=inline", QUICK])
    motion, split = config.stages["motion"], config.split
    assert (motion.by, motion.parity, motion.fps) == ("vectors", True, 2.0)
    assert (split.length, split.stride, split.min) == (10.0, 10.0, 2.0)
    assert (config.windows.frames, config.windows.remainder, config.windows.min) == (256, 128, 4)
    assert not build(config).failures
    found = {name: row["dropped_by"] for name, row in rows(config).items()}
    assert found == {"moving.mp4": None, "photo.mp4": "still", "vp9.webm": None}

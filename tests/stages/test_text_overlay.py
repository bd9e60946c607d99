"""How much text lies over a clip."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from footage import scene, video
from project import Project, ran

from vbuild.errors import UsageError
from vbuild.executor.config import Local
from vbuild.models import ppocr
from vbuild.recipes import recipe
from vbuild.split.fixed_stride import FixedStride
from vbuild.stage import Clip, Sampled
from vbuild.stages.text_overlay import TextOverlay, in_corner, longest, overlaps

SIZE = (320, 192)
SECONDS = 2.0
WHOLE = FixedStride(length=SECONDS)


def written(text, place, scale=1.0):
    """A moving scene with a text; `place`: seconds → where its lower left corner is."""
    paint = scene(3, SIZE)

    def picture(time):
        image = np.ascontiguousarray(paint(time) // 2)
        if text:
            cv2.putText(image, text, place(time), cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 2, cv2.LINE_AA)
        return image

    return picture


FOOTAGE = {
    "caption": written("BREAKING NEWS", lambda _: (30, 110)),
    "moving": written("MOVING", lambda t: (10 + int(70 * t), 60 + int(40 * t))),
    "logo": written("TV", lambda _: (4, 16), 0.5),
    "plain": written("", lambda _: (0, 0)),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Footage of each kind, built with two workers."""
    folder = tmp_path_factory.mktemp("overlay")
    made = Project(folder, {"text": TextOverlay()}, split=WHOLE)
    made.local = Local(workers=2)
    for name, picture in FOOTAGE.items():
        made.put(f"{name}.mp4", video(folder / f"{name}.mp4", seconds=SECONDS, fps=12, size=SIZE, picture=picture))
    assert ran(made.build())["text"] == len(FOOTAGE)
    return made


def measures(project):
    """What was measured of each video."""
    return {
        row["uri"].rpartition("/")[2].removesuffix(".mp4"): {n: row[f"text_{n}"] for n in TextOverlay.writes}
        for row in project.rows().values()
    }


def test_a_caption_over_a_moving_scene_stands_still(project):
    """It is seen in one place from the first to the last of the frames, and not in a corner."""
    row = measures(project)["caption"]
    assert row["track"] == row["inner_track"] == pytest.approx(1.5)
    assert (row["share"], row["corner"]) == (1, 0)
    assert 0.05 < row["area"] < 0.3


def test_a_text_that_moves_does_not_stand_still(project):
    """It is seen, but never twice in one place."""
    row = measures(project)["moving"]
    assert (row["track"], row["share"], row["corner"]) == (0, 1, 0)


def test_a_logo_is_in_a_corner(project):
    """Every frame with text has it in a corner; without the corners nothing stands still."""
    row = measures(project)["logo"]
    assert (row["corner"], row["share"], row["inner_track"]) == (1, 1, 0)
    assert row["track"] == pytest.approx(1.5)
    assert row["area"] < 0.05


def test_where_no_text_is_all_is_nought(project):
    """No text is 0, not null."""
    assert set(measures(project)["plain"].values()) == {0}


def test_the_rule_of_curator_as_a_predicate(project):
    """The predicate of the stage's configuration keeps plain footage and text that moves, and runs nothing."""
    project.where["text"] = "text_track is null or (text_track < 1 and text_corner <= 0.1)"
    report = project.build()
    assert ran(report) == {}
    kept = {row["uri"].rpartition("/")[2] for row in project.rows().values() if row["kept"]}
    assert kept == {"plain.mp4", "moving.mp4"}


def test_the_build_process_measures_what_workers_measure(project, tmp_path):
    """Without workers the same videos have the same measures, to the bit."""
    alone = Project(tmp_path, {"text": TextOverlay()}, split=WHOLE)
    alone.videos = project.videos
    alone.build()
    assert measures(alone) == measures(project)


def test_a_clip_without_frames_has_no_measures():
    """Nothing seen is null."""
    left = TextOverlay().open(Clip(duration=1.0), None).close()
    assert TextOverlay().join(left, []) == dict.fromkeys(TextOverlay.writes)


A, B = (0.1, 0.1, 0.5, 0.2), (0.1, 0.7, 0.5, 0.8)
"""Two boxes apart."""


def boxes(*rows):
    return np.array(rows, float).reshape(-1, 4)


def shifted(box, by):
    return (box[0] + by, box[1], box[2] + by, box[3])


def test_overlap_is_intersection_over_union():
    """Equal boxes share all, boxes apart nothing, half of each is a third of the union."""
    found = overlaps(boxes(A), boxes(A, B, shifted(A, 0.2)))
    assert found[0].tolist() == pytest.approx([1, 0, 1 / 3])


def test_the_longest_track_counts():
    """Of two texts the one that is seen longer, from its first to its last sight; one sight is no time."""
    sights = [boxes(B), boxes(B, A), boxes(A), boxes(A), boxes(A)]
    assert longest([0, 0.5, 1, 1.5, 2], sights, 0.9, 1.0) == 1.5
    assert longest([0, 0.5], [boxes(A), boxes(B)], 0.9, 1.0) == 0
    assert longest([0], [boxes()], 0.9, 1.0) == 0


def test_a_gap_ends_a_track():
    """A text that is away no longer than the gap goes on; after that it is another."""
    sights = [boxes(A), boxes(), boxes(), boxes(A)]
    assert longest([0, 1, 2, 3], sights, 0.9, 3.0) == 3
    assert longest([0, 1, 2, 3], sights, 0.9, 2.9) == 0


def test_a_box_must_overlap_the_one_before():
    """A twentieth of its width a step is too far for 0.9, and near enough for 0.8, however far it comes at last."""
    sights = [boxes(shifted(A, 0.03 * n)) for n in range(5)]
    assert longest(range(5), sights, 0.9, 1.0) == 0
    assert longest(range(5), sights, 0.8, 1.0) == 4


def test_of_two_boxes_the_nearer_goes_on():
    """A text has one box in a frame, the one that overlaps it most; the other begins anew."""
    near, far = shifted(A, 0.001), shifted(A, 0.01)
    assert longest([0, 1, 2], [boxes(A), boxes(far, near), boxes(near)], 0.96, 1.0) == 2
    assert longest([0, 1, 2], [boxes(A), boxes(near, far), boxes(far)], 0.96, 1.0) == 1


def test_a_corner_is_judged_by_the_middle_of_a_box():
    """Corners are a tenth of width by a tenth of height; a banner along an edge is in none."""
    rows = [
        (0, 0, 0.1, 0.1),
        (0.85, 0.95, 1, 1),
        (0, 0.9, 0.19, 1),
        (0, 0.9, 1, 1),
        (0.4, 0, 0.6, 0.1),
        (0, 0, 0.3, 0.1),
    ]
    assert in_corner(boxes(*rows), 0.1).tolist() == [True, True, True, False, False, False]
    assert in_corner(boxes(), 0.1).tolist() == []


def test_every_parameter_and_the_weights_are_part_of_the_recipe():
    """Each changes the recipe, which holds the digest of the detector's file."""
    changes = [{"fps": 10}, {"long_side": 320}, {"threshold": 0.3}, {"box_threshold": 0.5}, {"overlap": 0.8}]
    changes += [{"gap": 3}, {"zone": 0.2}]
    assert len({recipe(TextOverlay(**change)).id for change in [{}, *changes]}) == 8
    assert recipe(TextOverlay()).models == {"detector": ppocr.identity()}


@pytest.mark.parametrize("change", [{"fps": 0}, {"long_side": -1}, {"gap": 0}, {"overlap": 90}, {"zone": -0.1}])
def test_what_makes_no_sense_is_refused(change):
    """By its name."""
    with pytest.raises(UsageError, match=f"^{next(iter(change))}="):
        TextOverlay(**change)


@pytest.mark.parametrize("missing", ["rapidocr", "onnxruntime"])
def test_without_the_package_it_is_said_how_to_install_it(missing, tmp_path):
    """Where a package is not there, the command ends with one line that tells the extra."""
    (tmp_path / "a.mp4").write_bytes(b"")
    code = (
        "import importlib.util as util, sys\n"
        f"find = util.find_spec\nutil.find_spec = lambda name: None if name == {missing!r} else find(name)\n"
        "from vbuild.cli.main import main\n"
        "sys.argv = ['vbuild', '+dataset=folder', 'source.path=a.mp4', '+stage@stages.text=text_overlay']\nmain()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line]
    assert "pip install 'vbuild-video[ocr]'" in line


def test_what_is_seen_in_a_frame_does_not_depend_on_the_batch():
    """Alone, by two, or all at once: the same boxes."""
    stage = TextOverlay()
    model = stage.load()
    clips = [Clip(duration=1.0, frames=Sampled(paint(0.5)[None], np.zeros(1))) for paint in FOOTAGE.values()]
    found = {n: [row for k in range(0, len(clips), n) for row in stage.run(clips[k : k + n], model)] for n in (1, 2, 4)}
    assert sum(len(row["boxes"]) > 0 for row in found[1]) >= 2
    for alone, two, four in zip(*found.values(), strict=True):
        assert np.allclose(alone["boxes"], two["boxes"], atol=1e-6)
        assert np.allclose(alone["boxes"], four["boxes"], atol=1e-6)
        assert alone["area"] == two["area"] == four["area"]

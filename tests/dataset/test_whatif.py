"""What other conditions would keep is what a build then keeps, and how values lie is what the tables hold."""

import json
from pathlib import Path

import numpy as np
import pytest
from footage import video
from made import Point, Print, Tone, Word
from project import Project, dropped

import vbuild
from vbuild.cli.main import run
from vbuild.dataset.stats import histograms
from vbuild.dataset.whatif import what_if
from vbuild.decisions.dedup import Dedup
from vbuild.errors import DatasetError, UsageError
from vbuild.split.fixed_stride import FixedStride

GREYS = (10, 30, 50, 52, 90, 120, 122, 160, 200, 240)


def grey(level):
    return np.full((48, 64, 3), level, np.uint8)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Ten clips of one grey each."""
    return video(
        tmp_path_factory.mktemp("film") / "a.mp4", seconds=len(GREYS), fps=4, size=(64, 48), gop=4, crf=4,
        picture=lambda at: grey(GREYS[min(int(at), len(GREYS) - 1)]),
    )  # fmt: skip


def project(folder, film, where, eps=None):
    """A dataset of them."""
    stages = {"tone": Tone(), "spot": Point(), "word": Word(of="tone")}
    if eps is not None:
        stages["dedup"] = Dedup(of="spot", eps=eps, keep="tone_mean desc")
    made = Project(folder, stages, where=where)
    made.put("a.mp4", film)
    made.build()
    return made


def opened(made):
    return vbuild.open("d", store=made.store)


def kept(made):
    """The ids of the clips that are kept."""
    return {name for name, row in made.rows().items() if row["kept"]}


CHANGES = [
    {"where.dark": "tone_mean > 60"},
    {"where.dark": "tone_mean > 5"},
    {"where.dark": None},
    {"where.bright": "tone_mean < 150"},
    {"where.dark": "tone_mean > 100", "where.odd": "tone_step % 2 = 0"},
    {"where.video": "codec = 'h264' and tone_mean < 100"},
    {"where.all": "w > 1000"},
    {"where.video": "videos.codec = 'h264' and 'videos.codec' <> tone_mean::text and tone_mean < 100"},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_conditions_keep_what_a_build_would(tmp_path, film, change):
    """How many, and which: those that come, and those that go."""
    made = project(tmp_path, film, {"dark": "tone_mean > 40"})
    before = kept(made)
    said = what_if(opened(made), change)
    for key, sql in change.items():
        name = key.removeprefix("where.")
        made.where.pop(name, None)
        made.where |= {} if sql is None else {name: sql}
    made.build()
    assert (said.before, said.kept) == (len(before), len(kept(made)))
    assert (set(said.gained), set(said.lost)) == (kept(made) - before, before - kept(made))
    assert said.dropped == {name: dropped(made).get(name, 0) for name in made.where}
    assert not said.open


def test_a_clip_that_was_dropped_unmeasured_cannot_be_told(tmp_path, film):
    """What it lacks would have to run; the others are told."""
    made = project(tmp_path, film, {"dark": "tone_mean > 40", "short": "word_length > 18"})
    said = what_if(opened(made), {"where.dark": "tone_mean > 20"})
    assert (said.gained, said.lost) == ([], [])
    assert len(said.open) == 1
    assert said.unknown == {"short": 1}
    said = what_if(opened(made), {"where.dark": "tone_mean > 100"})
    assert not said.open
    made.where["dark"] = "tone_mean > 100"
    made.build()
    assert said.kept == len(kept(made))


@pytest.mark.parametrize(
    "change", [{"stages.dedup.eps": "0.0005"}, {"stages.dedup.eps": 0.0}, {"where.dark": "tone_mean > 100"}]
)
def test_a_smaller_eps_is_told_by_the_pairs(tmp_path, film, change):
    """And what conditions before a dedup leave to it."""
    made = project(tmp_path, film, {"dark": "tone_mean > 20"}, eps=0.01)
    before = kept(made)
    assert dropped(made)["dedup"] >= 2
    said = what_if(opened(made), change)
    if "where.dark" in change:
        made.where["dark"] = change["where.dark"]
    else:
        eps = float(change["stages.dedup.eps"])
        made.stages["dedup"] = Dedup(of="spot", eps=eps, keep="tone_mean desc")
    made.build()
    assert (said.kept, said.open) == (len(kept(made)), [])
    assert (set(said.gained), set(said.lost)) == (kept(made) - before, before - kept(made))
    assert said.dropped["dedup"] == dropped(made).get("dedup", 0)


def test_a_larger_overlap_is_told_by_the_pairs(tmp_path):
    """A clip that shares less of its frames comes back."""
    made = Project(tmp_path, {"print": Print(), "dedup": Dedup(of="print", overlap=0.4)})
    for name, levels in {"a": (80, 120, 160), "b": (80, 120, 200), "c": (80, 220, 240)}.items():
        path = tmp_path / f"{name}.mp4"
        video(path, seconds=3, fps=4, size=(64, 48), gop=4, picture=lambda at, of=levels: grey(of[min(int(at), 2)]))
        made.put(f"{name}.mp4", path)
    made.split = FixedStride(length=3.0)
    made.build()
    for overlap in (0.4, 0.5, 0.7):
        said = what_if(opened(made), {"stages.dedup.overlap": overlap})
        other = Project(
            tmp_path, made.stages | {"dedup": Dedup(of="print", overlap=overlap)}, name=f"d{overlap * 10:g}"
        )
        other.split = made.split
        other.build()
        assert said.kept == len(kept(other))
    assert len(kept(other)) > len(kept(made))
    with pytest.raises(UsageError, match=r"the build knows pairs from overlap=0\.4"):
        what_if(opened(made), {"stages.dedup.overlap": 0.3})


WRONG = [
    ({"where.dark": "tone_maen > 1"}, UsageError, "tone_maen.*did you mean 'tone_mean'"),
    ({"where.dark": "videos.codek = 'x'"}, UsageError, "codek.*did you mean 'codec'"),
    (
        {"where.dark": "videos.start_pts > 1"},
        UsageError,
        "videos.start_pts is hidden by the column",
    ),
    ({"where.dark": "tone_mean"}, UsageError, "not a condition"),
    ({"stages.tone.gain": "2"}, UsageError, "stages.tone.gain: only conditions"),
    ({"split.length": "2"}, UsageError, "split.length: only conditions"),
    ({"stages.dedop.eps": "0.001"}, UsageError, "there is no dedup 'dedop'; did you mean 'dedup'"),
    ({"stages.dedup.eps": "x"}, UsageError, "a cosine distance is expected"),
    ({"stages.dedup.eps": "0.5"}, UsageError, "the build knows pairs up to eps=0.01"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory, film):
    return project(tmp_path_factory.mktemp("built"), film, {"dark": "tone_mean > 40"}, eps=0.01)


@pytest.mark.parametrize(("change", "kind", "said"), WRONG, ids=str)
def test_what_cannot_be_tried_is_said(built, change, kind, said):
    with pytest.raises(kind, match=said):
        what_if(opened(built), change)


def test_the_verb_tells_it(built, capsys):
    """For people and for programs; a bare word is refused."""
    store = ["--store", str(built.store)]
    assert run(["what-if", "d", "where.dark=tone_mean > 100", *store]) == 0
    said = capsys.readouterr().out
    change = what_if(opened(built), {"where.dark": "tone_mean > 100"})
    assert said.startswith(
        f"d: {change.before} kept, {change.kept} would be (+{len(change.gained)} -{len(change.lost)})\n"
    )
    assert all(clip[:12] in said for clip in change.lost)
    assert run(["what-if", "d", "where.dark=null", "--json", f"store={built.store}"]) == 0
    assert json.loads(capsys.readouterr().out)["before"] == change.before
    with pytest.raises(UsageError, match="KEY=VALUE is expected"):
        run(["what-if", "d", "dark", *store])
    with pytest.raises(UsageError, match="say what would be otherwise"):
        run(["what-if", "d", *store])


def test_histograms_count_every_clip_once(built):
    """By range, kept and by the decision that dropped it; nulls apart."""
    found = {one.column: one for one in histograms(opened(built))}
    assert {"tone_mean", "tone_step", "word_length"} <= found.keys()
    assert not {"spot", "clip_id", "start_s"} & found.keys()
    rows = [*built.rows().values()]
    one = found["tone_mean"]
    assert (one.least, one.most) == (min(r["tone_mean"] for r in rows), max(r["tone_mean"] for r in rows))
    assert one.median == pytest.approx(np.median([r["tone_mean"] for r in rows]))
    assert one.read_by == ["dark", "dedup"]
    for b in one.bins:
        last = b is one.bins[-1]
        inside = [r for r in rows if b.low <= r["tone_mean"] and (r["tone_mean"] < b.high or last)]
        assert b.counts["kept"] == sum(r["kept"] for r in inside)
        assert b.counts["dark"] == sum(r["dropped_by"] == "dark" for r in inside)
    words = found["word_length"]
    assert words.values + sum(words.nulls.values()) == len(rows)
    assert words.nulls["kept"] == 0
    (status,) = histograms(opened(built), ["kept"])
    assert {b.low: sum(b.counts.values()) for b in status.bins} == {
        True: len(kept(built)),
        False: len(rows) - len(kept(built)),
    }
    with pytest.raises(DatasetError, match="has no such column"):
        histograms(opened(built), ["tone"])


def test_the_verb_draws_them(built, capsys):
    """A bar a range: full for kept clips, hatched for dropped ones."""
    store = ["--store", str(built.store)]
    assert run(["stats", "d", "--columns", "tone_mean", "--bins", "4", *store]) == 0
    head, names, *lines = capsys.readouterr().out.splitlines()
    assert head.startswith("tone_mean: 10 of 10 clips, ")
    assert head.endswith("; read by dark, dedup")
    assert names.split() == ["value", "kept", "dark", "dedup"]
    assert len(lines) == 4
    assert "█" in lines[-1]
    assert "░" in lines[0]
    assert run(["stats", "d", "--json", "--where", "tone_mean > 100", *store]) == 0
    told = json.loads(capsys.readouterr().out)
    assert next(one for one in told if one["column"] == "tone_mean")["values"] == sum(g > 100 for g in GREYS)


def test_files_of_blobs_are_no_scores(built):
    """Nor is anything else that nobody measured."""
    assert Path(built.store).is_dir()
    assert all(one.column.partition("_")[0] in ("tone", "word") for one in histograms(opened(built)))

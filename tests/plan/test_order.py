"""Stages stand by what reads what, then by phase, then as written; predicates behind the last stage they read."""

import dataclasses
from pathlib import Path
from typing import ClassVar

import made
import pytest

from vbuild.config import Config, Source
from vbuild.decisions.dedup import Dedup
from vbuild.decisions.predicate import Predicate
from vbuild.errors import UsageError
from vbuild.plan.order import Deduplication, arrange
from vbuild.plan.wiring import Instance
from vbuild.split.fixed_stride import FixedStride
from vbuild.stages.describe import Describe
from vbuild.stages.motion import Motion
from vbuild.stages.quality import Quality
from vbuild.stages.transcode import Transcode


class EarlyShare(made.Share):
    """The same of whole videos."""

    scope = "video"


def order(stages, where=None):
    """The order of a dataset."""
    return arrange(
        Config(
            name="d",
            declared="d",
            source=Source(path=("x",)),
            split=FixedStride(),
            stages=stages,
            where=where or {},
            store=Path("x"),
        )
    )


def waves(found):
    """Waves as text: stages, a bar, decisions."""
    return [" ".join([*(s.name for s in w.stages), "|", *(d.name for d in w.decisions)]) for w in found.waves]


def test_phases_order_what_is_written_anyhow():
    """Cheap before dear, whatever the file says; a stage that is added later stands where it is cheapest."""
    stages = {
        "pack": made.Pack(),
        "word": made.Word(of="tone"),
        "dedup": Dedup(of="point"),
        "point": made.Point(),
        "tone": made.Tone(),
    }
    found = order(stages)
    assert [i.name for i in found.clip_stages] == ["tone", "point", "word", "pack"]
    assert waves(found) == ["tone point | dedup", "word pack |"]


def test_what_reads_another_stands_behind_it_whatever_its_phase():
    """A stage of the first phase that reads a late one waits for it."""
    found = order({"share": made.Length(of="word", at="measure"), "word": made.Word(of="tone"), "tone": made.Tone()})
    assert [i.name for i in found.clip_stages] == ["tone", "word", "share"]
    assert waves(found) == ["tone |", "word |", "share |"]


def test_a_dataset_may_move_a_stage_to_another_phase():
    """`at` puts what is dear before the dedup."""
    stages = {"tone": made.Tone(), "point": made.Point(), "dedup": Dedup(of="point"), "pack": made.Pack(at="measure")}
    assert [i.name for i in order(stages).clip_stages] == ["tone", "pack", "point"]


def test_the_order_of_keeping_is_read_before_the_dedup():
    """A dedup that keeps the longest word stands behind the words."""
    stages = {
        "tone": made.Tone(),
        "point": made.Point(),
        "dedup": Dedup(of="point", keep="word_length desc"),
        "word": made.Word(of="tone"),
    }
    assert waves(order(stages)) == ["tone point |", "word | dedup"]


def test_predicates_stand_behind_the_last_stage_that_they_read():
    """One that reads no stage is the first, one that reads two stands behind the later, in the order written."""
    where = {
        "both": "tone_mean > word_length",
        "late": "pack_bytes > 1",
        "none": "duration_s > 1",
        "early": "tone_step > 1",
    }
    found = order({"tone": made.Tone(), "word": made.Word(of="tone"), "pack": made.Pack()}, where)
    assert waves(found) == ["| none", "tone | early", "word | both", "pack | late"]


def test_a_decision_ends_a_wave_only_before_what_is_dear():
    """Motion and quality share a decode though a predicate stands between them; an encoder does not join them."""
    stages = {"motion": Motion(), "quality": Quality(), "transcode": Transcode()}
    where = {"still": "motion_mean > 0.1", "soft": "quality_sharpness > 1"}
    assert waves(order(stages, where)) == ["motion quality | still soft", "transcode |"]


def test_captions_see_survivors_only():
    """Cheap ones too, whose columns came long before, with a dedup before them and without one."""
    stages = {"motion": Motion(), "point": made.Point(), "describe": Describe()}
    where = {"still": "motion_mean > 0.1", "far": "point[1] > 0"}
    assert waves(order(stages, where)) == ["motion | still", "point | far", "describe |"]
    assert waves(order(stages | {"dedup": Dedup(of="point")}, where))[1:] == ["point | far dedup", "describe |"]


def test_a_dedup_ends_its_wave():
    """What stands behind it, dear or not, sees survivors."""
    stages = {
        "point": made.Point(),
        "dedup": Dedup(of="point"),
        "tone": made.Tone(at="annotate"),
        "again": Dedup(of="point", eps=0.5, at="annotate"),
        "pack": made.Pack(),
    }
    assert waves(order(stages)) == ["point | dedup", "tone | again", "pack |"]


def test_stages_of_whole_videos_come_before_the_split():
    """They are no stages of clips; those may read them."""
    found = order({"share": made.Share(of="weight"), "weight": made.Weight(of="probe")})
    assert [i.name for i in found.video_stages] == ["probe", "weight", "split"]
    assert [i.name for i in found.clip_stages] == ["share"]


def test_members_are_what_they_are():
    """Decisions are predicates and dedups, stages are instances with their ports."""
    found = order({"tone": made.Tone(), "point": made.Point(), "dedup": Dedup(of="point")}, {"w": "tone_mean > 1"})
    assert all(isinstance(i, Instance) for i in found.clip_stages)
    assert [type(d) for d in found.decisions] == [Predicate, Deduplication]


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ({"word": made.Word()}, r"stages\.word\.of: say which stage gives word"),
        ({"word": made.Word(of="tome"), "tone": made.Tone()}, r"stages\.word\.of=tome: .*did you mean.*tone"),
        ({"word": made.Word(of="word")}, r"stages\.word\.of=word: there is no such stage"),
        ({"word": made.Word(of="point"), "point": made.Point()}, r"stages\.word\.of=point: point writes no 'step'"),
        ({"word": made.Word(of={"port": "tone"}), "tone": made.Tone()}, r"word has no input 'port'"),
        (
            {
                "share": EarlyShare(of="length"),
                "length": made.Length(of="word"),
                "word": made.Word(of="t"),
                "t": made.Tone(),
            },
            r"stages\.share\.of=length: it is of clips",
        ),
        ({"dedup": Dedup(of="embed")}, r"stages\.dedup\.of=embed: there is no such stage"),
        ({"dedup": Dedup(of="tone"), "tone": made.Tone()}, r"stages\.dedup\.of=tone: tone writes no vector"),
        (
            {"point": made.Point(), "dedup": Dedup(of="point", keep="tone desc")},
            r"stages\.dedup\.keep='tone desc': no stage writes the column 'tone'",
        ),
        (
            {"point": made.Point(), "dedup": Dedup(of="point", keep="clip_id dsc")},
            r"stages\.dedup\.keep='clip_id dsc' is no SQL",
        ),
    ],
)
def test_wiring_that_leads_nowhere_is_refused(stages, said):
    """By the key at fault, with the nearest name."""
    with pytest.raises(UsageError, match=said):
        order(stages)


def test_a_port_that_may_stay_unwired_takes_the_instance_of_its_name():
    """If there is one that writes what it reads, and none is named; a name that leads nowhere is refused."""

    def ports(stages):
        return {p.name: p.source for i in order(stages).clip_stages if i.name == "said" for p in i.ports}

    assert ports({"said": Describe()}) == {}
    assert ports({"said": Describe(), "motion": Motion()}) == {"motion": "motion"}
    assert ports({"said": Describe(), "motion": made.Pack()}) == {}
    moved = {"said": Describe(of={"motion": "moved"}), "moved": Motion(), "motion": Motion(fps=1.0)}
    assert ports(moved) == {"motion": "moved"}
    with pytest.raises(UsageError, match=r"stages\.said\.of=nix: there is no such stage"):
        order({"said": Describe(of={"motion": "nix"}), "motion": Motion()})


def test_circles_are_refused():
    """Two stages that read each other can never begin."""
    with pytest.raises(UsageError, match="stages: one, two read each other in a circle"):
        order({"one": made.Length(of="two"), "two": Loop(of="one")})


class Loop(made.Word):
    """A stage that reads what reads it."""

    reads: ClassVar = {"": ("",)}


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ({"tone": made.Tone(), "tone_mean": made.Pack()}, None),
        (
            {"tone": made.Tone(), "tone_step": made.Length(of="tone_word"), "tone_word": made.Word(of="tone")},
            "'tone_step' too",
        ),
        (
            {
                "pack": made.Pack(),
                "pack_uri": made.Length(of="word"),
                "word": made.Word(of="tone"),
                "tone": made.Tone(),
            },
            "'pack_uri' too",
        ),
    ],
)
def test_two_stages_that_write_one_column_are_refused(stages, said):
    """By a plan, whichever names and fields make it up; the parts of a blob count."""
    if said is None:
        assert order(stages)
        return
    with pytest.raises(UsageError, match=said):
        order(stages)


def titled(name, module, title=None):
    """A stage class of a name in a module; its title can be its own."""
    more = {"title": classmethod(lambda cls: title)} if title else {}
    return dataclasses.make_dataclass(
        name, [], bases=(made.Tone,), frozen=True, kw_only=True, namespace={"__module__": module, **more}
    )


def test_two_classes_of_one_module_have_two_titles():
    """A user's are called by their full paths; of vbuild's own one is called as its module, and others by theirs."""
    assert [titled(name, "mine.stages").title() for name in ("A", "B")] == ["mine.stages.A", "mine.stages.B"]
    assert titled("TextOverlay", "vbuild.stages.text_overlay").title() == "text_overlay"
    assert titled("Other", "vbuild.stages.text_overlay").title() == "vbuild.stages.text_overlay.Other"


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        (
            {"a": titled("A", "m", "t")(), "b": titled("B", "m", "t")()},
            r"^stages\.b: its class B and that of stages\.a, A,",
        ),
        (
            {"a": titled("A", "m", "probe")()},
            r"^stages\.a: its class A and that of probe, Probe, are both called 'probe'",
        ),
        ({"a": titled("A", "m", "fixed_stride")()}, r"^stages\.a: its class A and that of split, FixedStride,"),
    ],
)
def test_two_classes_of_one_title_are_refused(stages, said):
    """They would share recipes, and each be given what the other wrote."""
    with pytest.raises(UsageError, match=said):
        order(stages)


def test_one_class_may_stand_twice():
    """Under two names, with other parameters or none."""
    assert len(order({"a": made.Tone(), "b": made.Tone(gain=2.0), "c": made.Tone()}).clip_stages) == 3

"""Keys of recipes: what changes them, what never does, and that they stay what they are."""

import dataclasses
import itertools
import os
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import shipped
from hypothesis import given
from hypothesis import strategies as st

from vbuild import digest
from vbuild.check import into
from vbuild.compose import load
from vbuild.config import checked
from vbuild.digest import Recipe
from vbuild.errors import UsageError
from vbuild.media.options import ENCODERS
from vbuild.plan.order import arrange
from vbuild.recipes import is_param, recipe
from vbuild.split.content import Content
from vbuild.split.fixed_stride import FixedStride
from vbuild.stage import Stage, Windows, knob, wiring
from vbuild.stages.frames import Frames
from vbuild.stages.motion import Motion
from vbuild.stages.preview import Preview
from vbuild.stages.sheet import Sheet
from vbuild.stages.transcode import Transcode

GOLDEN_RECIPES = [
    (Recipe("motion", 1, {}, {}, {}), "41150900f8b74747c62e194b3956c823"),
    (Recipe("motion", 1, {"fps": 4.0}, {"passes": 1}, {}), "6886394f94295e80dc7d8683b5e06bef"),
    (Recipe("motion", 2, {"fps": 4.0}, {"passes": 1}, {}), "5d5816a098b54af88e0bc898802827cf"),
    (
        Recipe("transcode", 1, {"crf": 28, "options": {"g": "48"}}, {"encode": 1, "passes": 1}, {}),
        "c923aa7f368f595a53b9a7ec12ce71cd",
    ),
    (
        Recipe("mypkg.mine.Mine", 1, {"name": "é", "on": True, "none": None, "sizes": [1, 2.5]}, {}, {}),
        "cdc2b90fe1b940f5784d0cbf955d989b",
    ),
    (
        Recipe("caption", 3, {"prompt": "Say it.\n"}, {"qwen": 2}, {"weights": "0123456789abcdef" * 2}),
        "c983232f8984c15d0bdef4b50bcb8c35",
    ),
]
GOLDEN_CLIPS = [
    ((0, 0, 90_000, 1, 90_000), "f3205112954bd83f6f44a81a1f0632ff"),
    ((3, -512, 1 << 40, 1001, 30_000), "8b6647803889d205c7050aad729115f2"),
]
GOLDEN_INPUTS = [
    (("footage",), "8b41626db37560edf4603d7a92be2ad5"),
    (("quality.sharpness", ".step"), "9eb851d749ccc41508496fcc0e643b6f"),
    (("footage", "motion.mean", "."), "de5a744d07cc84702e617227a0a81fd4"),
]

CLASSES = shipped.classes()
EACH = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.title())


@pytest.mark.parametrize(("made", "golden"), GOLDEN_RECIPES)
def test_golden_recipes(made, golden):
    """The key of a recipe is the same for ever under one format version."""
    assert made.id == golden


@pytest.mark.parametrize(("span", "golden"), GOLDEN_CLIPS)
def test_golden_clips(span, golden):
    """The id of a clip is the same for ever."""
    stream, start, end, *base = span
    video = np.frombuffer(bytes(range(16, 32)), "V16")
    ids = digest.clip_ids(video, np.array([stream]), np.array([start]), np.array([end]), np.array([base]))
    assert ids[0].item().hex() == golden


@pytest.mark.parametrize(("names", "golden"), GOLDEN_INPUTS)
def test_golden_inputs(names, golden):
    """The digest of an input is the same for ever."""
    columns = [np.frombuffer(bytes([n] * 16), "V16") for n in range(len(names))]
    assert digest.inputs(names, columns)[0].item().hex() == golden


# what changes a recipe


@EACH
def test_every_parameter_changes_the_recipe(cls):
    """Another value of any parameter is another recipe, and no two of them are one."""
    found = shipped.others(cls)
    assert [name for name, (_, other) in found.items() if other is None] == [], "teach tests/shipped.py a value"
    assert all(recipe(base).id != recipe(other).id for base, other in found.values())
    changed = [recipe(other).params for _, other in found.values()]
    assert all(name in params for name, params in zip(found, changed, strict=True))


@EACH
def test_versions_change_the_recipe(cls):
    """A raised version of the stage, of code that it uses, or another model is another recipe."""
    now = recipe(shipped.made(cls))
    changes = [{"version": now.version + 1}, {"models": {**now.models, "weights": "0" * 40}}]
    changes += [{"uses": {**now.uses, name: number + 1}} for name, number in now.uses.items()]
    assert len({now.id, *(dataclasses.replace(now, **change).id for change in changes)}) == len(changes) + 1


# what does not

SAME = [
    (Transcode, {}, [{"crf": 23}, {"preset": "medium", "crf": 23}, {"options": {"crf": "23", "preset": "medium"}}]),
    (Transcode, {"crf": 28}, [{"options": {"crf": "28"}}, {"crf": 28, "preset": "medium"}]),
    (Transcode, {"preset": "fast"}, [{"options": {"preset": "fast"}, "crf": 23}]),
    (Transcode, {"bitrate": "4M"}, [{"bitrate": "4000k"}, {"bitrate": "4000000"}, {"options": {"b": "4.0M"}}]),
    (Transcode, {"codec": "libvpx-vp9"}, [{"codec": "libvpx-vp9", "crf": 31, "options": {"cpu-used": "4", "b": "0"}}]),
    (Transcode, {"codec": "libopenh264"}, [
        {"codec": "libopenh264", "bitrate": "4M"},
        {"codec": "libopenh264", "like": "cosmos"},
        {"codec": "libopenh264", "like": "curator", "bitrate": "4M"},
    ]),
    (Transcode, {"codec": "libvpx-vp9", "like": "curator"}, [
        {"codec": "libvpx-vp9", "options": {"tile-columns": "2"}},
        {"codec": "libvpx-vp9", "crf": 31, "options": {"tile-columns": "2", "row-mt": "1"}},
    ]),
    (FixedStride, {}, [{"stride": 10.0}, {"length": 10.0}]),
    (FixedStride, {"length": 4.0}, [{"length": 4.0, "stride": 4.0}]),
    (Preview, {"windows": Windows(frames=None)}, [{"windows": Windows(frames=None, remainder=7)}]),
    (Preview, {"windows": Windows(frames=64)}, [{"windows": Windows(frames=64, remainder=r)} for r in (64, 100, 900)]),
    (Preview, {"windows": Windows(remainder=256)}, [{"windows": Windows(remainder=999)}]),
]  # fmt: skip
"""A stage, its parameters, and others that make it do the same."""


@pytest.mark.parametrize(("cls", "plain", "spellings"), SAME)
def test_a_recipe_is_of_the_meaning_not_of_the_spelling(cls, plain, spellings):
    """What says a default, or the same in other words, is one recipe, with the fewest parameters."""
    first = recipe(cls(**plain))
    assert {recipe(cls(**other)).id for other in spellings} == {first.id}
    assert first.params.keys() <= plain.keys() | {"options"}


def test_encoders_are_told_the_same_under_one_recipe():
    """Of every codec and many ways to write its options: one recipe, one set of options, and none for two."""
    told = {}
    for codec, like, crf, preset, bitrate, more in itertools.product(
        sorted(ENCODERS), (None, "curator", "cosmos"), (None, 23, 31, 40), (None, "medium", "4", "p4"),
        (None, "4M", "4000k", "input"), ({}, {"b": "4M"}, {"b": "0"}, {"crf": "31"}, {"tune": "hq"}, {"cq": "21"}),
    ):  # fmt: skip
        try:
            made = Transcode(codec=codec, like=like, crf=crf, preset=preset, bitrate=bitrate, options=more)
        except UsageError:
            continue
        options = codec, tuple(sorted(made._options(None).items()))
        assert told.setdefault(recipe(made).id, options) == options
    assert len(told) > 50
    assert len(set(told.values())) == len(told)


REFUSED = [
    (Transcode, {"crf": 23, "bitrate": "1M"}, "crf=23: bitrate=1M"),
    (Transcode, {"crf": 23, "options": {"crf": "20"}}, "crf=23: options has crf=20"),
    (Transcode, {"bitrate": "1M", "options": {"b": "2M"}}, "bitrate=1M: options has b=2M"),
    (Transcode, {"bitrate": "1M", "options": {"crf": "20"}}, "bitrate=1M: options has crf=20"),
    (Transcode, {"preset": "fast", "options": {"preset": "slow"}}, "preset=fast: options has preset=slow"),
    (Transcode, {"codec": "libvpx-vp9", "preset": "medium"}, "preset=medium: libvpx-vp9 takes"),
    (Transcode, {"codec": "copy", "crf": 0}, "crf=0: a copy is not encoded"),
    (Transcode, {"codec": "copy", "fps": 24.0}, "fps=24.0: a copy is not encoded"),
    (Transcode, {"codec": "copy", "size": (64, 48)}, r"size=\(64, 48\): a copy is not encoded"),
    (Transcode, {"size": (64, 48), "short_side": 48}, "size=64x48: short_side says it too"),
    (Transcode, {"fit": "pad"}, "fit=pad: it needs a size"),
    (Transcode, {"upscale": True}, "upscale=true: it needs what to enlarge to"),
    (Transcode, {"repeat": True}, "repeat=true: it fills up a rate"),
    (Frames, {"format": "png", "quality": 50}, "quality=50: format=png"),
    (Sheet, {"format": "png", "quality": 50}, "quality=50: format=png"),
    (Content, {"max": None, "max_mode": "truncate"}, "max_mode=truncate: max=null"),
    (Motion, {"by": "vectors", "patch": 32}, "patch=32: it is flow's"),
]


@pytest.mark.parametrize(("cls", "values", "said"), REFUSED)
def test_parameters_that_cannot_both_hold_are_refused(cls, values, said):
    """With both keys named; none is dropped without a word."""
    with pytest.raises(UsageError, match=f"^{said}"):
        cls(**values)


@EACH
def test_no_knob_and_no_wiring_changes_the_recipe(cls, tmp_path):
    """Whatever a knob, `of`, `clips` and `at` are, and wherever a file of one content lies, the recipe is the same."""
    for f in dataclasses.fields(cls):
        if not is_param(f) and not f.metadata.get("weights"):  # tests/engine/test_identity.py has those
            now = shipped.made(cls, **shipped.WITH.get((cls.title(), f.name), {}))
            moved = dataclasses.replace(now)
            value = shutil.copy(now.file, tmp_path) if f.name == "file" else object()
            object.__setattr__(moved, f.name, value)
            assert recipe(moved).id == recipe(now).id, f.name


def test_the_name_of_an_instance_is_in_no_key():
    """The same stage under two names has one recipe."""
    plain = {"_target_": "vbuild.stages.motion.Motion"}
    order = arrange(_config({"a": plain, "b": {**plain, "batch": 3, "clips": "all"}}))
    first, second = order.clip_stages
    assert first.name != second.name
    assert first.recipe.id == second.recipe.id


def _config(stages, **more):
    split = {"_target_": "vbuild.split.fixed_stride.FixedStride"}
    return checked({"source": {"path": "x"}, "split": split, "stages": stages, **more}, declared="d")


def _ids(config):
    return {name: recipe(stage).id for name, stage in config.by_path().items()}


OVERRIDES = (
    "+dataset=folder",
    "source.path=/nowhere",
    "stages.transcode.crf=28",
    "stages.motion.fps=4",
    "split.length=5",
)


def test_the_order_of_overrides_changes_no_key():
    """What is typed first and what last is the same configuration."""
    orders = list(itertools.permutations(OVERRIDES))[::17]
    found = [_ids(load(order)) for order in orders]
    assert len(found) > 5
    assert all(ids == found[0] for ids in found)


@given(st.permutations(["_target_", "crf", "options", "sound"]), st.permutations(["g", "tune", "bf"]))
def test_the_order_of_keys_changes_no_key(keys, options):
    """A file whose keys are written in another order is the same configuration."""
    values = {
        "_target_": "vbuild.stages.transcode.Transcode",
        "crf": 28,
        "options": dict.fromkeys(options, "1"),
        "sound": False,
    }
    found = recipe(_config({"t": {key: values[key] for key in keys}}).stages["t"])
    assert found.id == TRANSCODE.id
    assert Recipe.from_json(found.to_json()).id == found.id


TRANSCODE = recipe(
    _config(
        {
            "t": {
                "_target_": "vbuild.stages.transcode.Transcode",
                "crf": 28,
                "options": {"bf": "1", "g": "1", "tune": "1"},
                "sound": False,
            }
        }
    ).stages["t"]
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample(Stage):
    """A stage with a parameter of each type."""

    version: ClassVar[int] = 1
    phase: ClassVar = "measure"
    writes: ClassVar[Mapping[str, str]] = {"": "int64"}

    rate: float = 2.0
    count: int = 2
    word: str = "é"
    words: tuple[str, ...] = ("a",)
    options: Mapping[str, str] = dataclasses.field(default_factory=dict)
    pace: int = knob(1)
    place: str = wiring("")


@given(st.integers(-(10**9), 10**9))
def test_a_number_has_one_key_however_it_is_typed(n):
    """8, 8.0 and "8" are one float through the schema, and one int."""
    for name in ("rate", "count"):
        assert len({recipe(into(Sample, {name: v}, "")).id for v in (n, float(n), str(n), f"{n}.0")}) == 1


@given(st.text())
def test_a_text_has_one_key_in_every_form_of_unicode(text):
    """Composed or not, in a value, in a list, or in a mapping's key and value."""
    a, b = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    for name, values in (("word", (a, b)), ("words", ((a,), (b,))), ("options", ({a: a}, {b: b}))):
        first, second = (recipe(Sample(**{name: value})) for value in values)
        assert first.id == second.id
        assert first.params == second.params


def test_a_default_in_another_form_is_the_default():
    """A text that equals the default but for its form of Unicode is left out, too."""
    assert recipe(Sample(word="e\u0301")).params == {}


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "rate": st.floats(allow_nan=False),
            "count": st.integers(),
            "word": st.text(),
            "words": st.lists(st.text(), max_size=3).map(tuple),
        },
    )
)
def test_a_parameter_added_with_a_default_keeps_old_keys(values):
    """Every recipe of a stage is what it was before the stage had one parameter more."""
    before, after = (
        dataclasses.make_dataclass(
            "Grown", more, bases=(Sample,), frozen=True, kw_only=True, namespace={"__module__": "mypkg.grown"}
        )
        for more in ((), [("extra", int, 5), ("mode", str | None, None)])
    )
    old, new = recipe(before(**values)), recipe(after(**values))
    assert old.id == new.id
    assert recipe(after(**values, extra=6)).id != old.id


HASHED = "import sys; sys.path.insert(0, sys.argv[1]); import shipped; print(*shipped.all_recipes())"


def test_the_seed_of_hashes_is_in_no_key():
    """Two processes with other orders of sets and hashes make the keys that this one makes."""
    for seed in ("1", "77"):
        done = subprocess.run(
            [sys.executable, "-c", HASHED, str(Path(__file__).parent)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == shipped.all_recipes()

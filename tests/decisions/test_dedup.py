"""The declaration of a dedup."""

import pytest

from vbuild.config import checked
from vbuild.decisions.decision import Decision
from vbuild.decisions.dedup import Dedup
from vbuild.errors import UsageError
from vbuild.stage import Stage

SPLIT = {"_target_": "vbuild.split.fixed_stride.FixedStride"}


def configured(dedup, split=SPLIT):
    embed = {"_target_": "vbuild.stages.perceptual.Perceptual"}
    return checked({"source": {"path": "x"}, "split": split, "stages": {"e": embed, "d": dedup}}, declared="d")


def test_it_is_no_stage():
    """It has no version and writes nothing, and stands among the stages of a dataset none the less."""
    assert not issubclass(Dedup, Stage)
    assert not any(hasattr(Dedup, name) for name in ("version", "writes", "run", "batch"))
    config = configured({"_target_": "vbuild.decisions.dedup.Dedup", "of": "e", "at": "measure"})
    assert config.under(Decision) == {"d": Dedup(of="e", at="measure")}
    assert list(config.by_path()) == ["split", "stages.e"]


@pytest.mark.parametrize("more", [{}, {"clips": "kept", "at": None}])
def test_where_it_was_is_understood(more):
    """As datasets of one's own name it, and as former builds recorded it, with a key that meant nothing."""
    old = {"_target_": "vbuild.stages.dedup.Dedup", "of": "e", "eps": 0.1, **more}
    assert configured(old).stages["d"] == Dedup(of="e", eps=0.1)


@pytest.mark.parametrize("key", ["version", "batch", "clips"])
def test_it_has_no_key_of_a_stage(key):
    """What would mean nothing is refused."""
    with pytest.raises(UsageError, match=rf"^stages\.d\.{key}: there is no such key"):
        configured({"_target_": "vbuild.decisions.dedup.Dedup", "of": "e", key: 1})


def test_it_splits_nothing():
    """A decision where a splitter belongs is refused."""
    dedup = {"_target_": "vbuild.decisions.dedup.Dedup", "of": "e"}
    with pytest.raises(UsageError, match=r"^split=Dedup: it is a decision; name a splitter"):
        configured(dedup, dedup)


@pytest.mark.parametrize(
    ("params", "name"), [({"eps": 1.0}, "eps"), ({"eps": -0.1}, "eps"), ({"reach": 0.01}, "reach")]
)
def test_distances_that_cannot_be_are_refused(params, name):
    """An eps outside [0, 1) and a reach below eps are refused by name."""
    with pytest.raises(UsageError, match=rf"^{name}="):
        Dedup(**params)


def test_reach_may_equal_eps():
    """The widest eps that may be tried is reach itself."""
    assert Dedup(eps=0.05, reach=0.05).reach == 0.05

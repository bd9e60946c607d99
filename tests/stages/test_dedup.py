"""The declaration of a dedup."""

import pytest

from vbuild.errors import UsageError
from vbuild.stage import recipe
from vbuild.stages.dedup import Dedup


def test_its_fields_are_decisions():
    """Nothing that is said of a dedup enters a recipe."""
    assert recipe(Dedup(of="embed", eps=0.3, reach=0.4, keep="a desc", rule="dominance")) == recipe(Dedup())


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

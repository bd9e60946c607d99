"""What a decision did is told in a few words."""

import pytest

from vbuild.cli.summary import _decided
from vbuild.report import Decided


@pytest.mark.parametrize(
    ("decided", "said"),
    [
        (Decided("d", 3), "dropped 3"),
        (Decided("d", 0, 5), "dropped 0 (of 5 not known yet)"),
        (Decided("d", places={"val": 1, "train": 18, "test": 1}), "train: 18, test: 1, val: 1"),
        (Decided("d", places={str(n): n + 2 for n in range(8)}), "8 values, of 2 to 9 clips each"),
        (Decided("d", places={}), "not known yet"),
    ],
)
def test_what_was_dropped_or_where_clips_came(decided, said):
    """Places one by one where they are few, the fullest first."""
    assert _decided(decided, planned=False) == said


def test_a_plan_says_what_a_dedup_would_compare():
    """A build has compared it."""
    decided = Decided("d", 0, 5, new=1, known=7)
    assert (
        _decided(decided, planned=True) == "dropped 0 (of 5 not known yet), after comparing 1 new vector with 7 known"
    )
    assert _decided(decided, planned=False) == "dropped 0 (of 5 not known yet)"
    decided = Decided("d", new=2, hashes=True)
    assert _decided(decided, planned=True) == "dropped 0, after comparing 2 new fingerprints with 0 known"

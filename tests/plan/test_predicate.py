"""Predicates are SQL over one clip's columns; what they read is known, and what is no condition is refused."""

import numpy as np
import pyarrow as pa
import pytest

from vbuild.errors import UsageError
from vbuild.plan.predicate import Predicate, columns_read, ordering_columns, ranks, verdicts

TYPES = {
    "clip_id": "string",
    "tone": "float32",
    "step": "int64",
    "word": "caption",
    "point": "vector[2]",
    "spans": "list[int64]",
    "still": "bool",
    "order": "int64",
}


@pytest.mark.parametrize(
    ("sql", "reads"),
    [
        ("tone > 0.5", {"tone"}),
        ("TONE > Step", {"tone", "step"}),
        ("clips.tone > 0", {"tone"}),
        ("still", {"still"}),
        ("not still and word like '%tone%'", {"still", "word"}),
        ("point[1] > 0 and len(spans) = 2", {"point", "spans"}),
        ("case when step > 1 then tone else step end > 3", {"tone", "step"}),
        ('"order" in (1, 2)', {"order"}),
        ("tone > 0.5 -- and step > 2", {"tone"}),
        ("tone is null", {"tone"}),
        ("true", set()),
        ("null", set()),
        ("hash(clip_id) % 2 = 0", {"clip_id"}),
    ],
)
def test_what_a_condition_reads(sql, reads):
    """Every column that it names, wherever it stands, by its own name."""
    assert columns_read("w", sql, TYPES) == reads


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("tune > 1", r"where\.w='tune > 1': no stage writes the column 'tune'.*did you mean.*tone"),
        ("tone >", "is no SQL"),
        ("tone", "is float, not a condition"),
        ("word", "is varchar, not a condition"),
        ("true), (false", "is no SQL: one expression is wanted"),
        ("true; drop table clips", "is no SQL"),
        ("true) from clips; select (1", "is no SQL"),
        ("true) union select (false", "is no SQL"),
        ("true) from clips where (tone > 1", "is no SQL"),
        ("step in (select step from clips)", "a subquery has no place"),
        ("exists (select 1)", "a subquery has no place"),
        ("tone > avg(tone)", "where.w"),
        ("tone > avg(tone) over ()", "where.w"),
        ("random() < 0.5", r"random\(\) changes from build to build"),
        ("RANDOM() < 0.5", "changes from build to build"),
        ("now() > timestamp '2020-01-01'", "changes from build to build"),
        ("word > 3 and point", "where.w"),
        ("nothing(tone)", "where.w"),
    ],
)
def test_what_is_no_condition_on_one_clip_is_refused(sql, said):
    """By the predicate's name, before anything runs."""
    with pytest.raises(UsageError, match=said):
        columns_read("w", sql, TYPES)


@pytest.mark.parametrize(
    ("keep", "reads"),
    [("tone desc", {"tone"}), ("step * tone desc, word", {"step", "tone", "word"}), ("", set()), ("  ", set())],
)
def test_what_an_order_reads(keep, reads):
    """Every column that it names."""
    assert ordering_columns("dedup", keep, TYPES) == reads


@pytest.mark.parametrize("keep", ["tone dsc", "tone) , (step", "random()", "tune", "tone; step"])
def test_what_is_no_order_is_refused(keep):
    """By the dedup's key."""
    with pytest.raises(UsageError, match=r"stages\.dedup\.keep="):
        ordering_columns("dedup", keep, TYPES)


CLIPS = pa.table(
    {
        "clip_id": ["c", "a", "b", "d"],
        "tone": pa.array([0.5, None, 2.0, 0.5], pa.float32()),
        "step": [1, 2, 3, 4],
    }
)


def test_conditions_are_true_false_or_null():
    """1, 0 and -1, of each predicate on each clip, in the clips' order."""
    said = [Predicate("a", "tone > 1", frozenset()), Predicate("b", "step > 2 -- no", frozenset())]
    assert verdicts(said, CLIPS).tolist() == [[0, -1, 1, 0], [0, 0, 1, 1]]


def test_conditions_that_read_nothing_hold_for_all():
    """A constant is asked of every clip too."""
    assert verdicts([Predicate("a", "true", frozenset()), Predicate("b", "null", frozenset())], CLIPS).tolist() == [
        [1, 1, 1, 1],
        [-1, -1, -1, -1],
    ]


def test_a_condition_that_breaks_on_values_is_said():
    """What only the values show is a usage error too."""
    with pytest.raises(UsageError, match="where: "):
        verdicts([Predicate("a", "cast(clip_id as integer) > 1", frozenset())], CLIPS)


@pytest.mark.parametrize(
    ("keep", "best_first"),
    [
        ("", "abcd"),
        ("tone", "cdba"),
        ("tone desc", "bcda"),
        ("tone desc nulls first", "abcd"),
        ("step desc", "dbac"),
        ("tone desc, step desc -- said", "bdca"),
    ],
)
def test_ranks_follow_the_order_then_the_id(keep, best_first):
    """Nulls come last either way; ties go by clip_id."""
    rank = ranks(keep, CLIPS)
    assert "".join(CLIPS["clip_id"][i].as_py() for i in np.argsort(rank)) == best_first
    assert sorted(rank.tolist()) == [0, 1, 2, 3]


def test_no_clips_have_no_ranks():
    """An empty table is a table."""
    assert ranks("tone desc", CLIPS.slice(0, 0)).tolist() == []

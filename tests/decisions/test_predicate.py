"""Predicates are SQL over one clip's columns; what they read is known, and what is no condition is refused."""

import numpy as np
import pyarrow as pa
import pytest

from vbuild.decisions import predicate
from vbuild.decisions.predicate import Predicate, columns_read, ordering_columns, ranks, verdicts
from vbuild.errors import UsageError
from vbuild.fields import kind_from

WRITTEN = {
    "clip_id": "string",
    "tone": "float32",
    "step": "int64",
    "word": "caption",
    "point": "vector[2]",
    "spans": "list[int64]",
    "still": "bool",
    "order": "int64",
}

TYPES = {name: kind_from(kind).columns()[""] for name, kind in WRITTEN.items()}


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
        ("try_cast(word as integer) > 1", {"word"}),
        ("age(make_timestamp(step), timestamp '2020-01-01') > interval 1 day", {"step"}),
        ("word collate nocase = 'a'", {"word"}),
        ("len(list_filter(spans, lambda x: x > 1)) > 0", {"spans"}),
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
        ("age(make_timestamp(step)) > interval 1 day", r"age\(\) changes from build to build"),
        ("ago(interval 1 day) > make_timestamp(step)", r"ago\(\) changes from build to build"),
        ("current_date > date '2020-01-01'", "current_date changes from build to build"),
        ("today() > date '2020-01-01'", "changes from build to build"),
        ("current_user = 'x'", "changes from build to build"),
        ("current_setting('threads') = '1'", "changes from build to build"),
        ("getenv('HOME') = 'x'", "changes from build to build"),
        ("version() = 'x'", "changes from build to build"),
        ("uuid() is null", "changes from build to build"),
        ("nextval('s') > 1", "changes from build to build"),
        ("clip_id::timestamptz is null", "a time with a zone depends on where it is run"),
        ("timestamp with time zone '2020-01-01' is null", "a time with a zone depends on where it is run"),
        ("to_timestamp(step) is null", "a time with a zone depends on where it is run"),
        ("make_timestamp(step) at time zone 'UTC' is null", "a time with a zone depends on where it is run"),
        ("word collate de > 'a'", "collate de goes by a language"),
        ("row_number() over (order by tone) < 2", r"row_number\(\) looks at other clips"),
        ("#1 is null", "names a column by its position"),
        ("columns('t.*') > 0", "names all columns"),
        ("$1 > 0", "a parameter of which there is no value"),
        ("cast(clip_id as integer) > 1", "Conversion Error.*try_cast gives null"),
        ("word::int > 1", "Conversion Error.*try_cast gives null"),
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


NO_ORDERS = [
    *("tone dsc", "tone) , (step", "random()", "tune", "tone; step"),
    *("99", "1 desc", "'x'", "1 + 1", "null", "tone, 2", "#1", "all", "tone limit 1", "tone offset 2"),
    *("tone rows between 1 preceding and current row", "row_number() over (order by tone)", "avg(tone)", "count(*)"),
    *("cast(clip_id as int)", "tone, word collate de", "age(make_timestamp(step))", "(select max(tone) from clips)"),
]


@pytest.mark.parametrize("keep", NO_ORDERS)
def test_what_is_no_order_is_refused(keep):
    """By the dedup's key, before anything runs: constants, positions, and what the very statement cannot do."""
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


def test_an_order_that_breaks_on_values_is_said():
    """What only the values show is a usage error too."""
    with pytest.raises(UsageError, match="keep="):
        ranks("cast(clip_id as integer)", CLIPS)


def test_no_clips_have_no_ranks():
    """An empty table is a table."""
    assert ranks("tone desc", CLIPS.slice(0, 0)).tolist() == []


def test_operators_are_no_moods():
    """Newer databases call those so that take times with a zone."""
    assert all(name.isidentifier() for name in predicate._moods())

"""What other conditions would keep of a dataset that was built, told by its tables: nothing is run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vbuild.check import hint
from vbuild.decisions.predicate import Predicate, bared, columns_read, ranks, verdicts
from vbuild.errors import DatasetError, UsageError
from vbuild.fields import Scalar, kind_from

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vbuild.dataset.read import Dataset
    from vbuild.fields import Kind


@dataclass(frozen=True)
class Change:
    """What another set of conditions does to a dataset."""

    before: int
    """Clips that were kept."""
    kept: int
    """Clips that would be."""
    dropped: dict[str, int]
    """Decision → clips that it would drop: conditions in the order of what they read, then dedups."""
    gained: list[str]
    """Clips that were dropped and would be kept."""
    lost: list[str]
    unknown: dict[str, int]
    """Condition → clips of which it cannot be told: they were dropped before what it reads was measured."""
    open: list[str]
    """Those clips."""


def what_if(dataset: Dataset, overrides: Mapping[str, str | float | None]) -> Change:
    """What would be kept if some keys had other values: `where.NAME` (SQL; None takes it away), and `stages.DEDUP.eps`,
    or `.overlap`.

    A clip is judged by the values that its row has; where one is missing because the clip was dropped before it was
    measured, it would have to be measured first, and is counted as unknown. A dedup takes the pairs that the last build
    stored, all within its `eps` or `overlap`, so that a stricter one can be told and a laxer one cannot.
    Raises DatasetError, UsageError for a key that is none of these, and for a condition that cannot be asked.
    """
    said = dataset.build["config"]
    where: dict[str, str] = dict(said["where"])
    recipes = [*dataset.build["recipes"]]
    dedups = {n: dict(s) for n, s in said["stages"].items() if n not in recipes and "eps" in s}
    for key, value in overrides.items():
        _set(key, value, where, dedups)
    types = _types(dataset)
    where = {name: bared(name, sql, dataset.columns()) for name, sql in where.items()}
    predicates = [Predicate(name, sql, columns_read(name, sql, types)) for name, sql in where.items()]
    predicates.sort(key=lambda p: max(map(partial(_place, recipes), p.reads), default=-1))
    return _Judging(dataset, types, dedups).change(predicates)


def _place(recipes: Sequence[str], column: str) -> int:
    """Where the stage that writes a column stands among those of a build; before all for what every clip has."""
    owners = [n for n, name in enumerate(recipes) if column == name or column.startswith(f"{name}_")]
    return max(owners, key=lambda n: len(recipes[n]), default=-1)


def _set(key: str, value: Any, where: dict[str, str], dedups: Mapping[str, dict[str, Any]]) -> None:
    kind, _, name = key.partition(".")
    if kind == "where" and name:
        if value is None:
            where.pop(name, None)
        else:
            where[name] = str(value)
        return
    dedup, _, field = name.partition(".")
    if kind != "stages" or field not in ("eps", "overlap"):
        raise UsageError(
            f"{key}: only conditions (where.NAME) and a dedup's eps or overlap (stages.NAME.eps) can be tried so"
        )
    if dedup not in dedups:
        raise UsageError(f"{key}: there is no dedup {dedup!r}{hint(dedup, dedups)}")
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        what = "a cosine distance" if field == "eps" else "a share"
        raise UsageError(f"{key}={value}: {what} is expected, such as {0.02 if field == 'eps' else 0.5}") from error
    built = dedups[dedup].get(field, number)
    if not (0 <= number <= built if field == "eps" else built <= number <= 1):
        side = "up to" if field == "eps" else "from"
        raise UsageError(
            f"{key}={number:g}: the build knows pairs {side} {field}={built:g}; vbuild plan tells more, or build"
        )
    dedups[dedup][field] = number


def _types(dataset: Dataset) -> dict[str, Kind]:
    """Column → type, of what conditions may name: all of clips, and of videos what clips have not."""
    types: dict[str, Kind] = {}
    for schema in (dataset.schema, dataset.videos_schema):
        for f in schema:
            try:
                types.setdefault(f.name, kind_from(f.type))
            except UsageError:
                if str(f.type) in ("date32[day]", "timestamp[s]"):
                    types.setdefault(f.name, Scalar("date32" if "date" in str(f.type) else "timestamp[s]"))
    return types


class _Judging:
    """The clips of a dataset, judged anew."""

    def __init__(self, dataset: Dataset, types: Mapping[str, Kind], dedups: Mapping[str, Mapping[str, Any]]) -> None:
        self.dataset, self.types, self.dedups = dataset, types, dedups
        self.rows = dataset.to_arrow(["clip_id", "kept", "dropped_by", "duplicate_of"], everything=True)
        self.kept = np.ones(len(self.rows), bool)
        self.unknown: dict[str, int] = {}
        self.dropped: dict[str, int] = {}
        self.before = self.rows["kept"].to_numpy(zero_copy_only=False)
        self.by = [None if by is None else by.partition(":")[0] for by in self.rows["dropped_by"].to_pylist()]
        self.sure = np.ones(len(self.rows), bool)

    def change(self, predicates: Sequence[Predicate]) -> Change:
        """What all of them come to: conditions before dedups, as far as their order can be told from the tables."""
        early, late = self._placed(predicates)
        self._judge(early)
        for place, (name, rule) in enumerate(self.dedups.items()):
            behind = {*list(self.dedups)[place:], *(p.name for p in late)}
            self._deduplicate(name, rule, behind)
        self._judge(late)
        ids = self.rows["clip_id"]
        gained = ids.filter(pa.array(self.kept & self.sure & ~self.before)).to_pylist()
        lost = ids.filter(pa.array(~self.kept & self.before)).to_pylist()
        now = int((self.kept & self.sure).sum())
        open_ = ids.filter(pa.array(self.kept & ~self.sure)).to_pylist()
        return Change(int(self.before.sum()), now, self.dropped, gained, lost, self.unknown, open_)

    def _placed(self, predicates: Sequence[Predicate]) -> tuple[list[Predicate], list[Predicate]]:
        """Conditions before the first dedup, and those behind: of what is only measured of the clips that it left."""
        if not self.dedups:
            return [*predicates], []
        dropped = pa.array([by in self.dedups for by in self.by])
        late = [p for p in predicates if set(self._is_null(p.reads).filter(dropped).to_pylist()) == {True}]
        return [p for p in predicates if p not in late], late

    def _is_null(self, columns: frozenset[str]) -> pa.Array:
        table = self._values(columns)
        found = pa.array(np.zeros(len(self.rows), bool))
        for name in columns:
            found = pc.or_(found, table[name].is_null().combine_chunks())
        return found

    def _values(self, columns: Iterable[str]) -> pa.Table:
        return self.dataset.to_arrow(sorted({"clip_id", *columns}), everything=True)

    def _judge(self, predicates: Sequence[Predicate]) -> None:
        if not predicates or not len(self.rows):
            return
        names = {column for p in predicates for column in p.reads}
        said = verdicts(predicates, self._values(names))
        for predicate, verdict in zip(predicates, said, strict=True):
            null = self._is_null(predicate.reads).to_numpy(zero_copy_only=False)
            # a value that is missing of a clip that was dropped may never have been measured
            untold = null & ~self.before & np.array([by != predicate.name for by in self.by])
            judged = self.kept & ~untold
            drop = judged & (verdict != 1)
            self.dropped[predicate.name] = int(drop.sum())
            if (count := int((self.kept & untold).sum())) > 0:
                self.unknown[predicate.name] = count
            self.sure &= ~(self.kept & untold)
            self.kept &= ~drop

    def _deduplicate(self, name: str, rule: Mapping[str, Any], behind: set[str]) -> None:
        """Who goes by the pairs that are known, which are those of the clips that came to it: kept, or dropped by what
        stands `behind` it or itself."""
        from vbuild.decisions.keepers import Edges, keepers
        from vbuild.near.kernel import threshold

        pairs = self.dataset.duplicates.search().where(f"dedup = '{name}'").limit(None).to_arrow()
        ids = self.rows["clip_id"].combine_chunks()
        a, b = (pc.index_in(pairs[side], value_set=ids).to_numpy() for side in ("clip_a", "clip_b"))
        similarity = pairs["similarity"].to_numpy()
        near = similarity >= threshold(1 - rule["overlap"] if self._by_overlap(rule) else rule["eps"])
        near &= self.kept[a] & self.kept[b]
        edges = Edges(np.minimum(a, b)[near], np.maximum(a, b)[near], similarity[near])
        verdict = keepers(self._ranks(rule["keep"]), edges, rule["rule"])
        self.dropped[name] = int((self.kept & ~verdict.kept).sum())
        untold = self.kept & ~self.before & np.array([by is not None and by not in behind for by in self.by])
        if untold.any():
            self.unknown[name] = int(untold.sum())
            self.sure &= ~untold
        self.kept &= verdict.kept

    def _by_overlap(self, rule: Mapping[str, Any]) -> bool:
        """Whether a dedup goes by hashes of frames, which are a list, and not by vectors."""
        of = rule.get("of")
        return of in self.dataset.schema.names and pa.types.is_list(self.dataset.schema.field(of).type)

    def _ranks(self, keep: str) -> np.ndarray:
        from vbuild.decisions.dedup import WORDS
        from vbuild.decisions.predicate import ordering_columns

        if keep in WORDS:
            raise DatasetError(f"{self.dataset.name}: who goes by keep={keep} is told by a build, not by its tables")
        try:
            wanted = ordering_columns("keep", keep, self.types)
        except UsageError as error:
            raise DatasetError(f"{self.dataset.name}: its order of keeping cannot be told ({error})") from error
        return ranks(keep, self._values(wanted))

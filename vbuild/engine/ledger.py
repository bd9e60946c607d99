"""Holds what workers left until there is enough of it to commit."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pyarrow as pa

from vbuild.digest import keys_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

    from vbuild.executor.work import Done
    from vbuild.store.actions import Results
    from vbuild.store.failures import Failed, Failures

ROWS = 50_000
"""A commit costs the same whatever its size: so many rows are worth one."""

SECONDS = 5.0
"""A kill loses no more than this much of the workers' time."""


class Ledger:
    """Results and failures on their way into the store. The build's process alone commits them."""

    def __init__(
        self, results: Mapping[str, Results], failures: Failures, *, retried: bool, partial: Set[str] = frozenset()
    ) -> None:
        """`retried`: whether what failed may have a result now. `partial`: recipes whose results may be made anew."""
        self.results, self.failures, self.retried, self.partial = results, failures, retried, partial
        self.tables: dict[str, list[pa.Table]] = {recipe: [] for recipe in results}
        self.failed: list[Failed] = []
        self.rows = 0
        self.since = time.monotonic()

    def take(self, done: Done) -> None:
        """Holds what a task left, and commits when there is enough."""
        if not self.rows and not self.failed:
            self.since = time.monotonic()
        for recipe, table in done.tables:
            self.tables[recipe].append(table)
            self.rows += len(table)
        self.failed += done.failures
        if self.rows >= ROWS or time.monotonic() - self.since >= SECONDS:
            self.commit()

    def commit(self) -> None:
        """Puts everything that is held into the store."""
        for recipe, tables in self.tables.items():
            if tables:
                table = pa.concat_tables(tables).combine_chunks()
                if recipe in self.partial:
                    self.results[recipe].delete(keys_of(table["key"]))  # of which parts had failed
                self.results[recipe].append(table)
                tables.clear()
                if self.retried:
                    self.failures.delete(recipe, keys_of(table["key"]))
        if self.failed:
            self.failures.append(self.failed)
            self.failed = []
        self.rows = 0

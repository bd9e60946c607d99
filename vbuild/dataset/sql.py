"""SQL of DuckDB over all tables of a dataset."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from vbuild.dataset.commit import BUILDS, DIGESTS
from vbuild.errors import DatasetError
from vbuild.store.blobs import blob_columns

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

    from vbuild.dataset.read import Dataset

KEPT = "kept"
"""The view of the clips that were."""

RAW = "_stored"
"""What is put behind a table's name for what lies on disk."""

READING = (["SELECT"], ["EXPLAIN"])
"""Statements that change nothing, by DuckDB's kind."""


def asked(dataset: Dataset, query: str) -> pa.Table:
    """What a query says. Raises DatasetError."""
    import duckdb

    with opened(dataset) as db:
        try:
            statements = db.extract_statements(query)
            if [statement.type.name.partition("_")[0] for statement in statements] not in READING:
                raise DatasetError(f"--sql {query!r}: one select is expected, for tables are only read here")
            table: pa.Table = db.sql(query).to_arrow_table()
        except duckdb.Error as error:
            raise DatasetError(f"--sql {query!r}: {_told(error)}") from error
    return table


@contextmanager
def opened(dataset: Dataset) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with a view of each table at the build's version, which is read as far as a query wants it."""
    import duckdb
    import lance

    with duckdb.connect(config={"python_enable_replacements": "false"}) as db:
        for name in [*dataset.build["tables"], BUILDS]:
            path = dataset.folder / f"{name}.lance"
            stored = lance.dataset(str(path), version=dataset.build["tables"].get(name))
            db.register(f"{name}{RAW}", stored)
            db.execute(f"create view {name} as {_view(dataset, name, stored.schema)}")
        db.execute(f"create view {KEPT} as select * from clips where kept")
        yield db


def _view(dataset: Dataset, name: str, schema: pa.Schema) -> str:
    """A table without bookkeeping, and with whole paths."""
    store = str(dataset.store).replace("'", "''")
    hidden = f" exclude ({DIGESTS})" if DIGESTS in schema.names else ""
    located = [
        f"list_transform({blob}, lambda x: '{store}/' || x) as {blob}"
        if pa.types.is_list(schema.field(blob).type)
        else f"'{store}/' || {blob} as {blob}"
        for blob in (blob_columns(schema) if name != BUILDS else ())
    ]
    replaced = f" replace ({', '.join(located)})" if located else ""
    return f'select *{hidden}{replaced} from "{name}{RAW}"'


def _told(error: Any) -> str:
    """What DuckDB says, in one line."""
    first, *rest = str(error).strip().splitlines()
    meant = next((line for line in rest if line.startswith(("Did you mean", "Candidate"))), "")
    return " ".join(re.sub(rf"(\w){RAW}\b", r"\1", f"{first} {meant}").split())

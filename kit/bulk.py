"""Many rows written in one statement, each with values of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

from django.db import connection
from django.db.models import Model, QuerySet

MOST_ROWS: Final = 500
"""In one statement."""

Columns = Mapping[str, Any]


M = TypeVar("M", bound=Model)


def locked(model: type[M], keys: Iterable[Any]) -> QuerySet[M]:
    """The rows that are there, locked until the commit in the order of their keys: two who write many of the same rows
    at once would else wait for each other."""
    rows = model._default_manager.select_for_update(no_key=True)
    return rows.filter(pk__in=list(keys)).order_by("pk")


def update_rows(model: type[Model], rows: Mapping[Any, Columns]) -> None:
    """`rows` by primary key; all of them name the same columns. One statement for every MOST_ROWS.

    Django's `bulk_update` makes a CASE over all rows of each column, which costs more than all the rest. Who may meet
    another writer of the same rows has them `locked` first.
    """
    names = next(iter(rows.values()), {})
    fields = [model._meta.get_field(name) for name in names]
    lots = iter(rows.items())
    while lot := list(islice(lots, _most_rows(len(fields) + 1))):
        _update(model, fields, lot)


def _most_rows(parameters_each: int) -> int:
    most = connection.features.max_query_params
    return min(MOST_ROWS, most // parameters_each) if most else MOST_ROWS


def _update(model: type[Model], fields: Sequence[Any], rows: Sequence[tuple[Any, Columns]]) -> None:
    key: Any = model._meta.pk
    written = [key, *fields]
    quoted = connection.ops.quote_name
    new = ", ".join(f"c{number}" for number in range(len(written)))
    values = ", ".join([f"({', '.join(['%s'] * len(written))})"] * len(rows))
    columns = ", ".join(f"{quoted(field.column)} = {_as(field, n)}" for n, field in enumerate(fields, start=1))
    table = quoted(model._meta.db_table)
    sql = (
        f"WITH fresh ({new}) AS (VALUES {values}) "  # noqa: S608  (names of our own columns, no values)
        f"UPDATE {table} SET {columns} FROM fresh WHERE {table}.{quoted(key.column)} = {_as(key, 0)}"
    )
    parameters = [
        field.get_db_prep_save(value, connection)
        for pk, each in rows
        for field, value in zip(written, (pk, *(each[field.name] for field in fields)), strict=True)
    ]
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def _as(field: Any, number: int) -> str:
    """SQLite's columns take what they are given; PostgreSQL wants the type of a bare value said."""
    if connection.vendor != "postgresql":
        return f"fresh.c{number}"
    return f"CAST(fresh.c{number} AS {field.cast_db_type(connection)})"

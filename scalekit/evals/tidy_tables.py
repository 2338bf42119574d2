"""Tables of benchmark results, tidy or wide: which column plays which part."""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import ColumnNotFoundError, InputError, did_you_mean
from scalekit.evals.conventions import is_proportion, known_direction
from scalekit.evals.logs import LogRows, split_run_name
from scalekit.files import uncompressed
from scalekit.names import read_with_names
from scalekit.notes import Note

ALIASES = {
    "recipe": ("recipe", "model", "system", "agent", "model_name", "run_name", "run"),
    "seed": ("seed", "run_seed", "random_seed", "training_seed", "replicate"),
    "step": ("step", "checkpoint", "_step", "global_step", "iteration"),
    "benchmark": ("benchmark", "task", "dataset", "task_name", "benchmark_id"),
    "metric": ("metric", "scorer", "metric_name"),
    "item": (
        "item",
        "doc_id",
        "item_id",
        "example_id",
        "question_id",
        "sample_id",
        "question",
        "id",
    ),
    "sample": ("sample", "repeat", "epoch", "attempt", "sample_index"),
    "cluster": ("cluster", "cluster_id", "group", "passage", "passage_id"),
    "stderr": ("stderr", "standard_error", "std_err"),
    "scale": ("scale", "params", "flops"),
    "value": ("value", "score", "result"),
}
NAMES = ("recipe", "benchmark", "metric", "item", "cluster")  # roles that are no numbers
TEXT, LINES = (".csv", ".tsv", ".txt"), (".jsonl", ".ndjson")
TABLES = (".csv", ".tsv", ".parquet", *LINES)
SEED_COLUMN = re.compile(r"seed[-_ ]?(\d+)", re.IGNORECASE)
KINDS = ("metric", "recipe", "seed")


def table_suffix(path: Path) -> str:
    """Return the suffix that says how a table is written; that of .csv.gz is .csv."""
    return uncompressed(path).suffix


def read_table(path: Path, roles: Mapping[str, str]) -> pd.DataFrame:
    """Return the table in a file; raises InputError where it is none that is read here."""
    suffix = table_suffix(path)

    def names_of(header: Sequence[str]) -> Collection[str]:
        found = find_roles(pd.DataFrame(columns=list(header)), str(path), roles)
        return {str(column) for role, column in found.items() if role in NAMES}

    if suffix in TEXT:
        return read_with_names(path, names_of)
    try:
        if suffix == ".parquet":
            return pd.read_parquet(path)
        if suffix in LINES:  # as written: pandas would make numbers and dates of text
            return pd.read_json(path, lines=True, dtype=False, encoding="utf-8-sig")
    except (ValueError, OSError, pd.errors.ParserError) as error:
        raise InputError(f"Cannot read {path} as a table: {error}.") from error
    raise InputError(
        f"Cannot tell what {path.name} is. Give a table (.csv .tsv .parquet .jsonl), an lm-eval "
        "results_*.json or samples_*.jsonl, or an Inspect log (.json, .eval)."
    )


def rows_of_table(
    table: pd.DataFrame, source: str, roles: Mapping[str, str], columns_are: str | None
) -> LogRows:
    """Return the rows of a tidy table, or of a wide one made long; what was not read is told."""
    if table.empty:
        raise InputError(f"{source}: the table has no rows.")
    if columns_are not in (None, *KINDS):
        raise InputError(f"columns_are must be one of {', '.join(KINDS)}; got {columns_are!r}.")
    repeated = table.columns[table.columns.duplicated()]
    if len(repeated):
        raise InputError(
            f"{source} has more than one column named '{repeated[0]}'. Rename all but one."
        )
    named = find_roles(table, source, roles)
    table = _with_answers_as_numbers(table, {named[role] for role in NAMES if role in named})
    rest = [c for c in table.columns if c not in named.values()]
    renamed = table.rename(columns={column: role for role, column in named.items()})
    if "value" in named:
        values = renamed[list(named)]
        if "metric" not in named and str(named["value"]).lower() not in ALIASES["value"]:
            values = values.assign(metric=str(named["value"]))
        return settle_run_names(LogRows(values, source, _unread(source, rest)))
    numeric = [c for c in rest if pd.api.types.is_numeric_dtype(table[c])]
    if not numeric:
        raise ColumnNotFoundError(
            f"{source}: found no column of values. Name it: --columns value=COLUMN (in Python "
            f"value='COLUMN'). {did_you_mean('value', map(str, table.columns))}"
        )
    kind, chosen = _wide(numeric, named, columns_are)
    listed = ", ".join(map(str, chosen[:8])) + (", ..." if len(chosen) > 8 else "")
    text = f"{source}: read as a wide table, one column per {kind}: {listed}."
    notes = [Note("wide-table", "info", text), *_unread(source, set(rest) - set(chosen))]
    long = renamed.melt(
        id_vars=[r for r in named if r != kind],
        value_vars=chosen,
        var_name=kind,
        value_name="value",
    )
    if kind == "seed":
        long["seed"] = long["seed"].astype(str).str.extract(r"(\d+)$")[0].astype(int)
    return settle_run_names(LogRows(long, source, notes))


def _wide(
    numeric: list[Any], named: Mapping[str, Any], columns_are: str | None
) -> tuple[str, list[Any]]:
    """Return what the columns of a wide table are, and which of them are read."""
    seeds = [c for c in numeric if SEED_COLUMN.fullmatch(str(c))]
    known = [c for c in numeric if is_proportion(str(c)) or known_direction(str(c))]
    if columns_are == "seed" or (columns_are is None and not known and len(seeds) > 1):
        return "seed", seeds or numeric
    kind = columns_are or ("metric" if known or "recipe" in named else "recipe")
    return kind, known if kind == "metric" and known else numeric


def _unread(source: str, columns: Collection[Hashable]) -> list[Note]:
    """Return a note of the columns that play no part."""
    if not columns:
        return []
    names = sorted(map(str, columns))
    listed = ", ".join(names[:8]) + (f", ... ({len(names)} in all)" if len(names) > 8 else "")
    text = f"{source}: not read: {listed}. Name a part with --columns role=COLUMN."
    return [Note("columns-not-read", "info", text)]


def _with_answers_as_numbers(table: pd.DataFrame, names: Collection[Hashable]) -> pd.DataFrame:
    """Return `table` with columns of true and false, some perhaps empty, as 1, 0 and NaN.

    `names` are the columns of names, which stay: a recipe may be called "True".
    """
    answers = {"true": 1.0, "false": 0.0}
    numbers: dict[Hashable, pd.Series] = {}
    for name, column in table.items():
        if name in names or pd.api.types.is_numeric_dtype(column):
            continue
        words = column.dropna().astype(str).str.strip().str.lower()
        if len(words) and words.isin(answers).all():
            numbers[name] = words.map(answers).astype(np.float64).reindex(table.index)
    return table.assign(**{str(name): column for name, column in numbers.items()})


def find_roles(table: pd.DataFrame, source: str, roles: Mapping[str, str]) -> dict[str, Any]:
    """Return the column of each role: those said, else those known by their usual names."""
    names = {str(c): c for c in table.columns}
    found: dict[str, Any] = {}
    for role, column in roles.items():
        if column not in names:
            raise ColumnNotFoundError(
                f"{source}: there is no column '{column}' for {role}. {did_you_mean(column, names)}"
            )
        found[role] = names[column]
    lowered = {re.sub(r"[\W_]+", "_", name.lower()): column for name, column in names.items()}
    lowered |= {name.lower(): column for name, column in names.items()}
    for role, aliases in ALIASES.items():
        taken: set[Hashable] = set(found.values())
        free = [lowered[a] for a in aliases if a in lowered and lowered[a] not in taken]
        if role not in found and free:
            found[role] = free[0]
    return found


def named_by_file(parts: list[LogRows], paths: Sequence[Path]) -> list[LogRows]:
    """Return the parts with their file's name as recipe where none of several names one."""
    stems = [uncompressed(path).stem for path in paths]
    if len(parts) < 2 or any("recipe" in part.rows for part in parts) or len({*stems}) < len(stems):
        return parts
    listed = ", ".join(stems[:8]) + (", ..." if len(stems) > 8 else "")
    text = f"No column names the recipe: each file is one, by its name: {listed}."
    note = Note("recipe-from-file", "info", text)
    return [
        replace(part.with_notes(note), rows=part.rows.assign(recipe=stem))
        for part, stem in zip(parts, stems, strict=True)
    ]


def settle_run_names(log: LogRows) -> LogRows:
    """Split recipe and seed out of run names such as "baseline-seed3" where no seed is given."""
    rows = log.rows
    if "recipe" not in rows or "seed" in rows:
        return log
    parts = {name: split_run_name(str(name)) for name in rows["recipe"].dropna().unique()}
    with_seed = [str(name) for name, part in parts.items() if part.seed is not None]
    without = [str(name) for name, part in parts.items() if part.seed is None]
    if not with_seed:
        return log
    if without:
        text = (
            f"'{with_seed[0]}' names a seed, '{without[0]}' does not: every name is a recipe of "
            "its own. Give the seed in all names, or in a column."
        )
        return log.with_notes(Note("seed-in-some-names", "warning", text))
    rows = rows.assign(
        seed=rows["recipe"].map({name: part.seed for name, part in parts.items()}),
        recipe=rows["recipe"].map({name: part.recipe for name, part in parts.items()}),
    )
    note = Note("seed-from-name", "info", "Seeds are taken from the run names.")
    return replace(log.with_notes(note), rows=rows)

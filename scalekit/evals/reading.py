"""Read benchmark results from whatever the harness left behind."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import ColumnNotFoundError, InputError, did_you_mean
from scalekit.evals.checking import assemble
from scalekit.evals.conventions import is_proportion, known_direction
from scalekit.evals.harness import is_lm_eval, read_lm_eval
from scalekit.evals.inspect_logs import is_inspect, read_inspect
from scalekit.evals.logs import MIXED, LogRows, split_run_name
from scalekit.evals.table import Evals
from scalekit.files import read_delimited
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
Source = str | Path | pd.DataFrame | Mapping[Any, Any] | Sequence[str | Path] | Evals


def read_evals(
    source: Source,
    *,
    chance: Mapping[str, float] | float | None = None,
    lower_is_better: Sequence[str] = (),
    higher_is_better: Sequence[str] = (),
    unit: str | None = None,
    filter_name: str | None = None,
    columns_are: str | None = None,
    columns: Mapping[str, str] | None = None,
    **roles: str,
) -> Evals:
    """Read benchmark results into one checked long table.

    `source` is a tidy or wide table (.csv .tsv .parquet .jsonl, or a DataFrame), an lm-eval or
    Inspect log, a folder of them, or a mapping from recipe, or (recipe, seed), to any of these;
    a mapping to arrays (items,), (seeds, items) or (seeds, items, steps) works too.

    `roles` say which column plays which part: recipe, seed, step, benchmark, metric, item,
    sample, cluster, stderr, scale, value; as keywords or in `columns` (for lm-eval, `cluster` names
    a field of `doc`; for Inspect, one of the sample's metadata). A wide table has one column per
    metric or per recipe; `columns_are="metric"|"recipe"` settles it. `chance` is the score of a
    guess per benchmark, `unit` "percent" or "fraction" for all accuracies, `filter_name` the
    lm-eval filter to keep.

    Raises InputError or ColumnNotFoundError, naming file, row and column, where the log cannot be
    read in one way; what was assumed, left out or missing is counted in the notes.

    >>> read_evals({"a": [[1, 0, 1], [1, 1, 1]], "b": [[0, 0, 1], [1, 0, 1]]}).frame.shape
    (12, 8)
    """
    if isinstance(source, Evals):
        return source
    roles = roles | dict(columns or {})
    unknown = set(roles) - set(ALIASES)
    if unknown:
        name = sorted(unknown)[0]
        raise ColumnNotFoundError(f"No role '{name}'. {did_you_mean(name, ALIASES)}")
    log = _rows_of(source, roles, filter_name, columns_are)
    given = dict.fromkeys(lower_is_better, -1) | dict.fromkeys(higher_is_better, 1)
    both = set(lower_is_better) & set(higher_is_better)
    if both:
        raise InputError(f"'{sorted(both)[0]}' is in lower_is_better and in higher_is_better.")
    for name in set(log.direction) - set(given):
        if log.direction[name] == MIXED:
            raise InputError(
                f"Mixed directions: '{name}' is better higher in one file and lower in another "
                f"({log.source}). Check the task versions, then say lower_is_better=['{name}'] or "
                f"higher_is_better=['{name}']."
            )
    chances = log.chance | dict(chance) if isinstance(chance, Mapping) else chance
    return assemble(
        log.rows,
        log.source,
        chance=log.chance if chance is None else chances,
        direction=log.direction | given,
        unit=unit,
        notes=tuple(log.notes),
    )


def as_evals(source: Source) -> Evals:
    """Return `source` as a checked table, reading it where it is not one yet."""
    return source if isinstance(source, Evals) else read_evals(source)


def _rows_of(
    source: Source, roles: Mapping[str, str], filter_name: str | None, columns_are: str | None
) -> LogRows:
    if isinstance(source, pd.DataFrame):
        return _from_table(source, "table", roles, columns_are)
    if isinstance(source, Mapping):
        return _from_mapping(source, roles, filter_name, columns_are)
    if isinstance(source, (str, Path)):
        return _from_path(Path(source), roles, filter_name, columns_are)
    assert not isinstance(source, Evals)
    parts = [_from_path(Path(path), roles, filter_name, columns_are) for path in source]
    if not parts:
        raise InputError("The list of files is empty. Give at least one.")
    return LogRows.join(parts)


def _from_mapping(
    source: Mapping[Any, Any],
    roles: Mapping[str, str],
    filter_name: str | None,
    columns_are: str | None,
) -> LogRows:
    if not source:
        raise InputError("The mapping is empty. Give recipe -> path or array.")
    parts = []
    for key, value in source.items():
        named = dict(
            zip(("recipe", "seed"), key if isinstance(key, tuple) else (key,), strict=False)
        )
        if isinstance(value, (str, Path)):
            part = _from_path(Path(value), roles, filter_name, columns_are)
        elif isinstance(value, pd.DataFrame):
            part = _from_table(value, str(key), roles, columns_are)
        else:
            part = _from_array(value, str(key))
        parts.append(LogRows(part.rows.assign(**named), part.source, part.notes, part.chance,
                             part.direction))  # fmt: skip
    return LogRows.join(parts)


def _from_array(value: object, name: str) -> LogRows:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"'{name}': expected numbers of shape (seeds, items); {error}.") from error
    if array.ndim not in (1, 2, 3) or not array.size:
        raise InputError(
            f"'{name}': expected an array (items,), (seeds, items) or (seeds, items, steps); "
            f"got shape {array.shape}."
        )
    array = np.atleast_2d(array)
    array = array[:, :, None] if array.ndim == 2 else array
    seed, item, step = (axis.ravel() for axis in np.indices(array.shape))
    rows = pd.DataFrame({"seed": seed, "item": item, "step": step, "value": array.ravel()})
    return LogRows(rows, "arrays")


def _from_path(
    path: Path, roles: Mapping[str, str], filter_name: str | None, columns_are: str | None
) -> LogRows:
    if not path.exists():
        near = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
        raise InputError(f"No file or folder {path}. {did_you_mean(path.name, near)}")
    if path.is_dir():
        return _from_folder(path, roles, filter_name)
    if is_lm_eval(path):
        return read_lm_eval([path], roles, filter_name)
    if is_inspect(path):
        return read_inspect([path], roles)
    return _from_table(_read_table(path), str(path), roles, columns_are)


def _from_folder(path: Path, roles: Mapping[str, str], filter_name: str | None) -> LogRows:
    files = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
    lm_eval = [p for p in files if is_lm_eval(p)]
    inspect = [p for p in files if p not in lm_eval and is_inspect(p)]
    if lm_eval:
        parts = [read_lm_eval(lm_eval, roles, filter_name)]
        return LogRows.join(parts + ([read_inspect(inspect, roles)] if inspect else []))
    if inspect:
        return read_inspect(inspect, roles)
    tables = [p for p in files if p.suffix in (".csv", ".tsv", ".parquet")]
    if not tables:
        raise InputError(
            f"{path} holds no lm-eval results or samples, no Inspect log and no table "
            f"({len(files)} files). Give the folder that the harness wrote (--output_path)."
        )
    return LogRows.join([_from_table(_read_table(p), str(p), roles, None) for p in tables])


def _read_table(path: Path) -> pd.DataFrame:
    if path.suffix in (".csv", ".tsv", ".txt"):
        return read_delimited(path)
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        if path.suffix in (".jsonl", ".ndjson"):
            return pd.read_json(path, lines=True)
    except (ValueError, OSError, pd.errors.ParserError) as error:
        raise InputError(f"Cannot read {path} as a table: {error}.") from error
    raise InputError(
        f"Cannot tell what {path.name} is. Give a table (.csv .tsv .parquet .jsonl), an lm-eval "
        "results_*.json or samples_*.jsonl, or an Inspect log (.json, .eval)."
    )


def _with_answers_as_numbers(table: pd.DataFrame) -> pd.DataFrame:
    """Return `table` with columns of true and false, some perhaps empty, as 1, 0 and NaN."""
    answers = {"true": 1.0, "false": 0.0}
    numbers: dict[Hashable, pd.Series] = {}
    for name, column in table.items():
        if pd.api.types.is_numeric_dtype(column):
            continue
        words = column.dropna().astype(str).str.strip().str.lower()
        if len(words) and words.isin(answers).all():
            numbers[name] = words.map(answers).astype(np.float64).reindex(table.index)
    return table.assign(**{str(name): column for name, column in numbers.items()})


def _from_table(
    table: pd.DataFrame, source: str, roles: Mapping[str, str], columns_are: str | None
) -> LogRows:
    if table.empty:
        raise InputError(f"{source}: the table has no rows.")
    table = _with_answers_as_numbers(table)
    named = _find_roles(table, source, roles)
    rest = [c for c in table.columns if c not in named.values()]
    renamed = table.rename(columns={column: role for role, column in named.items()})
    if "value" in named:
        values = renamed[list(named)]
        if "metric" not in named and str(named["value"]).lower() not in ALIASES["value"]:
            values = values.assign(metric=str(named["value"]))
        return _settle_run_names(LogRows(values, source))
    numeric = [c for c in rest if pd.api.types.is_numeric_dtype(table[c])]
    if not numeric:
        raise ColumnNotFoundError(
            f"{source}: found no column of values. Name it: --columns value=COLUMN (in Python "
            f"value='COLUMN'). {did_you_mean('value', map(str, table.columns))}"
        )
    known = [str(c) for c in numeric if is_proportion(str(c)) or known_direction(str(c))]
    kind = columns_are or ("metric" if known or "recipe" in named else "recipe")
    if kind not in ("metric", "recipe"):
        raise InputError(f"columns_are must be 'metric' or 'recipe'; got {kind!r}.")
    chosen = [c for c in numeric if str(c) in known] if kind == "metric" and known else numeric
    listed = ", ".join(map(str, chosen[:8])) + (", ..." if len(chosen) > 8 else "")
    text = f"{source}: read as a wide table, one column per {kind}: {listed}."
    note = Note("wide-table", "info", text)
    long = renamed.melt(
        id_vars=[r for r in named if r != kind],
        value_vars=chosen,
        var_name=kind,
        value_name="value",
    )
    return _settle_run_names(LogRows(long, source, [note]))


def _find_roles(table: pd.DataFrame, source: str, roles: Mapping[str, str]) -> dict[str, str]:
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


def _settle_run_names(log: LogRows) -> LogRows:
    """Split recipe and seed out of run names such as "baseline-seed3" where no seed is given."""
    rows = log.rows
    if "recipe" not in rows or "seed" in rows:
        return log
    parts = {name: split_run_name(str(name)) for name in rows["recipe"].dropna().unique()}
    if all(part.seed is None for part in parts.values()):
        return log
    missing = [name for name, part in parts.items() if part.seed is None]
    if missing:
        return log
    rows = rows.assign(
        seed=rows["recipe"].map({name: part.seed for name, part in parts.items()}),
        recipe=rows["recipe"].map({name: part.recipe for name, part in parts.items()}),
    )
    note = Note("seed-from-name", "info", "Seeds are taken from the run names.")
    return LogRows(rows, log.source, [*log.notes, note], log.chance, log.direction)

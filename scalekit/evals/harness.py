"""Logs of lm-evaluation-harness: results_<date>.json and samples_<task>_<date>.jsonl.

Layout: EleutherAI/lm-evaluation-harness 0.4.13; traps held here: keys are "metric,filter", the
standard error may be the text "N/A", groups are repeated inside `results`, a samples file has one
row per filter, and files of repeated evaluations stay side by side.
"""

from __future__ import annotations

import gzip
import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalekit.errors import InputError, did_you_mean
from scalekit.evals.logs import LogRows, split_run_name
from scalekit.notes import Note

DATE = r"\d{4}-\d{2}-\d{2}T[\d\-:.]+"
SAMPLES = re.compile(rf"^samples_(?P<task>.+?)(?:_(?P<date>{DATE}))?\.jsonl(?:\.gz)?$")
RESULTS = re.compile(rf"^results(?:_(?P<date>{DATE}))?\.json$")
BOOKKEEPING = {"doc_id", "target", "doc_hash", "prompt_hash", "target_hash", "filter"}


def is_lm_eval(path: Path) -> bool:
    """Return whether `path` is an lm-eval results or samples file, by its name or first bytes."""
    if SAMPLES.match(path.name) or RESULTS.match(path.name):
        return True
    if path.suffix not in (".json", ".jsonl"):
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        head = file.read(4096)
    if path.suffix == ".jsonl":
        return '"doc_id"' in head and any(f'"{k}"' in head for k in ("resps", "doc", "doc_hash"))
    return '"results"' in head[:400] and '"eval"' not in head[:400]


def read_lm_eval(
    files: Iterable[Path], roles: Mapping[str, str], filter_name: str | None
) -> LogRows:
    """Return the rows of lm-eval files: item answers where samples were logged, scores otherwise.

    The recipe is the folder's name (lm-eval writes one folder a model), and seed and step are read
    out of it ("...-seed3-step1000"). `roles["cluster"]` names a field of `doc`.
    """
    notes: list[Note] = []
    files = [path for path in files if path.suffix in (".json", ".jsonl", ".gz")]
    samples = [path for path in files if not path.name.endswith(".json")]
    results = [path for path in files if path.name.endswith(".json")]
    parts = [
        _read_samples(path, roles.get("cluster"), filter_name)
        for path in _newest(samples, SAMPLES, notes)
    ]
    keys = ["recipe", "seed", "step", "benchmark"]
    with_items: set[tuple[object, ...]] = {
        tuple(row) for part in parts for row in part.rows[keys].drop_duplicates().to_numpy()
    }
    parts += [
        _read_results(path, with_items, filter_name) for path in _newest(results, RESULTS, notes)
    ]
    joined = LogRows.join(parts)
    if joined.rows.empty:
        raise InputError(f"{joined.source}: no metric with a number was found in these logs.")
    joined.notes += notes
    return joined


def _newest(files: list[Path], pattern: re.Pattern[str], notes: list[Note]) -> list[Path]:
    """Return the newest file per folder and task; older ones are told, since they stay beside."""
    newest: dict[tuple[Path, str], Path] = {}
    for path in sorted(files, key=lambda p: (_date(p, pattern), p.name)):
        match = pattern.match(path.name)
        task = (match.groupdict().get("task") or "") if match else path.name
        newest[path.parent, task] = path
    older = len(files) - len(newest)
    if older:
        notes.append(
            Note(
                "older-logs",
                "info",
                f"{older} older file(s) of the same model and task "
                "are left out; the newest of each is read.",
            )
        )
    return sorted(newest.values())


def _date(path: Path, pattern: re.Pattern[str]) -> str:
    match = pattern.match(path.name)
    return (match["date"] or "") if match else ""


def _run_of(path: Path) -> dict[str, Any]:
    run = split_run_name(path.resolve().parent.name)
    return {"recipe": run.recipe, "seed": run.seed or 0, "step": run.step or 0}


def _read_samples(path: Path, cluster: str | None, filter_name: str | None) -> LogRows:
    records = _parse_lines(path)
    match = SAMPLES.match(path.name)
    task = match["task"] if match else path.stem
    notes: list[Note] = []
    records = _one_filter(records, path, filter_name, notes)
    rows: list[dict[str, Any]] = []
    skipped: set[str] = set()
    chances: list[float] = []
    for record in records:
        metrics = _metrics_of(record, skipped)
        options = _options(record)
        if options is not None:
            metrics |= options
            chances.append(1 / len(record["filtered_resps"]))
        shared = {"item": record["doc_id"]}
        if cluster is not None:
            shared["cluster"] = _cluster_of(record, cluster, path)
        rows += [shared | {"metric": name, "value": value} for name, value in metrics.items()]
    if skipped:
        notes.append(
            Note(
                "not-a-number",
                "info",
                f"{path.name}: {', '.join(sorted(skipped))} "
                "have no number per item and are left out.",
            )
        )
    frame = pd.DataFrame(rows).assign(benchmark=task, **_run_of(path))
    chance = {task: float(np.mean(chances))} if chances else {}
    return LogRows(frame, str(path), notes, chance)


def _parse_lines(path: Path) -> list[dict[str, Any]]:
    opener = gzip.open if path.suffix == ".gz" else open
    records = []
    with opener(path, "rt", encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                record["doc_id"]
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                raise InputError(
                    f"{path}, line {number}: expected an lm-eval sample (JSON with 'doc_id'); "
                    f"{error}. If the evaluation was interrupted, remove the cut line."
                ) from error
            records.append(record)
    if not records:
        raise InputError(f"{path} has no samples. Run lm-eval with --log_samples.")
    return records


def _one_filter(
    records: list[dict[str, Any]], path: Path, wanted: str | None, notes: list[Note]
) -> list[dict[str, Any]]:
    filters = list(dict.fromkeys(str(record.get("filter", "none")) for record in records))
    if len(filters) == 1 and wanted in (None, filters[0]):
        return records
    if wanted is not None and wanted not in filters:
        raise InputError(f"{path}: no filter '{wanted}'. {did_you_mean(wanted, filters)}")
    chosen = wanted or filters[0]
    kept = [record for record in records if str(record.get("filter", "none")) == chosen]
    notes.append(
        Note(
            "one-filter",
            "info",
            f"{path.name} has one row per filter "
            f"({', '.join(filters)}); '{chosen}' is kept, {len(records) - len(kept)} rows "
            "of the others are left out. Choose with filter_name=.",
        )
    )
    return kept


def _metrics_of(record: dict[str, Any], skipped: set[str]) -> dict[str, float]:
    names = record.get("metrics") or [
        key for key, value in record.items()
        if key not in BOOKKEEPING and isinstance(value, (int, float))
    ]  # fmt: skip
    values = {}
    for name in names:
        value = record.get(name)
        if isinstance(value, (int, float)) or value is None:
            values[name] = math.nan if value is None else float(value)
        else:
            skipped.add(name)
    return values


def _options(record: dict[str, Any]) -> dict[str, float] | None:
    """Return probability and bits per byte of the right option of a multiple-choice answer."""
    answers, target = record.get("filtered_resps"), record.get("target")
    if not isinstance(answers, list) or len(answers) < 2 or not str(target).isdigit():
        return None
    if not all(isinstance(a, (list, tuple)) and len(a) == 2 for a in answers):
        return None
    right = int(str(target))
    texts = _option_texts(record.get("arguments"))
    if right >= len(answers) or len(texts) != len(answers):
        return None
    try:
        log_likelihood = np.array([float(answer[0]) for answer in answers])
    except (TypeError, ValueError):
        return None
    top = log_likelihood.max()
    log_mass = top + np.log(np.exp(log_likelihood - top).sum())
    n_bytes = max(len(texts[right].encode()), 1)
    return {
        "p_correct": float(np.exp(log_likelihood[right] - log_mass)),
        "bits_per_byte": float(-log_likelihood[right] / (n_bytes * math.log(2))),
    }


def _option_texts(arguments: object) -> list[str]:
    if isinstance(arguments, dict):  # {"gen_args_0": {"arg_0": context, "arg_1": option}, ...}
        return [str(a["arg_1"]) for a in arguments.values() if isinstance(a, dict) and "arg_1" in a]
    if isinstance(arguments, list):
        return [str(a[1]) for a in arguments if isinstance(a, (list, tuple)) and len(a) > 1]
    return []


def _cluster_of(record: dict[str, Any], field: str, path: Path) -> str:
    doc = record.get("doc")
    if not isinstance(doc, dict) or field not in doc:
        options = list(doc) if isinstance(doc, dict) else []
        raise InputError(
            f"{path}: doc {record['doc_id']} has no field '{field}' to cluster by. "
            f"{did_you_mean(field, options)}"
        )
    return str(doc[field])


def _read_results(
    path: Path, with_items: set[tuple[object, ...]], filter_name: str | None
) -> LogRows:
    try:
        log = json.loads(path.read_text(encoding="utf-8"))
        results = log["results"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not an lm-eval results file ({error}).") from error
    run = _run_of(path)
    groups = [name for name in results if name in log.get("groups", {})]
    notes = []
    if groups:
        notes.append(
            Note(
                "groups-left-out",
                "info",
                f"{path.name}: the groups {', '.join(groups)} "
                "repeat their subtasks inside `results` and are left out.",
            )
        )
    rows = []
    for task, entry in results.items():
        if task in groups or (run["recipe"], run["seed"], run["step"], task) in with_items:
            continue
        rows += [{"benchmark": task} | row for row in _scores(entry, filter_name)]
    frame = pd.DataFrame(rows, columns=["benchmark", "metric", "value", "stderr"])
    direction = {
        metric: 1 if better else -1
        for metrics in log.get("higher_is_better", {}).values()
        for metric, better in (metrics or {}).items()
        if isinstance(better, bool)
    }
    return LogRows(frame.assign(**run), str(path), notes, {}, direction)


def _scores(entry: dict[str, Any], filter_name: str | None) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for key, value in entry.items():
        metric, _, filtered = key.partition(",")
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if metric.endswith("_stderr") or metric in ("alias", "name", "sample_len", "sample_count"):
            continue
        if not number or metric in found or (filter_name and filtered != filter_name):
            continue
        stderr = entry.get(f"{metric}_stderr,{filtered}" if filtered else f"{metric}_stderr")
        found[metric] = {"metric": metric, "value": float(value), "stderr": stderr}
    return list(found.values())

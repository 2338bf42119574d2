"""A table of scores: one row an example, with directions, normalisation and Gram matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.errors import ColumnNotFoundError, InputError, OutputError, did_you_mean
from scalekit.notes import Note
from scalekit.results import Provenance, Result, with_notes
from scalekit.selectors.scores.catalogue import CATALOGUE
from scalekit.selectors.scores.store import (
    MANIFEST,
    fingerprint_of,
    hash_file,
    read_manifest,
    read_shard,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, repr=False)
class ScoreTable(Result):
    """Scores of examples: `frame` has `id`, `label` (if there is one) and a column a score.

    Where several checkpoints were scored, a score is their mean and `<score>_se` its standard
    error. `vectors` holds sketches [n, d]. `run` is the manifest's head: model, dtype, data.
    """

    kind: ClassVar[str] = "scores"
    frame: pd.DataFrame
    vectors: Mapping[str, np.ndarray] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        if "id" not in self.frame:
            raise InputError("A table of scores needs a column 'id'.")

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def scores(self) -> list[str]:
        """Names of the score columns."""
        return [c for c in self.frame.columns if c not in ("id", "label") and not c.endswith("_se")]

    def direction(self, name: str) -> str:
        """Return what a large value of score `name` means: "hard", "easy", ..."""
        self._column(name)
        base = name.split(":")[0].removesuffix("_z")
        return CATALOGUE[base].higher_is if base in CATALOGUE else "none"

    def _column(self, name: str) -> pd.Series:
        if name not in self.frame:
            raise ColumnNotFoundError(
                f"There is no score '{name}' here. {did_you_mean(name, self.scores)}"
            )
        return self.frame[name]

    def normalise(self, name: str, by: str | None = "label") -> ScoreTable:
        """Return the table with `<name>_z`: z-scores within each class, or over all (`by=None`).

        VoG is meant to be read this way; which of the two depends on how balanced the classes are.
        """
        values = self._column(name).astype(float)
        if by is not None and by not in self.frame:
            raise ColumnNotFoundError(
                f"There is no column '{by}'. {did_you_mean(by, map(str, self.frame))}"
            )
        groups = self.frame[by] if by is not None else pd.Series(0, index=self.frame.index)
        grouped = values.groupby(groups)
        spread = grouped.transform("std", ddof=0)
        z = (values - grouped.transform("mean")) / spread.where(spread > 0, 1.0)
        return replace(self, frame=self.frame.assign(**{f"{name}_z": z}))

    def agreement(self) -> pd.DataFrame:
        """Return Spearman's rank correlation between all scores."""
        return self.frame[self.scores].corr(method="spearman")

    def gram(self, kind: str = "tracin", rows: Sequence[int] | None = None) -> np.ndarray:
        """Return estimated products of gradients between examples [n, n]: "tracin" or "lpntk".

        From the sketches; the diagonal is exact where the norms were scored with them.
        """
        names = {"tracin": ("sketch", "tracin_self"), "lpntk": ("sketch_lpntk", "lpntk_self")}
        if kind not in names:
            raise InputError(f"kind must be 'tracin' or 'lpntk'; got '{kind}'.")
        column, norms = names[kind]
        if column not in self.vectors:
            raise InputError(f"There are no sketches; score '{kind}' first.")
        chosen = slice(None) if rows is None else np.asarray(rows)
        vectors = self.vectors[column][chosen].astype(np.float64)
        found = vectors @ vectors.T
        if norms in self.frame:
            np.fill_diagonal(found, self.frame[norms].to_numpy()[chosen])
        return found

    def summary(self) -> str:
        """Return the scores' distributions as text."""
        if not self.scores:
            sketches = ", ".join(f"{k} [{v.shape[1]} numbers]" for k, v in self.vectors.items())
            return with_notes(f"{len(self):,} examples, {sketches or 'no scores'}", self.notes)
        cut = self.frame[self.scores].quantile([0, 0.25, 0.5, 0.75, 1], interpolation="nearest").T
        cut.columns = ["min", "25%", "median", "75%", "max"]
        cut.insert(0, "large is", [self.direction(name) for name in self.scores])
        count = len(self.scores)
        head = f"{len(self):,} examples, {count} score{'' if count == 1 else 's'}"
        return with_notes(f"{head}\n\n{cut.to_string(float_format='{:.4g}'.format)}", self.notes)

    def to_frame(self) -> pd.DataFrame:
        """Return id, label and scores, one row an example."""
        return self.frame.copy()

    def payload(self) -> dict[str, Any]:
        """Return the run, the directions and the quartiles of each score."""
        quartiles = self.frame[self.scores].quantile([0.25, 0.5, 0.75], interpolation="nearest")
        return {
            "n_examples": len(self),
            "run": dict(self.run),
            "scores": {
                name: {"higher_is": self.direction(name), "quartiles": quartiles[name].tolist()}
                for name in self.scores
            },
            "columns": list(self.frame.columns),
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all columns and sketches."""
        columns = {name: self.frame[name].to_numpy() for name in self.frame}
        columns = {k: v.astype(str) if v.dtype.kind == "O" else v for k, v in columns.items()}
        return columns | {f"vector:{name}": values for name, values in self.vectors.items()}

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> ScoreTable:
        """Return the table that `save` wrote."""
        vectors = {
            k.removeprefix("vector:"): v for k, v in arrays.items() if k.startswith("vector:")
        }
        return cls(
            frame=pd.DataFrame({name: arrays[name] for name in values["columns"]}),
            vectors=vectors,
            run=values["run"],
            notes=tuple(Note(**note) for note in values["notes"]),
            provenance=Provenance.from_dict(values["provenance"]),
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the first score against the share of examples below it."""
        from scalekit.selectors.scores.gallery import plot_distribution

        return plot_distribution(self, self.scores[0], ax)

    def gallery(self, examples: Sequence[Any], by: str | None = None, n: int = 6,
                ax: Axes | None = None) -> Axes:  # fmt: skip
        """Draw examples from the easiest to the hardest by score `by`; see `gallery.py`.

        `examples[i]` is the example of row i: an image, or a text.
        """
        from scalekit.selectors.scores.gallery import plot_gallery

        return plot_gallery(self, examples, by or self.scores[0], n, ax)


def open_scores(folder: str | Path, columns: Sequence[str] | None = None) -> ScoreTable:
    """Return the scores in `folder`, checked against the manifest; `columns` picks some of them.

    Raises OutputError where a shard is missing, damaged or was changed. A run that is not
    complete opens with a note of severity "error".
    """
    home = Path(folder)
    manifest = read_manifest(home)
    notes = [Note(**note) for note in manifest.get("notes", [])]
    if manifest["complete"]:
        files = [home / shard["file"] for shard in manifest["shards"]]
        for path, shard in zip(files, manifest["shards"], strict=True):
            if not path.exists():
                raise OutputError(f"{path} is missing. Run again with resume=True (--resume).")
            if hash_file(path) != shard["sha256"]:
                raise OutputError(
                    f"{path} was changed after the run: its hash is not the one in {MANIFEST}. "
                    "Delete it and run again with resume=True (--resume)."
                )
    else:
        files = sorted(home.glob("shard-*.parquet"))
        notes.append(
            Note("incomplete", "error",
                 f"The run in {home} is not complete ({len(files)} shards are there). "
                 "Finish it with resume=True (--resume).")
        )  # fmt: skip
    if not files:
        raise OutputError(f"{home} holds no shard yet. Run with resume=True (--resume).")
    run = fingerprint_of(manifest)
    shards = [read_shard(path, run, int(path.stem.split("-")[1])) for path in files]
    names = next((list(shard.columns) for shard in shards if shard.columns), [])
    if not names:
        bad = [f"{name} ({reason[:60]})" for s in shards for name, reason in s.skipped.items()]
        raise OutputError(
            f"{home} holds no scores: all {len(bad)} examples were left out, such as "
            f"{', '.join(bad[:3])}. Mend the data or the model and score into a new folder."
        )
    for name in columns or ():
        if name not in names:
            raise ColumnNotFoundError(f"{home} has no score '{name}'. {did_you_mean(name, names)}")
    kept = [name for name in names if columns is None or name in (*columns, "id", "label")]
    whole = {name: np.concatenate([s.columns[name] for s in shards if s.columns]) for name in kept}
    return table_of(whole, manifest, tuple(notes))


def table_of(
    columns: Mapping[str, np.ndarray], run: Mapping[str, Any], notes: tuple[Note, ...],
    skipped: Mapping[str, str] | None = None,
) -> ScoreTable:  # fmt: skip
    """Return columns as a table; two-dimensional ones become its vectors."""
    flat = {name: values for name, values in columns.items() if values.ndim == 1}
    left_out = dict(run.get("skipped", {})) if skipped is None else dict(skipped)
    about = {k: v for k, v in run.items() if k not in ("shards", "skipped", "notes", "complete")}
    if left_out:
        some = ", ".join(f"{name} ({reason[:60]})" for name, reason in list(left_out.items())[:3])
        message = f"{len(left_out)} examples could not be scored and are left out: {some}."
        notes += (Note("skipped", "warning", message),)
    return ScoreTable(
        frame=pd.DataFrame(flat),
        vectors={name: values for name, values in columns.items() if values.ndim > 1},
        run=about,
        notes=notes,
        provenance=Provenance(
            source=str(run.get("source", "")),
            input_hash=str(run.get("data", "")),
            n_rows=len(next(iter(flat.values()))),
            rows_left_out={"could not be scored": len(left_out)} if left_out else {},
            seed=run.get("seed"),
        ),
    )

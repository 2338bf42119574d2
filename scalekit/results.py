"""What all results share: one form, so that every room's answers read, print and save alike.

A result is a frozen dataclass that derives from `Result` and fills in four things: `kind`,
`summary()`, `to_frame()` and `payload()` (and `plot()` where there is something to see).
From these come `to_dict()`, `save()`, the text repr and the HTML repr in notebooks.
"""

from __future__ import annotations

import hashlib
import html
import itertools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.errors import InputError, OutputError
from scalekit.files import plain, to_json, write_atomically, write_text
from scalekit.notes import Note, format_notes
from scalekit.version import __version__

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLOT_SUFFIXES = (".png", ".svg", ".pdf")
TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")
SUFFIXES = (".json", *TABLE_SUFFIXES, *PLOT_SUFFIXES, ".html", ".txt", ".md")
MOST_ROWS = 30  # of a table in a notebook
TABLES = (*TABLE_SUFFIXES, ".jsonl")  # suffixes of tables that are read


@dataclass(frozen=True)
class Interval:
    """An interval, and how it was made: `method` names it ("pairs bootstrap, 1000 resamples")."""

    lower: float
    upper: float
    confidence_level: float
    method: str

    def __contains__(self, value: float) -> bool:
        return bool(self.lower <= value <= self.upper)

    def __str__(self) -> str:
        return f"[{self.lower:.4g}, {self.upper:.4g}]"


@dataclass(frozen=True)
class Provenance:
    """Where a result comes from: the version, the seed, the hash and size of the input.

    `rows_left_out` maps a reason to the number of rows that were left out for it.
    """

    source: str = ""
    input_hash: str = ""
    n_rows: int = 0
    rows_left_out: Mapping[str, int] = field(default_factory=dict)
    seed: int | None = None
    version: str = __version__

    def to_dict(self) -> dict[str, Any]:
        """Return the provenance as a JSON-ready dictionary."""
        return asdict(self) | {"rows_left_out": dict(self.rows_left_out)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Provenance:
        """Return the provenance that `to_dict` wrote."""
        return cls(**values)


class Result:
    """Base of all results; see the module's docstring for what a subclass fills in."""

    kind: ClassVar[str] = "result"
    notes: tuple[Note, ...]
    provenance: Provenance

    def summary(self) -> str:
        """Return the result as text, the answer first."""
        raise NotImplementedError

    def to_frame(self) -> pd.DataFrame:
        """Return the result as a tidy table."""
        raise NotImplementedError

    def payload(self) -> dict[str, Any]:
        """Return what this kind of result adds to `to_dict()`."""
        raise NotImplementedError

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the result and return the axes; a new figure is made where `ax` is None."""
        raise InputError(f"A result of kind '{self.kind}' has no plot. Use .to_frame().")

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays that `save` keeps beside the JSON (draws, data)."""
        return {}

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Result:
        """Return the result that `save` wrote, from its JSON and its arrays."""
        raise OutputError(f"A saved result of kind '{cls.kind}' cannot be loaded again.")

    def to_dict(self) -> dict[str, Any]:
        """Return the whole result, JSON-ready: `kind`, `version`, `provenance`, `notes`, more."""
        head = {
            "kind": self.kind,
            "version": self.provenance.version,
            "provenance": self.provenance.to_dict(),
        }
        notes = {"notes": [note.to_dict() for note in self.notes]}
        return dict(plain(head | self.payload() | notes))

    def save(self, path: str | Path) -> Path:
        """Write the result to `path`, in the format that its suffix names, and return the path.

        .json keeps everything (arrays in an .npz file beside it; `scalekit.load` reads it back),
        .csv .tsv .parquet the table, .png .svg .pdf the plot, .html a page, .txt and .md the
        summary. Raises OutputError where the path cannot be written.
        """
        check_target(path)
        target, suffix = Path(path), Path(path).suffix.lower()
        if suffix == ".json":
            return _save_json(self, target)
        if suffix in TABLE_SUFFIXES:
            return save_table(self.to_frame(), target)
        if suffix in PLOT_SUFFIXES:
            return save_plot(self.plot(), target)
        if suffix == ".html":
            return write_text(target, f"<!doctype html><meta charset='utf-8'>{self._repr_html_()}")
        return write_text(target, self.summary() + "\n")

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return self._page(self.to_frame())

    def _page(self, frame: pd.DataFrame) -> str:
        """Return the answer, the first rows of `frame` and the notes as HTML."""
        table = frame.head(MOST_ROWS).to_html(index=False, border=0, float_format="{:.5g}".format)
        if len(frame) > MOST_ROWS:
            table += f"<p>... {len(frame):,} rows in all, in to_frame()</p>"
        first, *others = map(html.escape, answer_of(self.summary()))
        answer = "<br>".join([f"<b>{first}</b>", *others])
        notes = "".join(
            f"<li>{html.escape(line)}</li>" for line in format_notes(self.notes).splitlines()
        )
        listed = f"<ul>{notes}</ul>" if notes else ""
        return f"<div class='scalekit'><p>{answer}</p>{table}{listed}</div>"


def answer_of(summary: str) -> list[str]:
    """Return the sentences that a summary begins with: its lines before a gap or a table.

    >>> answer_of("a wins\\nby 2%\\n\\n  at  loss\\n1e22     2")
    ['a wins', 'by 2%']
    """
    first, *others = summary.split("\n")
    return [first, *itertools.takewhile(lambda line: line[:1].strip(), others)]


def check_level(confidence_level: float, above: float = 0.0) -> float:
    """Return `confidence_level`; raise InputError where it is not between `above` and 1."""
    if not above < confidence_level < 1:
        level = confidence_level
        percent = f" For {level:g}% give {level / 100:g}." if 1 < level < 100 else ""
        raise InputError(
            f"confidence_level (--level) must lie between {above:g} and 1, such as 0.95; got "
            f"{level}.{percent}"
        )
    return float(confidence_level)


def check_target(path: str | Path) -> None:
    """Raise OutputError where no result can be written to `path`: its suffix, or its folder."""
    target = Path(path)
    if target.suffix.lower() not in SUFFIXES:
        raise OutputError(
            f"Cannot tell a format from '{target.name}'. Use one of: {' '.join(SUFFIXES)}."
        )
    if not target.parent.is_dir():
        raise OutputError(
            f"Cannot write {target}: there is no directory {target.parent}. "
            "Make it first, or choose another path."
        )


def with_notes(text: str, notes: tuple[Note, ...]) -> str:
    """Return `text` followed by the notes, as summaries end."""
    return f"{text}\n\n{format_notes(notes)}" if notes else text


def hash_frame(frame: pd.DataFrame) -> str:
    """Return a short hash of the content of `frame` (columns and values, not the index)."""
    digest = hashlib.sha256("\x1f".join(map(str, frame.columns)).encode())
    digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return digest.hexdigest()[:16]


def save_table(frame: pd.DataFrame, path: str | Path) -> Path:
    """Write `frame` to `path` as .csv, .tsv or .parquet, atomically."""
    suffix = Path(path).suffix.lower()
    if suffix == ".parquet":
        return write_atomically(path, lambda temporary: frame.to_parquet(temporary, index=False))
    separator = "\t" if suffix == ".tsv" else ","
    return write_atomically(
        path, lambda temporary: frame.to_csv(temporary, index=False, sep=separator)
    )


def save_plot(axes: Axes, path: str | Path) -> Path:
    """Write the figure of `axes` to `path` (.png, .svg or .pdf), atomically, and close it."""
    import matplotlib.pyplot as plt

    figure = axes.get_figure(root=True)
    assert figure is not None
    try:
        return write_atomically(
            path, lambda temporary: figure.savefig(temporary, dpi=150, bbox_inches="tight")
        )
    finally:
        plt.close(figure)


def _save_json(result: Result, target: Path) -> Path:
    values, arrays = result.to_dict(), result.arrays()
    if arrays:
        beside = _place_for_arrays(target)
        write_atomically(
            beside, lambda temporary: np.savez_compressed(temporary, allow_pickle=False, **arrays)
        )
        values["arrays"] = {"file": beside.name, "sha256": _hash_file(beside)}
    return write_text(target, to_json(values) + "\n")


def _place_for_arrays(target: Path) -> Path:
    """Return where the arrays of `target` go: beside it, but never over a file that is not ours."""
    beside = target.with_suffix(".npz")
    try:
        ours = json.loads(target.read_text(encoding="utf-8"))["arrays"]["file"] == beside.name
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    return beside if ours or not beside.exists() else target.with_suffix(".arrays.npz")


def read_saved(path: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the JSON and the arrays of a saved result; raise OutputError where they do not fit."""
    source = Path(path)
    try:
        values = json.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise OutputError(
            f"Cannot read {source} as a saved result: {error.strerror or error}. "
            "Give the .json file that `save` or `-o` wrote."
        ) from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        is_table = any(suffix in TABLES for suffix in source.suffixes[-2:])
        raise OutputError(_no_result(source, is_table, "is no JSON")) from error
    if not isinstance(values, dict) or "kind" not in values:
        is_table = isinstance(values, list) or source.suffix != ".json"
        raise OutputError(_no_result(source, is_table, "is JSON, but has no field 'kind'"))
    reference = values.pop("arrays", None)
    if reference is None:
        return values, {}
    beside = source.with_name(Path(reference["file"]).name)
    if not beside.is_file():
        raise OutputError(f"{source} needs its arrays in {beside}, which is not there. Copy both.")
    if _hash_file(beside) != reference["sha256"]:
        raise OutputError(f"{beside} is not the file that {source} was saved with. Save it again.")
    with np.load(beside, allow_pickle=False) as stored:
        return values, {name: stored[name] for name in stored.files}


def _no_result(source: Path, is_table: bool, found: str) -> str:
    if is_table:
        return (
            f"{source} is a table, not a saved result. Give the .json that `save` or `-o` wrote; "
            f"for a law: `scalekit fit {source.name} -o fit.json`, in Python "
            f"fit(read_runs('{source.name}')).save('fit.json')."
        )
    return f"{source} is no saved result: it {found}. Give the .json that `save` or `-o` wrote."


def _hash_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

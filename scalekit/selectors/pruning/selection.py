"""A selection: which examples stay, why, and what that does to the classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from scalekit.errors import InputError
from scalekit.files import to_json, write_text
from scalekit.notes import Note
from scalekit.results import TABLE_SUFFIXES, Provenance, Result, with_notes
from scalekit.seeds import RandomState, as_generator

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch.utils.data import Dataset, Sampler, Subset


@dataclass(frozen=True, eq=False, repr=False)
class Selection(Result):
    """What `prune` keeps.

    `table` has one row an example, in the order given: id, label (if there is one), score,
    hardness (large is hard) and kept. `manifest` says how: rule, side, share, seed, score and its
    direction. `overlaps` compares with what other scores, seeds and chance would keep.
    """

    kind: ClassVar[str] = "selection"
    table: pd.DataFrame
    manifest: Mapping[str, Any]
    overlaps: pd.DataFrame
    notes: tuple[Note, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)

    def __len__(self) -> int:
        return int(self.mask.sum())

    @property
    def mask(self) -> np.ndarray:
        """Which rows are kept (n,)."""
        return self.table["kept"].to_numpy(bool)

    @property
    def ids(self) -> np.ndarray:
        """The ids that are kept, in the order given."""
        return self.table["id"].to_numpy()[self.mask]

    def retention(self) -> pd.DataFrame:
        """Return, for each class, its size, how many are kept, the share, and random's share."""
        if "label" not in self.table:
            return pd.DataFrame(columns=["label", "examples", "kept", "share", "random"])
        grouped = self.table.groupby("label", sort=True)["kept"]
        found = grouped.agg(examples="size", kept="sum").reset_index()
        return found.assign(share=found["kept"] / found["examples"], random=float(self.mask.mean()))

    def summary(self) -> str:
        """Return what is kept, from where, at which cost to classes, and the reasons."""
        how = self.manifest
        lines = [
            f"{len(self):,} of {len(self.table):,} examples kept ({self.mask.mean():.1%}): "
            f"{how['side']} by {how['by']}"
            + (f", hardest {how['cutoff']:.1%} dropped first" if how["cutoff"] else "")
        ]
        classes = self.retention()
        if len(classes):
            ordered = classes.sort_values("share")
            names, shares = ordered["label"].to_numpy(), ordered["share"].to_numpy()
            lines.append(
                f"classes keep from {shares[0]:.1%} ({names[0]}) to {shares[-1]:.1%} "
                f"({names[-1]}); random would keep {self.mask.mean():.1%} of each"
            )
        if len(self.overlaps):
            lines += ["", self.overlaps.to_string(index=False, float_format="{:.3f}".format)]
        return with_notes("\n".join(lines), self.notes)

    def to_frame(self) -> pd.DataFrame:
        """Return the examples that are kept: id, label, score."""
        return self.table.loc[self.mask].drop(columns=["kept", "hardness"]).reset_index(drop=True)

    def payload(self) -> dict[str, Any]:
        """Return the manifest, the classes, the overlaps and the ids."""
        return {
            "params": {},
            "manifest": dict(self.manifest),
            "n_examples": len(self.table),
            "n_kept": len(self),
            "classes": self.retention().to_dict("records"),
            "overlaps": self.overlaps.to_dict("records"),
            "columns": list(self.table.columns),
            "ids": self.ids.tolist(),
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the table's columns."""
        columns = {str(name): self.table[name].to_numpy() for name in self.table}
        return {k: v.astype(str) if v.dtype.kind == "O" else v for k, v in columns.items()}

    @classmethod
    def restore(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Selection:
        """Return the selection that `save` wrote."""
        return cls(
            pd.DataFrame({name: arrays[name] for name in values["columns"]}),
            values["manifest"],
            pd.DataFrame(values["overlaps"]),
            tuple(Note(**note) for note in values["notes"]),
            Provenance.from_dict(values["provenance"]),
        )

    def save(self, path: str | Path) -> Path:
        """Write by suffix; beside a table of ids goes its manifest, `<name>.manifest.json`."""
        written = super().save(path)
        if written.suffix in TABLE_SUFFIXES:
            told = {key: value for key, value in self.to_dict().items() if key != "ids"}
            write_text(written.with_suffix(".manifest.json"), to_json(told) + "\n")
        return written

    def subset(self, dataset: Dataset[Any], ids: Sequence[Any] | None = None) -> Subset[Any]:
        """Return the kept examples of a torch data set, whose order is that of the scores.

        With another order give `ids`, those of the data set, one an example.
        """
        from torch.utils.data import Subset

        return Subset(dataset, self._places(len(dataset), ids))  # type: ignore[arg-type]

    def sampler(self, ids: Sequence[Any] | None = None, *, rng: RandomState = 0) -> Sampler[int]:
        """Return a sampler of the kept examples, in a new random order each epoch.

        For a DataLoader of the whole data set; `ids` as in `subset`.
        """
        from torch.utils.data import Sampler

        places, generator = self._places(len(self.table), ids), as_generator(rng)

        class Kept(Sampler[int]):
            def __iter__(self) -> Iterator[int]:
                return iter(generator.permutation(places).tolist())

            def __len__(self) -> int:
                return len(places)

        return Kept()

    def _places(self, count: int, ids: Sequence[Any] | None) -> list[int]:
        if ids is None:
            if count != len(self.table):
                raise InputError(
                    f"The data set has {count} examples, the scores {len(self.table)}: give ids=, "
                    "those of the data set."
                )
            return np.flatnonzero(self.mask).tolist()
        kept = set(self.ids.tolist())
        places = [k for k, name in enumerate(ids) if name in kept]
        absent = kept.difference(ids[k] for k in places)
        if absent:
            raise InputError(
                f"{len(absent)} of the {len(kept)} kept ids are not in the data set, as "
                f"{next(iter(absent))!r}. Give ids= as they stand in the scores."
            )
        if len(places) > len(kept):
            raise InputError(
                f"ids= repeats kept ids: {len(places)} places for {len(kept)}. Every example of "
                "the data set needs an id of its own."
            )
        return places

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the distribution of the score: all examples, and those kept."""
        from scalekit.axes import BLUE, GREY, new_axes

        ax = new_axes(ax)
        values = self.table["score"].to_numpy(float)
        edges = np.histogram_bin_edges(values, bins=40).tolist()
        ax.hist(values, edges, color=GREY, alpha=0.5, label="all")
        ax.hist(values[self.mask], edges, color=BLUE, alpha=0.8, label="kept")
        ax.set(xlabel=f"{self.manifest['by']} (large is {self.manifest['higher_is']})",
               ylabel="examples")  # fmt: skip
        ax.set_title(f"{len(self):,} of {len(values):,} kept: {self.manifest['side']}",
                     fontsize="medium")  # fmt: skip
        ax.legend(fontsize="small", frameon=False)
        return ax

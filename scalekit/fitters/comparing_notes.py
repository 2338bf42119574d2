"""What a comparison must tell of its runs: unequal tuning, pooled metrics, what the fits say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from shlex import quote

import pandas as pd

from scalekit.fitters.fitted import Fit
from scalekit.fitters.paired import System
from scalekit.fitters.pooling import pooled_columns
from scalekit.notes import Note
from scalekit.units import format_scale

UNEQUAL = 1.5  # ratio of grid sizes above which the better tuned system has an advantage


def lost_notes(lost: Mapping[str, tuple[int, int]]) -> list[Note]:
    """Return a warning for each law with the number of resamples lost, and that of all."""
    return [
        Note(
            "resamples_lost",
            "warning",
            f"{count} of {total} resamples of the law '{law}' have no finite fit and are left out.",
        )
        for law, (count, total) in lost.items()
        if count
    ]


def tuning_notes(select: str, systems: Sequence[System], names: Sequence[str]) -> list[Note]:
    """Return a warning where one system had many more tries: the best of more is lower."""
    if select == "all":
        return []
    if select == "best":
        sizes = [len(s.along) / (s.cells.max() + 1) for s in systems]
        what = "Runs per configuration differ"
    else:
        low = max(s.along.min() for s in systems)
        high = min(s.along.max() for s in systems)
        sizes = [float(((s.along >= low) & (s.along <= high)).sum()) for s in systems]
        what = "The number of runs at the scales that all have differs"
    if max(sizes) <= UNEQUAL * min(sizes):
        return []
    shown = ", ".join(f"{name} {size:.3g}" for name, size in zip(names, sizes, strict=True))
    return [
        Note(
            "unequal_tuning",
            "warning",
            f"{what} ({shown}): the best of more tries is lower by luck and tuning alone, which no "
            "interval here holds. Compare at equal tuning budgets, or drop runs at random until "
            "they are equal, and see whether the verdict stays.",
        )
    ]


def largest_notes(
    parts: Mapping[str, pd.DataFrame], fits: Mapping[str, Fit], along: str
) -> list[Note]:
    """Return a note on each system whose largest run is not among those that its curve follows."""
    notes = []
    for name, part in parts.items():
        largest = part[part[along] == part[along].max()].nsmallest(1, "loss").iloc[0]
        scales = fits[name].scales.get(along)
        if scales is not None and largest[along] > scales.max() * (1 + 1e-9):
            place = format_scale(float(largest[along]), along)
            words = (
                f"The largest run of {name} ({place} {along}, loss {largest['loss']:.4g}) is no "
                "better than a smaller one, so its curve does not follow it. Did it go wrong, or "
                "is its size wrong for its compute?"
            )
            notes.append(Note("largest_not_followed", "warning", words))
    return notes


def fit_notes(blocks: Sequence[Mapping[str, Fit]]) -> list[Note]:
    """Return what the fits of the first law have to say that matters, with the systems.

    That laws have the wrong shape is told of the mix: another of them may have the right one.
    """
    misfits = {
        next(iter(fits.values())).law.name: [
            name for name, fitted in fits.items() if "lack_of_fit" in _codes(fitted)
        ]
        for fits in blocks
    }
    sound = [law for law, names in misfits.items() if not names]
    found: dict[Note, list[str]] = {}
    for name, fitted in blocks[0].items():
        for note in fitted.notes:
            if note.severity == "info" or note.code == "recipes_pooled":
                continue
            if note.code != "lack_of_fit" or not sound:
                found.setdefault(note, []).append(name)
    notes = [
        Note(note.code, note.severity, f"{', '.join(names)}: {note.message}")
        for note, names in found.items()
    ]
    if sound and len(sound) < len(misfits):
        wrong = ", ".join(law for law, names in misfits.items() if names)
        systems = ", ".join(sorted({name for names in misfits.values() for name in names}))
        words = (
            f"The residuals of {wrong} move together along the scale for the runs of {systems}: "
            f"the wrong shape there. Those of {', '.join(sound)} do not. All laws count alike in "
            "the answer; 'each law alone' says what each makes of the runs."
        )
        notes.append(Note("laws_lack_fit", "warning", words))
    return notes


def _codes(fitted: Fit) -> set[str]:
    return {note.code for note in fitted.notes}


def pooled_notes(parts: Mapping[str, pd.DataFrame]) -> list[Note]:
    """Return a warning where each system's runs are themselves of several metrics or data sets."""
    each = [set(pooled_columns(part.drop(columns="group", errors="ignore")))
            for part in parts.values()]  # fmt: skip
    first = next(iter(parts.values()))
    names = [str(name) for name in first if name in set.intersection(*each)]
    if not names:
        return []
    values = sorted(first[names[0]].dropna().astype(str).unique())
    listed = ", ".join(values[:5]) + (", ..." if len(values) > 5 else "")
    words = (
        f"Within the systems column '{names[0]}' has {len(values)} values ({listed}), whose runs "
        f"are taken together. Compare on each, with --across {names[0]} (in Python "
        f"compare_across(runs, '{names[0]}')), or keep one, with --where "
        f"{quote(f'{names[0]}={values[0]}')}."
    )
    return [Note("metrics_pooled", "warning", words)]

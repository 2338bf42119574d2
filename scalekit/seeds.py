"""Randomness is explicit: every function that draws takes `rng`, and the same seed repeats it."""

from __future__ import annotations

import numpy as np

from scalekit.errors import InputError

RandomState = int | np.random.Generator | np.random.SeedSequence | None


def as_generator(rng: RandomState) -> np.random.Generator:
    """Return a NumPy Generator for `rng`: a seed, a SeedSequence, a Generator (used as it is).

    None draws fresh entropy: the result is then not repeatable, and its provenance says so.

    >>> bool(as_generator(0).integers(10) == as_generator(0).integers(10))
    True
    """
    if isinstance(rng, np.random.Generator):
        return rng
    if rng is not None and not isinstance(rng, (int, np.integer, np.random.SeedSequence)):
        raise InputError(
            f"rng must be an integer seed, a numpy Generator or None; got {type(rng).__name__}."
        )
    if isinstance(rng, (int, np.integer)) and rng < 0:
        raise InputError(f"A seed must be zero or positive; got {rng}.")
    return np.random.default_rng(rng)


def seed_of(rng: RandomState) -> int | None:
    """Return the integer seed when `rng` is one, for provenance; None otherwise."""
    return int(rng) if isinstance(rng, (int, np.integer)) else None

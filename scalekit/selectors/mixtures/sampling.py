"""Drawing examples by a schedule: for a torch DataLoader, and as other trainers' configurations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scalekit.errors import ColumnNotFoundError, InputError, did_you_mean

if TYPE_CHECKING:
    from scalekit.selectors.mixtures.schedule import Phase, Schedule

BLOCK = 4096  # draws that share one random generator, so that any position is found quickly


class MixtureSampler:
    """Indices of examples drawn by a schedule; give it to `DataLoader(..., sampler=...)`.

    Each draw picks a source by the shares at that point of training, then the next example of a
    shuffled pass over that source, so that no example comes a second time before all have come
    once. All ranks walk the same stream and take every `world_size`-th draw of it. The stream
    depends on the seed only: `load_state_dict` continues at any position, on any number of ranks.

    A DataLoader with workers asks ahead; after a crash resume from what was trained on:
    `sampler.load_state_dict({"position": samples_trained_on_all_ranks})`.
    """

    def __init__(
        self,
        phases: Sequence[Phase],
        members: Sequence[np.ndarray],
        samples: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """Make a sampler; `members` holds the indices of each source's examples."""
        if samples < 1:
            raise InputError(f"samples is {samples}; draw one or more.")
        if not 0 <= rank < world_size:
            raise InputError(f"rank {rank} is not among the {world_size} rank(s) 0 to "
                             f"{world_size - 1}.")  # fmt: skip
        self._ends = np.array([part.end for part in phases])
        self._cumulative = np.cumsum([part.shares for part in phases], axis=1)
        self._members = list(members)
        self._seed, self._rank, self._world_size = seed, rank, world_size
        self._samples, self._position = samples, 0
        self._orders: dict[int, tuple[int, np.ndarray]] = {}
        self._counted = (0, np.zeros(len(self._members), dtype=np.int64))

    def __len__(self) -> int:
        """The number of draws of this rank in a whole pass over the schedule."""
        return self._samples // self._world_size

    def __iter__(self) -> Iterator[int]:
        """Yield indices of this rank, from the position where the state stands."""
        world = self._world_size
        last = len(self) * world  # all ranks get as many, or they would wait for each other
        while self._position < last:
            block = self._position // BLOCK
            begin = self._position - block * BLOCK
            indices = self._indices(block)
            end = min(BLOCK, last - block * BLOCK)
            for place in range(begin, end):
                self._position += 1
                if (block * BLOCK + place) % world == self._rank:
                    yield int(indices[place])
        self._position = 0

    def state_dict(self) -> dict[str, int]:
        """Return where the stream stands: draws of all ranks together, and the seed."""
        steps = -(-self._position // self._world_size)
        return {"position": steps * self._world_size, "seed": self._seed, "samples": self._samples}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Continue at the position of `state`; raises InputError for another seed or length."""
        for name, mine in (("seed", self._seed), ("samples", self._samples)):
            if state.get(name, mine) != mine:
                raise InputError(
                    f"The state is of a sampler with {name} {state[name]}, this one has {mine}. "
                    "Make the sampler as it was made then."
                )
        position = int(state["position"])
        if not 0 <= position <= self._samples:
            raise InputError(f"The position {position} is outside 0 to {self._samples}.")
        self._position = position

    def _sources(self, block: int) -> np.ndarray:
        """Return the source of each draw of a block."""
        uniform = np.random.default_rng([self._seed, 0, block]).random(BLOCK)
        progress = np.minimum((block * BLOCK + np.arange(BLOCK)) / self._samples, 1.0)
        phase = np.minimum(np.searchsorted(self._ends, progress, side="right"), len(self._ends) - 1)
        cumulative = self._cumulative[phase]
        picked = (uniform[:, None] * cumulative[:, -1:] >= cumulative).sum(axis=1)
        return np.asarray(np.minimum(picked, len(self._members) - 1))

    def _drawn_before(self, block: int) -> np.ndarray:
        """Return how many draws each source has had before a block."""
        start, counts = self._counted
        if start > block:
            start, counts = 0, np.zeros_like(counts)
        for earlier in range(start, block):
            counts = counts + np.bincount(self._sources(earlier), minlength=len(self._members))
        self._counted = (block, counts)
        return counts

    def _indices(self, block: int) -> np.ndarray:
        sources = self._sources(block)
        before = self._drawn_before(block)
        indices = np.empty(BLOCK, dtype=np.int64)
        for k, members in enumerate(self._members):
            places = np.flatnonzero(sources == k)
            draws = before[k] + np.arange(len(places))
            for epoch in np.unique(draws // len(members)):
                now = draws // len(members) == epoch
                order = self._order(k, int(epoch))
                indices[places[now]] = members[order[draws[now] % len(members)]]
        return indices

    def _order(self, source: int, epoch: int) -> np.ndarray:
        """Return the shuffled pass number `epoch` over a source (the last one is kept)."""
        kept = self._orders.get(source)
        if kept is None or kept[0] != epoch:
            rng = np.random.default_rng([self._seed, 1, source, epoch])
            kept = (epoch, rng.permutation(len(self._members[source])))
            self._orders[source] = kept
        return kept[1]


def members_by_source(dataset: Any, sources: Sequence[str], by: str = "source") -> list[np.ndarray]:
    """Return the indices of each source's examples; see `Schedule.sampler` for `dataset`.

    Raises ColumnNotFoundError for names that the schedule does not have, InputError for a source
    without examples.
    """
    if isinstance(dataset, Mapping):
        sizes = np.array([part if isinstance(part, (int, np.integer)) else len(part)
                          for part in dataset.values()])  # fmt: skip
        labels = np.repeat(np.array(list(dataset), dtype=str), sizes)
    else:
        labels = np.asarray(_labels(dataset, by), dtype=str)
    found = set(np.unique(labels))
    unknown = sorted(found - set(sources))
    if unknown:
        raise ColumnNotFoundError(
            f"The data set has examples of '{unknown[0]}', which the schedule does not know. "
            f"{did_you_mean(unknown[0], sources)}"
        )
    empty = [name for name in sources if name not in found]
    if empty:
        raise InputError(
            f"The schedule draws from '{empty[0]}', but the data set has no example of it. "
            "Make the schedule without it, or add its examples."
        )
    return [np.flatnonzero(labels == name) for name in sources]


def _labels(dataset: Any, by: str) -> Any:
    columns = getattr(dataset, "column_names", None)
    if columns is None:
        columns = getattr(dataset, "columns", None)
    if columns is not None:
        if by not in columns:
            raise ColumnNotFoundError(
                f"The data set has no column '{by}' with the source of each example. "
                f"{did_you_mean(by, columns)} Say by='COLUMN'."
            )
        return dataset[by]
    if isinstance(dataset, (Sequence, np.ndarray)) and not isinstance(dataset, str):
        return dataset
    raise InputError(
        f"Cannot tell sources in a {type(dataset).__name__}. Give a mapping from source to data "
        "set (in the order of a ConcatDataset), or the source of each example."
    )


def mixture_config(schedule: Schedule, style: str, paths: Mapping[str, str] | None) -> str:
    """Return the schedule as the configuration of another trainer; see `Schedule.config`."""
    if style not in ("megatron", "olmo"):
        raise InputError(
            f"There is no style '{style}'. {did_you_mean(style, ['megatron', 'olmo'])}"
        )
    given = dict(paths or {name: name for name in schedule.sources})
    missing = [name for name in schedule.sources if name not in given]
    if missing:
        raise InputError(
            f"paths lacks the source '{missing[0]}' (given: {', '.join(given)}). Give a path for "
            "every source, by name."
        )
    blocks, start = [], 0.0
    for number, (end, shares) in enumerate(schedule.phases):
        head = f"# phase {number + 1}: {start:.0%} to {end:.0%} of training"
        pairs = [(name, share) for name, share in zip(schedule.sources, shares, strict=True)
                 if share > 0]  # fmt: skip
        if style == "megatron":
            body = " ".join(f"{share:.8f} {given[name]}" for name, share in pairs)
        else:
            drawn = (end - start) * schedule.budget
            repeats = {
                name: max(1.0, share * drawn / count)
                for (name, share), count in zip(
                    [(n, s) for n, s in zip(schedule.sources, shares, strict=True)],
                    schedule.counts, strict=True,
                )
            }  # fmt: skip
            entries = [
                f"  - source_name: {name}\n    target_ratio: {share:.8f}\n"
                f"    max_repetition_ratio: {repeats[name]:.6g}\n    paths: [{given[name]}]"
                for name, share in pairs
            ]
            body = f"requested_tokens: {round(drawn)}\nsource_configs:\n" + "\n".join(entries)
        blocks.append(f"{head}\n{body}")
        start = end
    return "\n".join(blocks) + "\n"

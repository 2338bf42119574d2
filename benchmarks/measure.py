"""What the benchmarks share: clocks, the public tables, one way to print a table."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Seconds:
    """Processor seconds (this process and its finished children) and wall seconds."""

    cpu: float
    wall: float

    def scaled(self, factor: float) -> Seconds:
        return Seconds(self.cpu * factor, self.wall * factor)


def processor_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def timed(work: Callable[[], T], repeats: int = 1) -> tuple[T, Seconds]:
    """Return the last value of `work()` and the mean seconds of `repeats` calls."""
    cpu, wall = processor_seconds(), time.perf_counter()
    for _ in range(repeats):
        value = work()
    spent = Seconds(processor_seconds() - cpu, time.perf_counter() - wall)
    return value, spent.scaled(1 / repeats)


def public_table(*parts: str) -> Path:
    """Return the path of a public table; stops with advice where the folder is absent."""
    beside = Path(__file__).parent.parent.parent / "shared"
    path = Path(os.environ.get("SCALEKIT_SHARED", beside)).joinpath("data", *parts)
    if not path.exists():
        sys.exit(f"{path} is not there; set SCALEKIT_SHARED to the folder that holds data/")
    return path


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print columns padded to their widest cell: the first to the left, the rest to the right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        print("  ".join(cells).rstrip(), flush=True)

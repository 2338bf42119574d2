"""Plain tables that a command reads beside its main input."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scalekit.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def read_plain_table(path: Path) -> pd.DataFrame:
    """Return a .csv, .tsv or .parquet file; raises InputError where it cannot be read."""
    import pandas as pd

    readers = {".csv": pd.read_csv, ".parquet": pd.read_parquet,
               ".tsv": lambda p: pd.read_csv(p, sep="\t")}  # fmt: skip
    if path.suffix not in readers:
        raise InputError(f"{path}: tables are read from .csv, .tsv and .parquet files.")
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    return readers[path.suffix](path)

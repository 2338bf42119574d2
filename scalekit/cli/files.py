"""Plain tables that a command reads beside its main input."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scalekit.errors import InputError
from scalekit.files import read_delimited

if TYPE_CHECKING:
    import pandas as pd


def read_plain_table(path: Path) -> pd.DataFrame:
    """Return a .csv, .tsv or .parquet file; raises InputError where it cannot be read."""
    import pandas as pd

    if not path.exists():
        raise InputError(f"{path} does not exist.")
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    if path.suffix not in (".csv", ".tsv"):
        raise InputError(f"{path}: tables are read from .csv, .tsv and .parquet files.")
    return read_delimited(path)

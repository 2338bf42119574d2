"""Public names that are imported on first use, so that `import scalekit` and --help are quick."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def names_on_use(package: str, table: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of `package` (PEP 562): `table` says which module has each name.

    A module is named in full, or by what comes after the package's name.
    """

    def resolve(name: str) -> Any:
        if name not in table:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        place = table[name]
        full = place if place.startswith("scalekit.") else f"{package}.{place}"
        return getattr(importlib.import_module(full), name)

    return resolve

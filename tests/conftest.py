"""What tests share: the tables of public work, and quiet plots."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "Agg")
# the same commit gives the same result; HYPOTHESIS_PROFILE=explore draws new examples each time
settings.register_profile("same", derandomize=True)
settings.register_profile("explore")
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


def pytest_configure() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of public tables (SCALEKIT_SHARED, default ../shared); skips where absent."""
    root = Path(os.environ.get("SCALEKIT_SHARED", Path(__file__).parent.parent.parent / "shared"))
    if not (root / "data").is_dir():
        pytest.skip(f"public tables not found at {root}; set SCALEKIT_SHARED")
    return root / "data"


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    import sys

    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")

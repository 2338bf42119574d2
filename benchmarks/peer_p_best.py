"""Answer on stdin/stdout for `crossing_simulation.py`: p_best of simple-scaling-laws.

Runs with the Python that has the peer. Each line in is JSON {"x": [...], "a": [...], "b": [...],
"at": x}; each line out is the peer's probability that b is best there.
"""

from __future__ import annotations

import json
import sys
import warnings

import numpy as np


def main() -> None:
    """Answer one line at a time."""
    import polars as pl
    from simple_scaling_laws import compare, fit

    warnings.simplefilter("ignore")
    for line in sys.stdin:
        asked = json.loads(line)
        models = {
            name: fit(
                pl.DataFrame({
                    "training_run_id": np.arange(len(asked["x"])),
                    "model_size__params": asked["x"],
                    "test_loss__nats": asked[name],
                }),
                n_draws=300, seed=0,
            )
            for name in ("a", "b")
        }  # fmt: skip
        table = compare(models, {"model_size__params": [asked["at"]]})
        rows = {row["system"]: row["p_best"] for row in table.iter_rows(named=True)}
        print(json.dumps(rows["b"]), flush=True)


if __name__ == "__main__":
    main()

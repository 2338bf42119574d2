"""Peak memory and time of reading a CSV of 1e5, 1e6 and 1e7 rows, beside pandas.read_csv.

    python benchmarks/read_large.py [largest exponent, 7]

Each reading is a process of its own, so that its peak is its own. The tables have 9 columns: run,
params, tokens, flops, loss, and four that have no role (learning rate, three notes of text).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

READERS = {
    "imports only": "import scalekit.data, pyarrow.csv",
    "read_runs": "import scalekit as sk; runs = sk.read_runs(path, quiet=True).frame",
    "pandas.read_csv": "import pandas as pd; runs = pd.read_csv(path)",
}
MEASURE = """
import resource, sys, time
path = sys.argv[1]
start = time.perf_counter()
{code}
seconds = time.perf_counter() - start
held = runs.memory_usage(deep=True).sum() / 2**20 if "runs" in globals() else 0
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10, held)
"""


def write_table(path: Path, rows: int, block: int = 100_000) -> None:
    rng = np.random.default_rng(0)
    for start in range(0, rows, block):
        n = min(block, rows - start)
        params = 10 ** rng.uniform(6, 9, n)
        tokens = params * 10 ** rng.uniform(0, 2, n)
        loss = 1.8 + 480 * params**-0.35 + 2085 * tokens**-0.37 + rng.normal(0, 0.01, n)
        frame = pd.DataFrame(
            {
                "run": np.arange(start, start + n) // 1000,
                "n_params": params.round(),
                "n_tokens": tokens.round(),
                "total_flops": 6 * params * tokens,
                "val_loss": loss.round(5),
                "learning_rate": 3e-4,
                "host": "node-0001.cluster",
                "commit": "0123456789abcdef0123456789abcdef01234567",
                "remark": "a text that nobody reads",
            }
        )
        frame.to_csv(path, mode="a", header=start == 0, index=False)


def main(largest: int = 7) -> None:
    print("      rows  file MB  reader            seconds  peak MB  table MB")
    for exponent in range(5, largest + 1):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "runs.csv"
            write_table(path, 10**exponent)
            size = path.stat().st_size / 2**20
            for name, code in READERS.items():
                done = subprocess.run(
                    [sys.executable, "-c", MEASURE.format(code=code), str(path)],
                    capture_output=True, text=True, check=True,
                )  # fmt: skip
                seconds, peak, held = map(float, done.stdout.split())
                print(
                    f"{10**exponent:>10} {size:>8.0f}  {name:16} {seconds:>8.2f} {peak:>8.0f} "
                    f"{held:>9.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

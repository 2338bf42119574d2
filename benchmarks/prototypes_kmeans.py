"""k-means of a million vectors: 1e6 x 512, k = 1,000, spherical; faiss-cpu beside.

    python benchmarks/prototypes_kmeans.py [--peer-python faiss-venv/bin/python] [--rows 1000000]

Data: 3,000 normal clusters, as noisy as gives a mean cosine of about .42, written once to a
temporary folder (2 GB) and removed. Each engine runs in a process of its own with two threads and
reads the same memory-mapped file; faiss with its default of 256 points a centre and 10 iterations.
Printed: seconds of all cores, mean cosine to the own centre over all rows, peak memory beyond what
the process held before (mapped pages included).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from measure import print_table

OURS = """
import json, resource, sys, time
import numpy as np, torch
torch.set_num_threads(2)
import scalekit as sk
path, k, half = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "half"
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start, wall = time.process_time(), time.perf_counter()
found = sk.prototypes(path, k, half=half, rng=0)
print(json.dumps([time.process_time() - start, time.perf_counter() - wall,
                  float(1 - found.distance.astype(np.float64).mean()),
                  (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024]))
"""
FAISS = """
import json, resource, sys, time
import numpy as np, faiss
faiss.omp_set_num_threads(2)
path, k = sys.argv[1], int(sys.argv[2])
x = np.load(path, mmap_mode="r")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start, wall = time.process_time(), time.perf_counter()
model = faiss.Kmeans(x.shape[1], k, niter=10, seed=1, spherical=True, max_points_per_centroid=256)
model.train(np.ascontiguousarray(x))
index = faiss.IndexFlatIP(x.shape[1])
index.add(model.centroids)
parts = range(0, len(x), 50000)
cosines = [index.search(np.ascontiguousarray(x[i:i + 50000]), 1)[0] for i in parts]
print(json.dumps([time.process_time() - start, time.perf_counter() - wall,
                  float(np.concatenate(cosines).astype(np.float64).mean()),
                  (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024]))
"""


def write(path: Path, rows: int, wide: int = 512, kinds: int = 3000) -> None:
    """Write unit vectors about random centres, in parts."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((kinds, wide)).astype(np.float32)
    table = np.lib.format.open_memmap(path, "w+", np.float32, (rows, wide))
    for start in range(0, rows, 20000):
        stop = min(start + 20000, rows)
        part = centres[rng.integers(kinds, size=stop - start)]
        part = part + 1.05 * rng.standard_normal(part.shape).astype(np.float32)
        table[start:stop] = part / np.linalg.norm(part, axis=1, keepdims=True)
    table.flush()


def measure(python: str, code: str, *arguments: str) -> list[str]:
    command = [python, "-c", code, *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        return ["fails", run.stderr.strip().splitlines()[-1][:60], "", ""]
    cpu, wall, cosine, memory = json.loads(run.stdout.strip().splitlines()[-1])
    return [f"{cpu:.1f}", f"{wall:.1f}", f"{cosine:.4f}", f"{memory:.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--centres", type=int, default=1000)
    parser.add_argument("--peer-python", help="a Python with faiss-cpu and numpy")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "x.npy"
        write(path, options.rows)
        k = str(options.centres)
        rows = [
            [f"scalekit, {name}", *measure(sys.executable, OURS, str(path), k, how)]
            for name, how in (("bfloat16", "half"), ("float32", "full"))
        ]
        if options.peer_python:
            rows.append(["faiss-cpu", *measure(options.peer_python, FAISS, str(path), k)])
        else:
            print("faiss-cpu is left out: give --peer-python")
    print(f"{options.rows:,} x 512, k = {k}")
    print_table(("engine", "CPU s", "wall s", "mean cosine", "memory MiB"), rows)


if __name__ == "__main__":
    main()

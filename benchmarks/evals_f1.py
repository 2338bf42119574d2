"""T5: the standard error of F1 on 14,042 items, against lm-eval's bootstrap of 100,000 draws.

lm-eval's bootstrap resamples items and calls scikit-learn's f1_score on each draw; written anew
here from its documentation, timed on a few draws and scaled up (it takes most of an hour).

    python benchmarks/evals_f1.py
"""

from __future__ import annotations

import time

import numpy as np
from sklearn.metrics import f1_score

from scalekit.evals import f1_standard_error


def main(n: int = 14_042, few: int = 200) -> None:
    # counts whose accuracy has the standard error .00415 and whose F1 has .00482, as in the
    # methods note that timed lm-eval (its own table is not stored)
    rng = np.random.default_rng(0)
    positive, right = 0.5227, 0.592
    share = [positive * right, positive * (1 - right), (1 - positive) * (1 - right)]
    counts = np.round(n * np.array(share)).astype(int)
    kinds = rng.permutation(np.repeat([0, 1, 2, 3], [*counts, n - counts.sum()]))
    actual, predicted = kinds <= 1, (kinds == 0) | (kinds == 2)
    start = time.process_time()
    ours = f1_standard_error(predicted, actual, resamples=100_000, rng=0)
    seconds = time.process_time() - start
    start = time.process_time()
    draws = [f1_score(actual[pick], predicted[pick]) for pick in rng.integers(0, n, (few, n))]
    peer = (time.process_time() - start) / few * 100_000
    print(f"{n} items, F1 {f1_score(actual, predicted):.4f}: standard error {ours:.5f} "
          f"in {seconds:.3f} CPU-s for 100,000 draws")  # fmt: skip
    print(f"item by item: {np.std(draws, ddof=1):.5f} from {few} draws (its own error "
          f"{100 / np.sqrt(2 * few):.0f}%), {peer:.0f} CPU-s for 100,000")  # fmt: skip
    p = np.array([np.mean(predicted & actual), np.mean(~predicted & actual),
                  np.mean(predicted & ~actual)])  # fmt: skip
    tp, fn, fp = p
    gradient = np.array([2 * (fn + fp), -2 * tp, -2 * tp]) / (2 * tp + fn + fp) ** 2
    delta = np.sqrt((gradient**2 @ p - (gradient @ p) ** 2) / n)
    print(
        f"delta method, no draws: {delta:.5f} (ours differs by {100 * abs(ours / delta - 1):.2f}%)"
    )


if __name__ == "__main__":
    main()

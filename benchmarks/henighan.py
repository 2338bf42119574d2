"""Henighan et al. 2020 (arXiv:2010.14701): conversions, and envelopes with a known exponent.

    python benchmarks/henighan.py

First table 3 from table 1: nats per token become nats per image by c_image = c_token T^(1/a)
(compute in PF-days) and E_image = T E_token. Then the exponent of N_opt(C) recovered from the
envelope of synthetic training curves whose law has each of their printed exponents.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

import scalekit as sk
from scalekit.units import PF_DAY

# domain: tokens an image, constant and c of L(C) per token, exponent, printed c and E per image
TABLES = {
    "8x8": (192, 3.13, 1.8e-8, 0.19, 1.9e3, 602),
    "16x16": (768, 2.64, 1.6e-8, 0.16, 1.7e10, 2026),
    "32x32": (3072, 2.21, 3.6e-9, 0.10, 2.7e26, 6806),
    "VQ 16x16": (256, 4.09, 6.1e-7, 0.11, 4.7e15, 1047),
    "VQ 32x32": (1024, 3.17, 2.6e-6, 0.12, 3.1e19, 3246),
}
N_OPT = {"language": 0.73, "image 8x8": 0.64, "image 16x16": 0.75, "video": 0.71, "math": 0.69}


def main() -> None:
    """Print both tables."""
    print("per image, refitted from the printed law per token (printed in brackets)")
    for name, (tokens, constant, c, a, printed_c, printed_e) in TABLES.items():
        flops = np.geomspace(1e-3, 1e3, 16) * PF_DAY
        loss = tokens * (constant + (flops / PF_DAY / c) ** -a)
        fit = sk.fit({"flops": flops, "loss": loss}, "power_constant", along="flops", resamples=0)
        scale = fit.params["A"] ** (1 / fit.params["alpha"]) / PF_DAY
        slip = "  <- the printed entry is a slip by ten" if scale / printed_c > 3 else ""
        print(f"  {name:9s} c {scale:.3g} [{printed_c:.2g}], E {fit.params['E']:.0f} "
              f"[{printed_e}]{slip}")  # fmt: skip
    print("exponent of N_opt(C) from the envelope of synthetic curves of 14 sizes")
    for name, exact in N_OPT.items():
        # E + A/N^alpha + B/D^beta has N* ~ C^(beta / (alpha + beta))
        alpha = 0.6 * (1 - exact)
        beta = 0.6 * exact
        sizes = np.geomspace(1e5, 3e9, 14)
        largest = 1e19 ** (1 - exact) * 1e4
        rows = []
        for size in sizes:
            tokens = np.geomspace(1e6, max(largest, 1e12), 80)
            loss = 2 + 3 * (sizes[0] / size) ** alpha + 3 * (1e8 / tokens) ** beta
            rows.append(pd.DataFrame({"run": f"{size:.3g}", "params": size, "tokens": tokens,
                                      "loss": loss}))  # fmt: skip
        found = sk.envelope(pd.concat(rows), rng=0)
        row = found.exponents.loc["params"]
        print(f"  {name:12s} true {exact:.2f}, found {row['estimate']:.3f} [{row['ci_lower']:.3f}, "
              f"{row['ci_upper']:.3f}]; loss exponent true {alpha * exact:.4f}, found "
              f"{found.loss_fit.params['alpha']:.4f}")  # fmt: skip


if __name__ == "__main__":
    main()

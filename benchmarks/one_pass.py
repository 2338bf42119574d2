"""Nine scores in one pass, with VoG's gradient too, and EL2N from bytes: prices in passes."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
import torch
from grand import turns
from measure import print_table
from score_cases import ResNet, forward_backward, make

from scalekit.selectors.scores.batch import Batch
from scalekit.selectors.scores.engine import Engine
from scalekit.selectors.scores.plan import compile_plan
from scalekit.selectors.scores.vog import InputGradients

NINE = ["loss", "el2n", "p_true", "entropy", "margin", "correct", "grand_last", "grand",
        "tracin_self"]  # fmt: skip


def passes(case: str, options: argparse.Namespace) -> list[list[str]]:
    model, x, y = make(case, options.device)
    host = Batch(np.arange(len(y)), np.arange(len(y)), x.cpu(), y.cpu())
    states = [model.state_dict()] * 2

    def engine(names: list[str], count: int = 1) -> Engine:
        return Engine(model, compile_plan(names, count), states if count > 1 else (),
                      device=options.device, dtype=options.dtype)  # fmt: skip

    nine, with_vog = engine(NINE), engine([*NINE, "vog"], 2)
    fisher = engine(["fisher_trace"])
    el2n = engine(["el2n"])
    runs: dict[str, Callable[[], Any]] = {
        "F+B": forward_backward(model, x, y, options.dtype),
        "EL2N": lambda: el2n.score(host),
        "nine scores": lambda: nine.score(host),
        "nine scores and VoG": lambda: with_vog.score(host, 0, InputGradients(model)),
        "Fisher trace": lambda: fisher.score(host),
    }
    seconds = turns(runs, options.repeats, options.device)
    asked = {"nine scores": "asked: .95", "nine scores and VoG": "asked: 1.3"}
    return [[case if name == "F+B" else "", name, *ratios(seconds[name], seconds["F+B"]),
             asked.get(name, "")] for name in runs]  # fmt: skip


def ratios(seconds: list[float], base: list[float]) -> list[str]:
    """Return the ratio of the least seconds, and the median of the ratios turn by turn."""
    return [f"{min(seconds) / min(base):.2f}", f"{np.median(np.divide(seconds, base)):.2f}"]


def bytes_to_el2n(options: argparse.Namespace) -> list[list[str]]:
    """EL2N from an array of bytes against a forward pass of ready float tensors."""
    torch.manual_seed(0)
    model = ResNet(16, 1, 3, "bn").to(options.device).eval()
    images = np.random.default_rng(0).integers(0, 256, (64, 3, 32, 32), dtype=np.uint8)
    labels = np.arange(64) % 10
    batch = Batch(np.arange(64), np.arange(64), images, labels)
    ready = torch.tensor(images, device=options.device).float().div_(255)
    last = ready.contiguous(memory_format=torch.channels_last)
    engine = Engine(model, compile_plan(["el2n"]), device=options.device, dtype=options.dtype)

    def forward(x: torch.Tensor) -> None:
        with (
            torch.no_grad(),
            torch.autocast(x.device.type, torch.bfloat16, enabled=options.dtype == "bfloat16"),
        ):
            model(x)

    runs: dict[str, Callable[[], Any]] = {
        "forward": lambda: forward(ready),
        "forward, channels last": lambda: forward(last),
        "EL2N from uint8": lambda: engine.score(batch),
    }
    seconds = turns(runs, options.repeats * 3, options.device)
    fastest = min(seconds["forward"], seconds["forward, channels last"], key=min)
    return [["ResNet-w16, in forwards" if name == "forward" else "", name,
             *ratios(seconds[name], fastest), "asked: 1.1" if "EL2N" in name else ""]
            for name in runs]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for case in ("transformer", "ResNet-18 GN", "ResNet-18 BN"):
        rows += passes(case, options)
    rows += bytes_to_el2n(options)
    print(f"{options.device}, {options.dtype}; ratios to one forward+backward (F+B)")
    print_table(["model", "pass", "ratio", "median", ""], rows)


if __name__ == "__main__":
    main()

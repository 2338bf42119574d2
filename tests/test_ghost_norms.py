"""Per-example gradient norms are those of autograd, to the last digits, on every kind of model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from scalekit.errors import InputError
from scalekit.selectors.scores import convolutions, uses
from scalekit.selectors.scores.convolutions import Geometry
from scalekit.selectors.scores.gradient_sum import mean_gradient
from scalekit.selectors.scores.passes import CheckError, GradientPass
from scalekit.selectors.scores.projector import Projector
from tests.score_models import cases, plain_gradients

CASES = cases()
DRAWS = torch.rand(5, 1)


def flat(gradients: list[dict[str, torch.Tensor]]) -> torch.Tensor:
    return torch.stack([torch.cat([g.flatten() for g in one.values()]) for one in gradients])


@pytest.mark.parametrize("name", CASES)
def test_norms_equal_autograd_to_1e_12(name: str) -> None:
    model, inputs, labels = CASES[name]
    exact = flat(plain_gradients(model, inputs, labels)).norm(dim=1)
    found = GradientPass(model, dtype="float64").run(inputs, labels, DRAWS)["loss"].total().sqrt()
    assert torch.allclose(found, exact, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", CASES)
def test_the_norm_of_each_parameter_equals_autograd(name: str) -> None:
    model, inputs, labels = CASES[name]
    exact = plain_gradients(model, inputs, labels)
    found = GradientPass(model, dtype="float64").run(inputs, labels, DRAWS)["loss"].norms2
    for parameter in exact[0]:
        expected = torch.stack([one[parameter].pow(2).sum() for one in exact])
        assert torch.allclose(found[parameter], expected, rtol=1e-10, atol=1e-25), parameter


@pytest.mark.parametrize("name", CASES)
def test_products_with_a_direction_equal_autograd(name: str) -> None:
    model, inputs, labels = CASES[name]
    exact = plain_gradients(model, inputs, labels)
    torch.manual_seed(1)
    direction = {k: torch.randn_like(p) for k, p in model.named_parameters()}
    found = GradientPass(model, directions={"v": direction}, dtype="float64")
    dots = found.run(inputs, labels, DRAWS)["loss"].dots["v"]
    expected = [sum((g * direction[k]).sum() for k, g in one.items()) for one in exact]
    assert torch.allclose(dots, torch.stack(expected), rtol=1e-10)


@pytest.mark.parametrize("name", ["mlp", "convolutions of all shapes", "tied language model",
                                  "transformer, padding mask"])  # fmt: skip
def test_products_of_sketches_estimate_products_of_gradients(name: str) -> None:
    """Unbiased: the mean over independent sketches comes near the exact Gram matrix."""
    model, inputs, labels = CASES[name]
    exact = flat(plain_gradients(model, inputs, labels))
    exact = exact @ exact.T
    grams = []
    for seed in range(20):
        one = GradientPass(model, projector=Projector(16, seed), dtype="float64", check=False)
        sketch = one.run(inputs, labels, DRAWS)["loss"].sketch
        grams.append(sketch @ sketch.T)
    error = (torch.stack(grams).mean(0) - exact).abs().mean() / exact.diag().mean()
    assert error < 0.12


def test_gradients_of_examples_sum_to_the_gradient_of_the_batch() -> None:
    model, inputs, labels = CASES["resnet, GroupNorm"]
    exact = flat(plain_gradients(model, inputs, labels)).mean(0)
    found, n = mean_gradient(model, [(inputs[:2], labels[:2]), (inputs[2:], labels[2:])])
    assert n == 5
    assert torch.allclose(torch.cat([g.flatten() for g in found.values()]), exact, rtol=1e-10)


@pytest.mark.parametrize("geometry", [
    Geometry((6, 4, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    Geometry((6, 4, 3, 3), (2, 2), (1, 1), (1, 1), 1),
    Geometry((6, 4, 3, 2), (1, 2), (0, 2), (2, 1), 1),
    Geometry((6, 4, 1, 1), (2, 2), (0, 0), (1, 1), 1),
    Geometry((4, 1, 5, 5), (1, 1), (2, 2), (1, 1), 4),
    Geometry((6, 2, 3, 3), (1, 1), (1, 1), (1, 1), 2),
], ids=str)  # fmt: skip
def test_all_rules_of_a_convolution_agree(geometry: Geometry) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 4, 9, 8).double()
    kernel = torch.randn(geometry.kernel).double()
    g = torch.randn_like(geometry.forward(x, kernel))
    expected = geometry.gradients(x, g).flatten(1).pow(2).sum(1)
    rules = geometry.rules(x, g)
    assert len(rules) >= (1 if geometry.is_depthwise else 2)
    for name, rule in rules.items():
        assert torch.allclose(rule(), expected, rtol=1e-12), name


def test_examples_taken_in_parts_give_the_same_norms(monkeypatch: pytest.MonkeyPatch) -> None:
    geometry = Geometry((6, 4, 3, 3), (1, 1), (1, 1), (1, 1), 1)
    x, g = torch.rand(7, 4, 8, 8, dtype=torch.double), torch.rand(7, 6, 8, 8, dtype=torch.double)
    whole = {name: rule() for name, rule in geometry.rules(x, g).items()}
    monkeypatch.setattr(convolutions, "ROOM", 2 * 6 * 4 * 9 * 8)  # two kernels at a time
    for name, rule in geometry.rules(x, g).items():
        assert torch.allclose(rule(), whole[name], rtol=1e-12), name


def test_parameters_without_a_rule_are_looped_and_named() -> None:
    model, inputs, labels = CASES["uses without a rule"]
    one_pass = GradientPass(model, dtype="float64")
    one_pass.run(inputs, labels, DRAWS)
    assert "up.weight" in one_pass.looped
    assert "memory.weight_ih_l0" in one_pass.looped
    assert "weight" in one_pass.looped
    assert "fc.weight" not in one_pass.looped


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_gradient_checkpointing_is_refused_in_words(use_reentrant: bool) -> None:
    from torch.utils.checkpoint import checkpoint

    first, last = nn.Linear(4, 8), nn.Linear(8, 3)
    model = nn.ModuleList([first, last])
    model.forward = lambda x: last(checkpoint(first, x, use_reentrant=use_reentrant))
    x, y = torch.randn(5, 4, requires_grad=True), torch.arange(5) % 3
    with pytest.raises(CheckError, match=r"gradient checkpointing.* Switch it off for scoring"):
        GradientPass(model).run(x, y, DRAWS)


def test_frozen_and_unused_parameters_do_not_count() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3)).double()
    model[0].requires_grad_(False)
    model.unused = nn.Parameter(torch.ones(3).double())
    model.forward = lambda x: model[1](model[0](x))
    x, y = torch.randn(5, 4).double(), torch.arange(5) % 3
    found = GradientPass(model, dtype="float64").run(x, y, DRAWS)["loss"]
    assert set(found.norms2) == {"1.weight", "1.bias"}


def test_the_users_gradients_are_left_as_they_were() -> None:
    model, inputs, labels = CASES["uses without a rule"]
    before = torch.randn_like(model.fc.weight)
    model.fc.weight.grad = before.clone()
    GradientPass(model, dtype="float64").run(inputs, labels, DRAWS)
    assert torch.equal(model.fc.weight.grad, before)
    assert model.up.weight.grad is None
    assert all(parameter.requires_grad for parameter in model.parameters())
    model.fc.weight.grad = None


class Mixing(nn.Module):
    """Centres over the batch, so that examples have no gradient of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x - x.mean(0))


def test_a_model_that_mixes_its_batch_is_refused() -> None:
    with pytest.raises(CheckError, match=r"plain autograd says .* Nothing was scored"):
        GradientPass(Mixing()).run(torch.randn(5, 4), torch.arange(5) % 3, DRAWS)


def test_a_batch_norm_that_trains_is_refused() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    with pytest.raises(InputError, match=r"Call model.eval\(\)"):
        GradientPass(model).run(torch.randn(5, 4), torch.arange(5) % 3, DRAWS)


class Positions(nn.Module):
    """Looks positions up by a vector [T], which is as long as the batch now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(9, 6), nn.Embedding(9, 6)
        self.fc = nn.Linear(6, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tokens(ids) + self.places(torch.arange(ids.shape[1]))
        return self.fc(x.mean(1).tanh())


def test_a_batch_as_long_as_the_sequence_is_counted_right_after_another_batch() -> None:
    model, ids = Positions().double(), torch.randint(0, 9, (8, 4))
    labels = torch.arange(8) % 3
    exact = flat(plain_gradients(model, ids, labels)).norm(dim=1)
    one_pass = GradientPass(model, dtype="float64")
    one_pass.run(ids, labels, torch.rand(8, 1))
    found = one_pass.run(ids[:4], labels[:4], DRAWS[:4])["loss"].total().sqrt()
    assert torch.allclose(found, exact[:4], rtol=1e-12)


def test_a_first_batch_as_long_as_the_sequence_is_refused_not_wrong() -> None:
    model, ids = Positions(), torch.randint(0, 9, (4, 4))
    with pytest.raises(CheckError, match=r"loop_params=\['places.weight'\]"):
        GradientPass(model).run(ids, torch.arange(4) % 3, DRAWS[:4])
    looped = GradientPass(model, loop_params=["places.weight"])
    assert looped.run(ids, torch.arange(4) % 3, DRAWS[:4])["loss"].total().shape == (4,)


def test_bfloat16_differs_by_percents_and_keeps_the_ranks() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU(),
                          nn.Linear(64, 5))  # fmt: skip
    x, y, draws = torch.randn(64, 32), torch.randint(0, 5, (64,)), torch.rand(64, 1)
    exact = GradientPass(model).run(x, y, draws)["loss"].total().sqrt()
    half = GradientPass(model, dtype="bfloat16").run(x, y, draws)["loss"].total().sqrt()
    assert half.dtype == torch.float32
    assert ((half - exact).abs() / exact).max() < 0.03
    ranks = np.corrcoef(half.argsort().argsort(), exact.argsort().argsort())[0, 1]
    assert ranks > 0.99


def test_the_fastest_rule_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uses, "TUNED", {})
    value = torch.ones(2)
    calls: list[str] = []

    def slow() -> torch.Tensor:
        calls.append("slow")
        sum(i * i for i in range(200_000))
        return value

    def quick() -> torch.Tensor:
        calls.append("quick")
        return value

    uses.fastest("key", {"slow": slow, "quick": quick})
    calls.clear()
    uses.fastest("key", {"slow": slow, "quick": quick})
    assert calls == ["quick"]

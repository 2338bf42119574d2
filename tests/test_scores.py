"""Scores: reference values, invariances, the plan, data in, and every kind of bad input."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F  # noqa: N812

import scalekit as sk
from scalekit.errors import InputError
from scalekit.selectors.scores.catalogue import CATALOGUE, scores
from scalekit.selectors.scores.outputs import OUTPUT_SCORES, Predictions
from scalekit.selectors.scores.plan import compile_plan
from scalekit.selectors.scores.table import ScoreTable
from tests.score_models import Encoder, ResNet, TiedLanguageModel, plain_gradients

ALL = ["loss", "el2n", "p_true", "entropy", "margin", "margin_probability", "correct",
       "grand_last", "grand", "tracin_self", "alignment", "fisher_trace", "lpntk_self",
       "sketch", "lpntk"]  # fmt: skip


def linear(seed: int = 0, inputs: int = 6, classes: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, classes)).eval()


def points(n: int = 30, inputs: int = 6, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(n, inputs)).astype(np.float32)
    return x, np.arange(n) % classes


def at(logits: Any, labels: Any) -> Predictions:
    return Predictions(torch.tensor(logits, dtype=torch.float64), torch.tensor(labels))


# the catalogue


@pytest.mark.parametrize("name", CATALOGUE)
def test_an_entry_says_what_it_is_and_whence(name: str) -> None:
    entry = scores(name)[0]
    assert entry.equation
    assert entry.cost
    assert entry.when
    assert entry.source


def test_each_score_of_a_forward_pass_is_in_the_catalogue() -> None:
    assert set(OUTPUT_SCORES) <= set(CATALOGUE)


def test_an_unknown_score_gets_the_nearest_name() -> None:
    with pytest.raises(InputError, match="Did you mean 'el2n'"):
        sk.score(points(), model=linear(), scores=["eln2"])


def test_a_score_of_recorded_dynamics_says_how_to_get_it() -> None:
    with pytest.raises(InputError, match="Record them with Recorder"):
        compile_plan(["aum"])


# values


def test_el2n_of_uniform_probabilities_and_its_maximum() -> None:
    """sqrt(1 - 1/C) = .948683 at C = 10, and sqrt(2) (Paul et al. 2021)."""
    assert OUTPUT_SCORES["el2n"](at([[0.0] * 10], [3])).item() == pytest.approx(0.948683, abs=5e-7)
    wrong = [[100.0] + [0.0] * 9]
    assert OUTPUT_SCORES["el2n"](at(wrong, [3])).item() == pytest.approx(2**0.5)


def test_margins_are_to_the_best_other_class() -> None:
    seen = at([[1.0, 4.0, 2.0], [1.0, 4.0, 2.0]], [1, 0])
    assert OUTPUT_SCORES["margin"](seen).tolist() == [2.0, -3.0]


def test_certain_predictions_have_finite_scores() -> None:
    seen = at([[1e4, 0.0]], [0])
    for name, function in OUTPUT_SCORES.items():
        assert torch.isfinite(function(seen)).all(), name
    assert OUTPUT_SCORES["entropy"](seen).item() == 0


def test_tokens_that_do_not_count_do_not_count() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 4, 5), torch.randint(0, 5, (2, 4))
    masked = labels.clone()
    masked[:, 2:] = -100
    for function in OUTPUT_SCORES.values():
        assert torch.allclose(
            function(Predictions(logits, masked)),
            function(Predictions(logits[:, :2], labels[:, :2])),
        )


def test_full_grand_of_softmax_regression_is_el2n_times_the_input() -> None:
    """|dL/dW, dL/db| = EL2N sqrt(1 + |x|^2), and the last layer is then the whole model."""
    x, y = points()
    table = sk.score((x, y), model=nn.Linear(6, 3), scores=["el2n", "grand", "grand_last"]).frame
    expected = table["el2n"] * np.sqrt(1 + (x**2).sum(1))
    np.testing.assert_allclose(table["grand"], expected, rtol=1e-5)
    np.testing.assert_allclose(table["grand_last"], expected, rtol=1e-5)


def test_tracin_of_one_checkpoint_is_the_squared_norm() -> None:
    frame = sk.score(points(), model=linear(), scores=["grand", "tracin_self"]).frame
    np.testing.assert_allclose(frame["tracin_self"], frame["grand"] ** 2, rtol=1e-5)


def test_all_gradient_scores_equal_their_definitions() -> None:
    (x, y), model = points(12), linear().double()
    asked = ["alignment", "lpntk_self", "grand", "tracin_to_set"]
    ours = sk.score((x, y), model=model, scores=asked, reference=points(7), dtype="float64").frame
    alone = sk.score((x, y), model=model, scores=["alignment"], dtype="float64").frame
    inputs, labels = torch.tensor(x).double(), torch.tensor(y)
    g = torch.stack([torch.cat([v.flatten() for v in one.values()])
                     for one in plain_gradients(model, inputs, labels)])  # fmt: skip
    set_mean = g[:0].new_zeros(g.shape[1])
    x7, y7 = points(7)
    for one in plain_gradients(model, torch.tensor(x7).double(), torch.tensor(y7)):
        set_mean += torch.cat([v.flatten() for v in one.values()]) / 7
    np.testing.assert_allclose(ours["tracin_to_set"], g @ set_mean, rtol=1e-9)
    rest = (g.sum(0) - g) / 11
    np.testing.assert_allclose(alone["alignment"], F.cosine_similarity(g, rest), rtol=1e-9)
    signs = 2 * F.one_hot(labels, 3) - 1
    phi = (model(inputs) * signs).sum(1) / 3**0.5
    for i in range(12):
        grads = torch.autograd.grad(phi[i], list(model.parameters()), retain_graph=True)
        norm2 = sum(float(v.pow(2).sum()) for v in grads)
        assert ours["lpntk_self"][i] == pytest.approx(norm2, rel=1e-9)


def test_the_fisher_trace_averages_over_the_models_own_labels() -> None:
    """E_{k ~ p} |grad log p_k|^2, here exactly, against the mean over many seeds."""
    (x, y), model = points(8), linear().double()
    inputs = torch.tensor(x).double()
    p = model(inputs).softmax(1).detach()
    exact = 0.0
    for k in range(3):
        grads = plain_gradients(model, inputs, torch.full((8,), k))
        exact += sum(float(p[i, k] * sum(v.pow(2).sum() for v in g.values()))
                     for i, g in enumerate(grads))  # fmt: skip
    draws = [
        sk.score((x, y), model=model, scores=["fisher_trace"], dtype="float64", seed=seed,
                 check=False).frame["fisher_trace"].sum()
        for seed in range(200)
    ]  # fmt: skip
    assert np.mean(draws) == pytest.approx(exact, abs=4 * np.std(draws) / 200**0.5)


def checkpoints(count: int = 3) -> list[dict[str, torch.Tensor]]:
    return [{k: v.clone() for k, v in linear(seed).state_dict().items()} for seed in range(count)]


def test_vog_equals_its_definition_and_is_zero_for_constant_gradients() -> None:
    (x, y), states = points(9), checkpoints()
    table = sk.score((x, y), model=linear(), checkpoints=states, scores=["vog", "vog_paper"])
    grads = []
    for state in states:
        model = linear()
        model.load_state_dict(state)
        inputs = torch.tensor(x).requires_grad_(True)
        model(inputs)[torch.arange(9), torch.tensor(y)].sum().backward()
        grads.append(inputs.grad.numpy())
    stack = np.stack(grads)
    np.testing.assert_allclose(table.frame["vog"], stack.std(0).mean(1), rtol=1e-4)
    paper = (((stack - stack.mean(0)) ** 2).sum(0) / 3**0.5).mean(1)
    np.testing.assert_allclose(table.frame["vog_paper"], paper, rtol=1e-4)
    same = sk.score((x, y), model=linear(), checkpoints=[states[0]] * 3, scores=["vog"])
    assert same.frame["vog"].max() < 1e-6
    z = table.normalise("vog").frame.groupby("label")["vog_z"]
    np.testing.assert_allclose(z.mean(), 0, atol=1e-6)


def test_vog_of_text_takes_the_embedding_and_leaves_padding_out() -> None:
    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.fc = nn.Embedding(10, 4), nn.Linear(4, 3)

        def forward(self, ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            x = self.tokens(ids).tanh() * attention_mask[..., None]
            return self.fc(x.sum(1))

    torch.manual_seed(0)
    model, states = Padded(), []
    for _ in range(2):
        states.append({k: torch.randn_like(v) for k, v in model.state_dict().items()})
    short = {"ids": np.array([[1, 2]]), "attention_mask": np.ones((1, 2), int)}
    padded = {"ids": np.array([[1, 2, 0, 0]]), "attention_mask": np.array([[1, 1, 0, 0]])}
    values = [
        sk.score((one, np.array([1])), model=model, checkpoints=states, scores=["vog"]).frame["vog"]
        for one in (short, padded)
    ]
    assert values[0][0] == pytest.approx(values[1][0], rel=1e-5)


class PositionsFirst(nn.Module):
    def __init__(self, positions: int = 16) -> None:
        super().__init__()
        self.position, self.token = nn.Embedding(positions, 4), nn.Embedding(30, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        places = self.position(torch.arange(ids.shape[1]))
        return self.head((self.token(ids) * places).tanh().sum(1))


def test_vog_takes_the_embedding_of_tokens_not_that_of_positions() -> None:
    ids = np.random.default_rng(0).integers(0, 30, (5, 7))
    models = [PositionsFirst(), PositionsFirst()]
    gradients = []
    for model in models:
        embedded = model.token(torch.tensor(ids)).detach().requires_grad_()
        z = model.head((embedded * model.position.weight[:7]).tanh().sum(1))
        z[:, 1].sum().backward()
        gradients.append(embedded.grad)
    expected = torch.stack(gradients).std(0, unbiased=False).mean((1, 2))
    states = [model.state_dict() for model in models]
    table = sk.score((ids, np.ones(5, int)), model=PositionsFirst(), scores=["vog"],
                     checkpoints=states)  # fmt: skip
    np.testing.assert_allclose(table.frame["vog"], expected, rtol=1e-5)
    many = [PositionsFirst(99).state_dict() for _ in range(2)]
    with pytest.raises(InputError, match=r"embedding's output \[7, 4\] .* each of the 5 examples"):
        sk.score((ids, np.ones(5, int)), model=PositionsFirst(99), scores=["vog"],
                 checkpoints=many)  # fmt: skip


class PixelsAndKind(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.kind, self.head = nn.Embedding(2, 4), nn.Linear(10, 3)

    def forward(self, pixels: torch.Tensor, kind: torch.Tensor) -> torch.Tensor:
        return self.head(torch.cat([pixels, self.kind(kind)], 1))


def test_vog_takes_the_pixels_where_they_come_first_of_several_inputs() -> None:
    (x, y), models = points(6), [PixelsAndKind(), PixelsAndKind()]
    table = sk.score(
        pd.DataFrame({"x": list(x), "label": y}), model=PixelsAndKind(), scores=["vog"],
        checkpoints=[model.state_dict() for model in models],
        prepare=lambda columns: ((columns["x"], np.zeros(6, int)), columns["label"]),
    )  # fmt: skip
    weights = torch.stack([model.head.weight[:, :6] for model in models]).detach()
    np.testing.assert_allclose(table.frame["vog"], weights.std(0, unbiased=False).mean(1)[y],
                               rtol=1e-5)  # fmt: skip


def test_scores_of_checkpoints_are_means_with_standard_errors() -> None:
    states, rates = checkpoints(), [0.1, 0.2, 0.3]
    table = sk.score(points(), model=linear(), checkpoints=states, learning_rates=rates,
                     scores=["el2n", "tracin_self", "sketch"])  # fmt: skip
    single = []
    for state in states:
        model = linear()
        model.load_state_dict(state)
        single.append(sk.score(points(), model=model, scores=["el2n", "tracin_self"]).frame)
    el2n = np.stack([one["el2n"] for one in single])
    np.testing.assert_allclose(table.frame["el2n"], el2n.mean(0), rtol=1e-5)
    np.testing.assert_allclose(table.frame["el2n_se"], el2n.std(0, ddof=1) / 3**0.5, rtol=1e-3)
    total = sum(rate * one["tracin_self"] for rate, one in zip(rates, single, strict=True))
    np.testing.assert_allclose(table.frame["tracin_self"], total, rtol=1e-5)
    gram = table.gram("tracin")
    np.testing.assert_allclose(np.diag(gram), total, rtol=1e-5)


# invariances


@settings(max_examples=8, deadline=None)
@given(batch=st.integers(1, 40), seed=st.integers(0, 99))
def test_neither_batch_size_nor_order_changes_a_score(batch: int, seed: int) -> None:
    x, y = points()
    order = np.random.default_rng(seed).permutation(len(y))
    asked = [name for name in ALL if name != "fisher_trace"]  # its draws belong to rows
    base = sk.score((x, y), model=linear(), scores=asked)
    moved = sk.score(
        (x[order], y[order]), model=linear(), scores=asked, batch_size=batch, ids=order
    )
    frame = moved.frame.sort_values("id").reset_index(drop=True)
    pd.testing.assert_frame_equal(frame, base.frame, check_dtype=False, rtol=1e-4, atol=1e-5)


def test_equal_examples_have_equal_scores() -> None:
    x, y = points(4)
    frame = sk.score((np.tile(x, (2, 1)), np.tile(y, 2)), model=linear(), scores=ALL[:10]).frame
    np.testing.assert_allclose(frame.iloc[:4, 1:], frame.iloc[4:, 1:], rtol=1e-5)


def test_images_of_bytes_are_scaled_to_0_to_1() -> None:
    torch.manual_seed(0)
    model = ResNet(lambda c: nn.GroupNorm(4, c)).eval()
    x = np.random.default_rng(0).integers(0, 256, (6, 3, 8, 8), dtype=np.uint8)
    y = np.arange(6) % 5
    ours = sk.score((x, y), model=model, scores=["el2n", "grand"]).frame
    real = sk.score((x / np.float32(255), y), model=model, scores=["el2n", "grand"]).frame
    pd.testing.assert_frame_equal(ours, real, rtol=1e-4)


def test_token_models_are_scored_by_their_tokens() -> None:
    torch.manual_seed(0)
    model, ids = TiedLanguageModel().eval(), torch.randint(1, 30, (6, 9))
    labels = ids.roll(-1, 1)
    labels[:, -1] = -100
    frame = sk.score((ids, labels), model=model, scores=["loss", "grand", "grand_last"]).frame
    losses = F.cross_entropy(model(ids)[:, :-1].flatten(0, 1), labels[:, :-1].flatten(),
                             reduction="none").reshape(6, 8).mean(1)  # fmt: skip
    np.testing.assert_allclose(frame["loss"], losses.detach(), rtol=1e-5)
    assert "label" not in frame


def test_per_layer_norms_add_up() -> None:
    frame = sk.score(points(), model=linear(), scores=["grand"], per_layer=True).frame
    parts = frame[[name for name in frame if name.startswith("grand:")]]
    assert parts.shape[1] == 4
    np.testing.assert_allclose((parts**2).sum(axis=1), frame["grand"] ** 2, rtol=1e-5)


# the plan


def test_the_plan_tells_passes_cost_time_and_memory_first(capsys: pytest.CaptureFixture) -> None:
    sk.score(points(), model=linear(), scores=["el2n", "grand"], quiet=False)
    told = capsys.readouterr().err
    assert "forward + backward to activations (loss) + ghost norms: about 0.92 x" in told
    assert "30 examples, about" in told
    assert "MiB" in told


def test_scores_of_a_forward_pass_need_no_backward_pass() -> None:
    assert compile_plan(["el2n", "margin", "grand_last"]).is_forward_only
    assert not compile_plan(["grand"]).is_forward_only


@pytest.mark.parametrize(("asked", "message"), [
    (["vog"], "needs at least two"), (["tracin_to_set"], "give reference"), ([], "No score"),
])  # fmt: skip
def test_a_plan_says_what_a_score_needs(asked: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sk.score(points(), model=linear(), scores=asked)


def test_a_large_batch_is_fitted_to_the_memory_budget() -> None:
    x, y = points(64)
    table = sk.score((x, y), model=linear(), scores=["grand"], memory_budget=4000)
    assert any(note.code == "batch_fitted" for note in table.notes)
    full = sk.score((x, y), model=linear(), scores=["grand"])
    np.testing.assert_allclose(table.frame["grand"], full.frame["grand"], rtol=1e-5)


class Hungry(nn.Module):
    """Runs out of memory above four examples."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > 4:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return self.fc(x)


def test_where_memory_runs_out_the_batch_halves_and_says_so() -> None:
    table = sk.score(points(), model=Hungry(), scores=["el2n", "grand"], batch_size=30)
    assert len(table) == 30
    assert any("down to 3" in note.message for note in table.notes)


def test_a_compiled_model_is_scored_at_its_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names in its state dict have a prefix, which the files of weights do not have."""
    import functools

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    options: dict[str, Any] = {"scores": ["el2n"], "checkpoints": checkpoints(2)}
    table = sk.score(points(), model=linear(), compile=True, **options)
    plain = sk.score(points(), model=linear(), **options)
    pd.testing.assert_frame_equal(table.frame, plain.frame, rtol=1e-5)
    assert table.run["model"] == plain.run["model"]


def test_compile_is_for_forward_passes() -> None:
    with pytest.raises(InputError, match="forward pass only"):
        sk.score(points(), model=linear(), scores=["grand"], compile=True)


# data in


class Items(torch.utils.data.Dataset):
    def __init__(self, broken: int | None = None) -> None:
        self.x, self.y = points()
        self.broken = broken

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, row: int) -> Any:
        if row == self.broken:
            raise OSError("truncated image")
        return torch.from_numpy(self.x[row]), int(self.y[row])


class Stream:
    def __iter__(self) -> Iterator[dict[str, Any]]:
        x, y = points()
        return iter({"x": x[i], "label": int(y[i]), "id": f"n{i}"} for i in range(30))


def frame_of_lists() -> pd.DataFrame:
    x, y = points()
    return pd.DataFrame({"x": list(x), "label": y, "id": [f"n{i}" for i in range(30)]})


def sources(folder: Path) -> dict[str, tuple[Any, dict[str, Any]]]:
    x, y = points()
    frame = frame_of_lists()
    frame.to_parquet(folder / "a.parquet", row_group_size=7)
    frame.to_json(folder / "a.jsonl", orient="records", lines=True)
    (folder / "many").mkdir()
    frame.iloc[:11].to_parquet(folder / "many" / "1.parquet")
    frame.iloc[11:].to_parquet(folder / "many" / "2.parquet")
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    np.savez(folder / "xy.npz", inputs=x, labels=y)
    wide = pd.DataFrame(x, columns=list("abcdef")).assign(label=y)
    return {
        "arrays": ((x, y), {}),
        "tensors": ((torch.tensor(x), torch.tensor(y)), {}),
        "labels beside": (x, {"labels": y}),
        "torch dataset": (Items(), {}),
        "Parquet": (folder / "a.parquet", {}),
        "JSON lines": (folder / "a.jsonl", {}),
        "folder": (folder / "many", {}),
        "memory-mapped": (folder / "x.npy", {"labels": folder / "y.npy"}),
        "npz": (folder / "xy.npz", {}),
        "table of lists": (frame, {}),
        "table of numbers": (wide, {"label": "label"}),
        "stream": (Stream(), {}),
        "prepare": (wide.assign(more="text"), {
            "prepare": lambda c: np.stack([c[k] for k in "abcdef"], 1).astype(np.float32)}),
    }  # fmt: skip


def test_all_sources_give_the_same_scores(tmp_path: Path) -> None:
    asked = ["loss", "grand"]
    expected = sk.score(points(), model=linear(), scores=asked).frame[asked]
    for name, (data, options) in sources(tmp_path).items():
        table = sk.score(data, model=linear(), scores=asked, batch_size=8, **options)
        np.testing.assert_allclose(table.frame[asked], expected, rtol=2e-5, err_msg=name)


def test_ids_are_the_column_id_or_row_numbers() -> None:
    named = sk.score(frame_of_lists(), model=linear(), scores=["el2n"]).frame
    assert named["id"].tolist()[:2] == ["n0", "n1"]
    assert sk.score(Items(), model=linear(), scores=["el2n"]).frame["id"].tolist()[:2] == [0, 1]


def test_a_table_of_scores_is_saved_and_loaded(tmp_path: Path) -> None:
    table = sk.score(frame_of_lists(), model=linear(), scores=["el2n", "sketch"])
    back = sk.load(table.save(tmp_path / "scores.json"))
    assert isinstance(back, ScoreTable)
    pd.testing.assert_frame_equal(back.frame, table.frame, check_dtype=False)
    np.testing.assert_array_equal(back.vectors["sketch"], table.vectors["sketch"])
    assert "30 examples" in table.summary()


# bad input


@pytest.mark.parametrize(("label", "found"), [(3, "Label 3"), (-1, "Label -1")])
def test_a_label_out_of_range_names_the_example(label: int, found: str) -> None:
    x, y = points()
    y = y.copy()
    y[17] = label
    with pytest.raises(InputError, match=rf"Example id 17 .*{found}.*labels must be 0 to 2"):
        sk.score((x, y), model=linear(), scores=["el2n"])


def test_labels_that_are_real_numbers_are_refused() -> None:
    x, y = points()
    with pytest.raises(InputError, match="labels must be integers"):
        sk.score((x, y / 2), model=linear(), scores=["el2n"])


def test_nan_logits_name_the_example_and_can_be_skipped() -> None:
    x, y = points()
    x = x.copy()
    x[5] = np.nan
    with pytest.raises(InputError, match=r"id 5 .*NaN or infinite logits"):
        sk.score((x, y), model=linear(), scores=["grand"])
    table = sk.score((x, y), model=linear(), scores=["grand"], skip_bad=True)
    assert len(table) == 29
    assert 5 not in table.frame["id"].tolist()
    assert table.provenance.rows_left_out == {"could not be scored": 1}
    assert any(note.code == "skipped" and "5 (" in note.message for note in table.notes)


def test_an_item_that_raises_is_named_and_can_be_skipped() -> None:
    with pytest.raises(InputError, match=r"id 3 .*truncated image"):
        sk.score(Items(broken=3), model=linear(), scores=["grand"])
    table = sk.score(Items(broken=3), model=linear(), scores=["grand"], skip_bad=True, batch_size=4)
    assert table.frame["id"].tolist() == [i for i in range(30) if i != 3]


def test_bad_examples_can_be_skipped_over_several_checkpoints() -> None:
    x, y = points()
    x = x.copy()
    x[5] = np.nan
    table = sk.score((x, y), model=linear(), checkpoints=checkpoints(), scores=["vog", "el2n"],
                     skip_bad=True, batch_size=4)  # fmt: skip
    clean = sk.score((np.delete(x, 5, 0), np.delete(y, 5)), model=linear(),
                     checkpoints=checkpoints(), scores=["vog", "el2n"])  # fmt: skip
    np.testing.assert_allclose(table.frame["vog"], clean.frame["vog"], rtol=1e-4)


def test_when_every_example_fails_the_cause_is_told_not_skipped() -> None:
    with pytest.raises(InputError, match=r"All 30 .*cannot be multiplied.*\[30, 5\] float32"):
        sk.score(points(inputs=5), model=linear(), scores=["el2n"], skip_bad=True)


@pytest.mark.parametrize("model", [
    nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3)), nn.Sequential(nn.Dropout(), nn.Linear(6, 3)),
])  # fmt: skip
def test_a_model_in_training_mode_is_refused(model: nn.Module) -> None:
    with pytest.raises(InputError, match=r"Call model.eval\(\) first"):
        sk.score(points(), model=model, scores=["el2n"])


@pytest.mark.parametrize("classes", [1, 3])
def test_an_output_of_the_wrong_shape_is_told(classes: int) -> None:
    model = nn.Linear(6, 1) if classes == 1 else nn.Sequential(nn.Linear(6, 3), nn.Flatten(0))
    with pytest.raises(InputError, match=r"output of shape .* Scores need logits"):
        sk.score(points(), model=model, scores=["el2n"])


@pytest.mark.parametrize("data", ["arrays", "table", "stream"])
def test_ids_that_are_not_unique_are_named(data: str) -> None:
    frame = frame_of_lists()
    frame.loc[9, "id"] = "n4"
    rows = frame.to_dict("records")

    class Twice:
        def __iter__(self) -> Iterator[Any]:
            return iter(rows)

    x, y = points()
    given: dict[str, Any] = {"arrays": (x, y), "table": frame, "stream": Twice()}
    with pytest.raises(InputError, match=r"not unique.*n4"):
        sk.score(given[data], model=linear(), scores=["el2n"],
                 ids=frame["id"].to_numpy() if data == "arrays" else None)  # fmt: skip


@pytest.mark.parametrize(("data", "options", "message"), [
    (frame_of_lists().assign(text="a"), {}, "Column 'text' holds text"),
    (frame_of_lists(), {"label": "lable"}, "Did you mean 'label'"),
    (frame_of_lists().drop(columns="label"), {}, "no label column"),
    (points()[0], {}, "Cannot tell the labels"),
    ((points()[0], np.arange(4)), {}, "differ in length"),
    ("missing.parquet", {}, "There is no data at missing.parquet"),
    (points(), {"learning_rates": [1, 2]}, "2 learning rates for 1"),
    (points(), {"dtype": "float16"}, "dtype must be one of"),
    (points(), {"device": "cuda:99"}, "cannot be used here"),
    (points(), {"batch_size": 0}, "at least 1"),
    (points(), {"memory_budget": -1}, "memory_budget must be at least 1; got -1"),
    (points(), {"learning_rates": [-0.1]}, r"Learning rates must be 0 or more; got \[-0.1\]"),
    (points(), {"shard_rows": -5}, "shard_rows must be at least 1; got -5"),
    (points(), {"engine": "dask"}, "'local' or 'ray'"),
    ((np.zeros((0, 6), np.float32), np.zeros(0, int)), {}, "empty"),
])  # fmt: skip
def test_bad_arguments_say_what_to_do(data: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sk.score(data, model=linear(), scores=["el2n"], **options)


class Scaled(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) / 5


class WithAuxiliaryHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head, self.auxiliary = nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.head(x)
        self.auxiliary(3 * x)
        return z


@pytest.mark.parametrize(
    "model",
    [
        Scaled(6, 3),
        nn.Sequential(nn.Linear(6, 3), nn.Softplus()),
        WithAuxiliaryHead(),
    ],
)
def test_grand_last_is_refused_where_the_logits_are_not_what_the_last_linear_layer_returned(
    model: nn.Module,
) -> None:
    with pytest.raises(InputError, match=r"they are not what it returned. Ask for 'grand' instead"):
        sk.score(points(), model=model, scores=["grand_last"])


@pytest.mark.parametrize("options", [
    {"dtype": "float64"},
    {"checkpoints": [linear(1).state_dict(), linear(2).state_dict()]},
    {"checkpoints": [linear(1).state_dict()], "dtype": "float64"},
])  # fmt: skip
def test_scoring_leaves_the_model_as_it_was(options: dict[str, Any]) -> None:
    model = nn.Sequential(nn.BatchNorm1d(6).eval(), linear())
    if "checkpoints" in options:
        model = linear()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    identities = [id(parameter) for parameter in model.parameters()]
    sk.score(points(), model=model, scores=["el2n", "grand"], **options)
    after = model.state_dict()
    assert {name: value.dtype for name, value in after.items()} == {
        name: value.dtype for name, value in before.items()
    }
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert [id(parameter) for parameter in model.parameters()] == identities


def test_coherence_leaves_the_dtype_of_the_model_as_it_was() -> None:
    model = linear()
    sk.gradient_coherence(points(), model=model, dtype="float64")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_a_table_of_sketches_alone_says_so() -> None:
    table = sk.score(points(), model=linear(), scores=["sketch"])
    assert table.summary() == "30 examples, sketch [1024 numbers]"


def test_any_whole_number_is_a_seed() -> None:
    asked = ["fisher_trace", "sketch"]
    tables = [sk.score(points(), model=linear(), scores=asked, seed=seed) for seed in (-3, -3, 3)]
    first, again, other = (table.frame["fisher_trace"].to_numpy() for table in tables)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_products_over_checkpoints_agree_with_the_norms_on_the_diagonal() -> None:
    (x, y), count = points(), 4
    twice = (np.concatenate([x, x]), np.concatenate([y, y]))
    table = sk.score(
        twice, model=linear(), checkpoints=[linear(seed).state_dict() for seed in range(count)],
        scores=["tracin", "tracin_self", "lpntk", "lpntk_self"],
    )  # fmt: skip
    for kind in ("tracin", "lpntk"):
        products = table.gram(kind)
        norms, with_its_double = np.diag(products)[:30], np.diag(products[:30, 30:])
        assert 0.8 < (with_its_double / norms).mean() < 1.25


def test_grand_last_needs_a_linear_head() -> None:
    with pytest.raises(InputError, match="Ask for 'grand' instead"):
        sk.score((torch.randint(1, 30, (6, 9)), np.arange(6) % 5),
                 model=nn.Sequential(Encoder().eval(), nn.Unflatten(1, (5, 1)), nn.Linear(1, 1),
                                     nn.Flatten()), scores=["grand_last"])  # fmt: skip

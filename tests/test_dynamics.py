"""Recorded dynamics, and scores that compare models: reference values and unmodified loops."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
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
from scalekit.errors import InputError, OutputError
from scalekit.selectors.scores.dynamics import reduce_run
from scalekit.selectors.scores.models import (
    ensemble_difficulty,
    memorisation,
    opposing_groups,
    pvi,
    sampling_weights,
)
from tests.score_models import plain_gradients


def history(correct: Iterable[float], p: Iterable[float] | None = None) -> pd.DataFrame:
    right = np.array(list(correct), float)
    p_true = right if p is None else np.array(list(p))
    return pd.DataFrame({
        "id": 7, "step": np.arange(len(right)), "epoch": np.arange(len(right)), "correct": right,
        "p_true": p_true, "margin": p_true, "el2n": 1 - p_true, "loss": 1 - p_true,
    })  # fmt: skip


# reducers


def test_forgetting_counts_changes_from_right_to_wrong() -> None:
    """0, 1, 0, 1, 1, 0 is forgotten twice (Toneva et al. 2019)."""
    assert reduce_run(history([0, 1, 0, 1, 1, 0]))["forgetting"][7] == 2


@pytest.mark.parametrize(("rule", "value"), [
    ("inf", np.inf), ("presentations", 3.0), ("thousand", 1000.0),
])  # fmt: skip
def test_what_was_never_learned_has_the_value_that_was_asked_for(rule: Any, value: float) -> None:
    assert reduce_run(history([0, 0, 0]), rule)["forgetting"][7] == value


def test_cartography_of_a_known_history() -> None:
    """p = .2, .8, .6 has confidence .53333 and variability .24944 (population)."""
    found = reduce_run(history([0, 1, 1], [0.2, 0.8, 0.6])).loc[7]
    assert found["confidence"] == pytest.approx(0.53333, abs=5e-6)
    assert found["variability"] == pytest.approx(0.24944, abs=5e-6)
    assert found["correctness"] == pytest.approx(2 / 3)
    assert found["aum"] == pytest.approx(0.53333, abs=5e-6)
    assert found["opposing"] == pytest.approx(0.6)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=20), st.integers(0, 99))
def test_the_order_of_rows_does_not_matter_to_the_reducers(right: list[bool], seed: int) -> None:
    frame = pd.concat([history(right), history(right[::-1]).assign(id=8)])
    mixed = frame.sample(frac=1, random_state=seed)
    pd.testing.assert_frame_equal(reduce_run(mixed), reduce_run(frame))


# the recorder


def train(model: nn.Module, folder: Path, epochs: int = 3, rank: int = 0) -> sk.Recorder:
    torch.manual_seed(0)
    x, y = torch.randn(12, 4), torch.arange(12) % 3
    optimiser = torch.optim.SGD(model.parameters(), 0.5)
    with sk.Recorder(model, folder, rank=rank) as recorder:
        for _ in range(epochs):
            for rows in torch.randperm(12).split(5):
                recorder.batch(rows, y[rows])
                F.cross_entropy(model(x[rows]), y[rows]).backward()
                optimiser.step()
                optimiser.zero_grad()
            recorder.end_epoch()
    return recorder


def test_a_plain_loop_is_recorded_and_trains_the_same(tmp_path: Path) -> None:
    torch.manual_seed(1)
    watched, free = nn.Linear(4, 3), nn.Linear(4, 3)
    free.load_state_dict(watched.state_dict())
    recorder = train(watched, tmp_path / "a")
    assert recorder.rows == 36
    dynamics = sk.read_dynamics(tmp_path / "a")
    assert (dynamics.frame.groupby("id").size() == 3).all()
    assert dynamics.matrix("p_true").shape == (3, 12)
    table = dynamics.scores()
    assert {"forgetting", "confidence", "variability", "aum", "el2n_mean"} <= set(table.scores)
    assert table.direction("aum") == "easy"
    assert not watched._forward_hooks
    dynamics.plot()


def test_several_runs_give_means_and_standard_errors(tmp_path: Path) -> None:
    for seed in range(3):
        torch.manual_seed(seed)
        train(nn.Linear(4, 3), tmp_path / str(seed))
    folders = [tmp_path / str(seed) for seed in range(3)]
    frame = sk.read_dynamics(folders).scores().frame.set_index("id")
    each = [sk.read_dynamics(folder).scores().frame.set_index("id") for folder in folders]
    aum = np.stack([one["aum"] for one in each])
    np.testing.assert_allclose(frame["aum"], aum.mean(0))
    np.testing.assert_allclose(frame["aum_se"], aum.std(0, ddof=1) / 3**0.5)


def test_ranks_write_side_by_side_and_repeats_of_a_sampler_are_dropped(tmp_path: Path) -> None:
    for rank in (0, 1):
        torch.manual_seed(0)
        train(nn.Linear(4, 3), tmp_path / "a", rank=rank)
    dynamics = sk.read_dynamics(tmp_path / "a")
    assert len(dynamics.frame) == 36
    assert "36 rows with the same id and step" in dynamics.notes[0].message
    with pytest.raises(OutputError, match="rank 0 already"):
        sk.Recorder(nn.Linear(4, 3), tmp_path / "a", rank=0)


class Keyword(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.fc(x)
        return {"loss": F.cross_entropy(logits, labels), "logits": logits}


def test_the_id_column_is_taken_out_before_the_model_sees_it(tmp_path: Path) -> None:
    model = Keyword()
    batch = {"x": torch.randn(4, 4), "labels": torch.arange(4) % 3,
             "example_id": torch.tensor([3, 1, 4, 5])}  # fmt: skip
    with sk.Recorder(model, tmp_path) as recorder:
        model(**batch)
        model.eval()(**batch)  # evaluation is not training
    assert recorder.rows == 4
    assert sk.read_dynamics(tmp_path).frame["id"].tolist() == [3, 1, 4, 5]


def test_snapshots_record_the_whole_set_at_a_dense_cadence(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Dropout())
    x, y = torch.randn(6, 4), torch.arange(6) % 3
    with sk.Recorder(model, tmp_path) as recorder:
        for _ in range(4):
            recorder.batch(torch.arange(3), y[:3])
            model(x[:3])
            recorder.snapshot(model, [(torch.arange(6), x, y)], every=2)
        assert model.training
    assert (sk.read_dynamics(tmp_path).frame.groupby("id").size() == 2).all()
    assert len(sk.read_dynamics(tmp_path, dense=False).frame) == 12


def test_ids_without_labels_are_refused(tmp_path: Path) -> None:
    model = nn.Linear(4, 3)
    with sk.Recorder(model, tmp_path) as recorder, pytest.raises(InputError, match="label_key"):
        recorder.batch([1], None)
        model(torch.randn(1, 4))


def record(folder: Path, labels: Any, ids: Any = None, rank: int | None = None) -> sk.Recorder:
    torch.manual_seed(0)
    model, x = nn.Linear(4, 3), torch.randn(len(labels), 4)
    with sk.Recorder(model, folder, rank=rank) as recorder:
        recorder.batch(range(len(labels)) if ids is None else ids, labels)
        model(x)
    return recorder


def test_examples_without_a_label_are_not_recorded(tmp_path: Path) -> None:
    assert record(tmp_path / "a", torch.tensor([0, -100, 2, -100])).rows == 2
    assert sk.read_dynamics(tmp_path / "a").frame["id"].tolist() == [0, 2]


def test_labels_that_are_real_numbers_are_refused_by_the_recorder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Labels are real numbers \(torch.float32\), as soft"):
        record(tmp_path / "a", torch.rand(4))


def test_two_recorders_do_not_write_over_each_other(tmp_path: Path) -> None:
    model = nn.Linear(4, 3)
    first, second = sk.Recorder(model, tmp_path), sk.Recorder(model, tmp_path)
    for recorder in (first, second):
        recorder.add([0, 1], torch.zeros(2, 3), [0, 1])
    first.close()
    with pytest.raises(OutputError, match=r"dynamics-000-00000.parquet was written by another"):
        second.close()
    assert len(sk.read_dynamics(tmp_path).frame) == 2


def test_the_rank_is_that_of_the_process_group(tmp_path: Path) -> None:
    address = f"file://{tmp_path}/meet"
    torch.distributed.init_process_group("gloo", init_method=address, rank=0, world_size=1)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.distributed, "get_rank", lambda: 3)
            record(tmp_path / "a", [0, 1])
    finally:
        torch.distributed.destroy_process_group()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["dynamics-003-00000.parquet"]


def test_rows_of_a_training_that_diverged_are_left_out_and_told(tmp_path: Path) -> None:
    model = nn.Linear(4, 3)
    with sk.Recorder(model, tmp_path) as recorder:
        recorder.add([0, 1], torch.zeros(2, 3), [0, 1])
        recorder.step += 1
        recorder.add([0, 1], torch.tensor([[0.0, 1.0, 2.0], [np.nan] * 3]), [0, 0])
    dynamics = sk.read_dynamics(tmp_path)
    assert dynamics.notes[0].message == (
        "1 rows of 1 examples hold NaN or infinite values (training diverged?) and are left out."
    )
    assert dynamics.frame["id"].tolist() == [0, 1, 0]


def test_a_run_without_snapshots_is_not_left_out_in_silence(tmp_path: Path) -> None:
    for name in ("with", "without"):
        with sk.Recorder(nn.Linear(4, 3), tmp_path / name) as recorder:
            recorder.add([0, 1], torch.zeros(2, 3), [0, 1])
            if name == "with":
                recorder.add([0, 1], torch.zeros(2, 3), [0, 1], dense=True)
    folders = [tmp_path / "with", tmp_path / "without"]
    with pytest.raises(InputError, match=r"but none in .*without\. .* give dense=False"):
        sk.read_dynamics(folders)
    assert sk.read_dynamics(folders, dense=False).frame["run"].tolist() == [0, 0, 1, 1]


def test_a_training_that_broke_goes_on_in_its_folder_with_nothing_doubled(tmp_path: Path) -> None:
    """Three epochs of two batches; the second breaks after its first batch and is done again."""

    def epochs(folder: Path, which: range, broken: bool = False, **options: Any) -> None:
        with sk.Recorder(nn.Linear(4, 3), folder, **options) as recorder:
            for epoch in which:
                for ids in ([0, 1], [2, 3]):
                    if broken and epoch == 1 and ids == [2, 3]:
                        return
                    logits = torch.tensor([[0.0, 1.0, float(epoch)]] * 2)
                    recorder.add(ids, logits, [0, 2])
                    recorder.step += 1
                recorder.end_epoch()

    epochs(tmp_path / "whole", range(3))
    epochs(tmp_path / "broken", range(3), broken=True)
    assert len(sk.read_dynamics(tmp_path / "broken").frame) == 6
    with pytest.raises(OutputError, match=r"go on with a stopped one by from_epoch="):
        epochs(tmp_path / "broken", range(1, 3))
    epochs(tmp_path / "broken", range(1, 3), from_epoch=1)
    whole, mended = (sk.read_dynamics(tmp_path / name).frame for name in ("whole", "broken"))
    pd.testing.assert_frame_equal(mended, whole)


def test_an_epoch_that_is_partly_done_again_is_cut_out_of_its_file(tmp_path: Path) -> None:
    with sk.Recorder(nn.Linear(4, 3), tmp_path) as recorder:
        for epoch in range(3):  # the epochs are counted, but not written one by one
            recorder.add([7], torch.zeros(1, 3), [epoch])
            recorder.step += 1
            recorder.epoch += 1
    second = sk.Recorder(nn.Linear(4, 3), tmp_path, from_epoch=2)
    assert (second.step, second.epoch) == (2, 2)
    assert sk.read_dynamics(tmp_path).frame["epoch"].tolist() == [0, 1]


def test_a_folder_without_dynamics_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="Close the Recorder first"):
        sk.read_dynamics(tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("lightning") is None, reason="no lightning here")
@pytest.mark.filterwarnings("ignore")
def test_lightning_trains_as_before_and_is_recorded(tmp_path: Path) -> None:
    import lightning.pytorch as pl

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(x)

        def training_step(self, batch: Any, _: int) -> torch.Tensor:
            return F.cross_entropy(self(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.1)

    data = torch.utils.data.TensorDataset(torch.randn(12, 4), torch.arange(12) % 3,
                                          torch.arange(12) + 100)  # fmt: skip
    module = Module()
    recorder = sk.Recorder(module, tmp_path / "dynamics")
    trainer = pl.Trainer(max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False,
                         enable_progress_bar=False, enable_model_summary=False,
                         default_root_dir=tmp_path,
                         callbacks=[recorder.lightning_callback()])  # fmt: skip
    trainer.fit(module, torch.utils.data.DataLoader(data, batch_size=4, shuffle=True))
    frame = sk.read_dynamics(tmp_path / "dynamics").frame
    assert sorted(frame["id"].unique()) == list(range(100, 112))
    assert sorted(frame["epoch"].unique()) == [0, 1]


# several models


def test_pvi_of_a_known_case() -> None:
    assert pvi(np.array([0.9]), np.array([1 / 3]))[0] == pytest.approx(1.43296, abs=5e-6)
    assert pvi(np.array([0.1]), np.array([1 / 3]))[0] < 0
    with pytest.raises(InputError, match="probabilities"):
        pvi(np.array([1.2]), np.array([0.3]))


def test_ensembles_disagree_and_fail_by_counts() -> None:
    found = ensemble_difficulty(np.array([[0, 1, 2], [0, 1, 1], [0, 2, 0]]), np.array([0, 2, 1]))
    np.testing.assert_allclose(found["ddd"], [0, 2 / 3, 2 / 3])
    np.testing.assert_allclose(found["disagreement"], [0, 1 / 3, 2 / 3])


def test_memorisation_of_what_no_model_needs_is_0_and_of_what_all_need_is_1() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((400, 3)) < 0.7
    correct = np.column_stack([np.ones(400), mask[:, 1], rng.random(400) < 0.5])
    found = memorisation(mask, correct)
    np.testing.assert_allclose(found.memorisation[:2], [0, 1])
    assert abs(found.memorisation[2]) < 4 * found.memorisation_se[2]
    with pytest.raises(InputError, match="all or in none"):
        memorisation(np.ones((4, 2), bool), np.ones((4, 2)))


def test_influence_on_itself_is_memorisation_and_chunks_do_not_matter() -> None:
    rng = np.random.default_rng(1)
    mask, correct = rng.random((60, 9)) < 0.7, rng.random((60, 9)) < 0.6
    found = memorisation(mask, correct, correct, chunk=4)
    assert found.influence is not None
    np.testing.assert_allclose(np.diag(found.influence), found.memorisation)
    np.testing.assert_allclose(found.influence_sum, np.abs(found.influence).sum(1))
    assert (found.influence_max >= found.memorisation - 1e-12).all()


def test_two_halves_of_the_models_agree_about_memorisation() -> None:
    """Standard errors are those of repeated draws; ranks agree between halves."""
    rng = np.random.default_rng(2)
    truth, base = rng.random(60) * 0.8, 0.1
    mask = rng.random((600, 60)) < 0.7
    correct = rng.random((600, 60)) < base + mask * truth
    halves = [memorisation(mask[i::2], correct[i::2]) for i in range(2)]
    ranks = [pd.Series(half.memorisation).rank() for half in halves]
    assert np.corrcoef(*ranks)[0, 1] > 0.8
    z = (halves[0].memorisation - truth) / halves[0].memorisation_se
    assert 0.7 < z.std() < 1.3


def test_pada_weights_keep_the_mean_unbiased_and_lower_its_variance() -> None:
    rng = np.random.default_rng(0)
    norms = rng.lognormal(size=50)
    p, weights = sampling_weights(norms, tau=0.9)
    assert p.sum() == pytest.approx(1)
    assert (p * weights * norms).sum() == pytest.approx(norms.mean())
    uniform, ones = sampling_weights(norms, tau=0.0)
    np.testing.assert_allclose([uniform[0], ones[0]], [1 / 50, 1])
    assert (p * (weights * norms) ** 2).sum() < (uniform * norms**2).sum()
    with pytest.raises(InputError, match="tau"):
        sampling_weights(norms, tau=2)


def test_planted_opposing_groups_are_found() -> None:
    rng = np.random.default_rng(0)
    losses = 1 + 0.01 * rng.normal(size=(12, 100))
    swing = 0.5 * (-1) ** np.arange(12)
    losses[:, :5] += swing[:, None]
    losses[:, 5:10] -= swing[:, None]
    found = opposing_groups(losses, k=5)
    groups = {frozenset(np.asarray(found[name]).tolist()) for name in ("rising", "falling")}
    assert groups == {frozenset(range(5)), frozenset(range(5, 10))}
    assert float(found["correlation"]) < -0.95  # type: ignore[arg-type]


# coherence


def test_coherence_equals_its_definition_for_the_model_and_each_parameter() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    x, y = torch.randn(23, 5).double(), torch.arange(23) % 3
    found = sk.gradient_coherence((x, y), model=model, dtype="float64", batch_size=4)
    rows = found.frame.set_index("parameter")
    gradients = plain_gradients(model, x, y)
    for name in (*gradients[0], "all"):
        keys = list(gradients[0]) if name == "all" else [name]
        g = torch.stack([torch.cat([one[k].flatten() for k in keys]) for one in gradients])
        gram, own = g @ g.T, g.pow(2).sum(1).mean()
        assert rows.loc[name, "alpha"] == pytest.approx(float(gram.mean() / own), rel=1e-9)
        off = (gram.sum() - gram.trace()) / (23 * 22)
        assert rows.loc[name, "unbiased"] == pytest.approx(float(off / own), rel=1e-9)
    assert found.unbiased in found.interval
    shares = rows["share_of_norm2"].drop("all")
    assert rows.loc["all", "alpha"] == pytest.approx((shares * rows["alpha"].drop("all")).sum())
    assert "m-coherence" in found.summary()


def test_coherence_of_equal_and_of_orthogonal_gradients() -> None:
    """1 and m for equal gradients; 1/m and 1 for orthogonal ones."""
    model = nn.Linear(8, 2, bias=False).double()
    nn.init.zeros_(model.weight)
    same = sk.gradient_coherence((torch.ones(8, 8).double(), torch.zeros(8, dtype=int)),
                                 model=model, dtype="float64")  # fmt: skip
    assert same.alpha == pytest.approx(1)
    assert same.m_coherence == pytest.approx(8)
    apart = sk.gradient_coherence((torch.eye(8).double(), torch.zeros(8, dtype=int)),
                                  model=model, dtype="float64")  # fmt: skip
    assert apart.m_coherence == pytest.approx(1)
    assert apart.unbiased == pytest.approx(0, abs=1e-12)

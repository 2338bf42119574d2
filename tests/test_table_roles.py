"""Columns are found by the names and units that real run tables use, and choices are said aloud."""

from __future__ import annotations

import pandas as pd
import pytest

from scalekit.columns import ROLES
from scalekit.data import read_runs
from scalekit.data.table import ALIASES, ROLE_OF, normalise, resolve_roles, unit_factor
from scalekit.errors import ColumnNotFoundError, InputError
from scalekit.tables import RunTable
from scalekit.units import PF_DAY

# the headers of real tables -> which column plays which role, and its factor
REAL_TABLES = {
    "kyo-takano/chinchilla": (
        "C N D loss",
        {"params": "N", "tokens": "D", "flops": "C", "loss": "loss"},
    ),
    "epoch": (
        "x|y|color|Model Size|Training FLOP|hex_color|loss",
        {"params": "Model Size", "flops": "Training FLOP", "loss": "loss"},
    ),
    "open-athena isoflops": (
        "source dataset model condition experiment tokens params budget loss outlier reason",
        {"params": "params", "tokens": "tokens", "flops": "budget", "loss": "loss"},
    ),
    "open_lm": (
        "hyperparameters.params hyperparameters.params_no_embed hyperparameters.tokens "
        "chinchilla_multiplier loss_c4_val",
        None,  # params with and without embeddings: see the test below
    ),
    "marin runs table": (
        "Name parameter_count throughput/total_tokens throughput/total_gflops "
        "eval/paloma/macro_loss trainer.train_batch_size trainer.num_train_steps "
        "optimizer.learning_rate model.hidden_dim",
        {
            "params": "parameter_count",
            "tokens": "throughput/total_tokens",
            "flops": ("throughput/total_gflops", 1e9),
            "loss": "eval/paloma/macro_loss",
            "run": "Name",
            "step": "trainer.num_train_steps",
        },
    ),
    "OLMo ladder": (
        "_step throughput/total_tokens throughput/total_training_Gflops batch_size_in_tokens "
        "learning_rate_peak eval/pile-validation/CrossEntropyLoss eval/downstream/arc_acc",
        {
            "tokens": "throughput/total_tokens",
            "flops": ("throughput/total_training_Gflops", 1e9),
            "loss": "eval/pile-validation/CrossEntropyLoss",
            "step": "_step",
        },
    ),
    "LAION": (
        "model_simple samples_seen gflops model_gflops model_mparams lr loss",
        {
            "params": ("model_mparams", 1e6),
            "samples": "samples_seen",
            "flops": ("gflops", 1e9),
            "loss": "loss",
        },
    ),
    "HF Trainer": (
        "eval_loss total_flos num_input_tokens_seen epoch step",
        {
            "tokens": "num_input_tokens_seen",
            "flops": "total_flos",
            "loss": "eval_loss",
            "step": "step",
        },
    ),
    "simple-scaling-laws": (
        "training_run_id test_set_id optimizer_seed model_size__params dataset_size__tokens "
        "test_loss__nats",
        {
            "params": "model_size__params",
            "tokens": "dataset_size__tokens",
            "loss": "test_loss__nats",
            "run": "training_run_id",
            "seed": "optimizer_seed",
        },
    ),
}


def resolve(names: str, **chosen: object) -> dict[str, tuple[str, float]]:
    columns = names.split("|") if "|" in names else names.split()
    head = pd.DataFrame(1.5, index=range(2), columns=columns)
    readings, _ = resolve_roles(head, chosen, "runs.csv")
    return {reading.role: (reading.column, reading.factor) for reading in readings}


def table(**columns: object) -> pd.DataFrame:
    base = {"params": [1e6, 1e7], "tokens": [2e7, 2e8], "loss": [4.0, 3.5]}
    return pd.DataFrame(base | columns)


def read(frame: pd.DataFrame, **columns: str | None) -> RunTable:
    return read_runs(frame, quiet=True, last_step=False, **columns)


def note(runs: RunTable, code: str) -> str:
    return next((note.message for note in runs.notes if note.code == code), "")


@pytest.mark.parametrize(
    "name", [name for name, (_, roles) in REAL_TABLES.items() if roles is not None]
)
def test_the_columns_of_a_real_table_are_found(name: str) -> None:
    names, roles = REAL_TABLES[name]
    assert roles is not None
    expected = {
        role: column if isinstance(column, tuple) else (column, 1.0)
        for role, column in roles.items()
    }
    assert resolve(names) == expected


def test_params_with_and_without_embeddings_are_a_choice_of_the_user() -> None:
    names = REAL_TABLES["open_lm"][0]
    with pytest.raises(InputError, match=r"2 columns could be params: .*Choose one: read_runs"):
        resolve(names)
    column = "hyperparameters.params_no_embed"
    assert resolve(names, params=column)["params"] == (column, 1.0)


@pytest.mark.parametrize(
    ("name", "role", "factor"),
    [
        ("params (M)", "params", 1e6),
        ("params_in_millions", "params", 1e6),
        ("N (B)", "params", 1e9),
        ("mparams", "params", 1e6),
        ("n_params_b", "params", 1e9),
        ("tokens_b", "tokens", 1e9),
        ("Tokens (T)", "tokens", 1e12),
        ("gtokens", "tokens", 1e9),
        ("samples_k", "samples", 1e3),
        ("GFLOPs", "flops", 1e9),
        ("total_tflops", "flops", 1e12),
        ("zflops", "flops", 1e21),
        ("compute_pf_days", "flops", PF_DAY),
        ("Compute (PF-days)", "flops", PF_DAY),
        ("nParams", "params", 1.0),
        ("totalFLOPs", "flops", 1.0),
    ],
)
def test_units_in_names_are_understood_and_said(name: str, role: str, factor: float) -> None:
    head = pd.DataFrame({name: [1.0], "loss": [3.0]})
    reading = resolve_roles(head, {}, "runs.csv")[0][0]
    assert (reading.role, reading.column, reading.factor) == (role, name, factor)
    assert ("by its name" in str(reading)) == (factor != 1)


@pytest.mark.parametrize(
    "name", ["n", "d", "model_gflops", "gflops_per_sample", "batch_size_in_tokens", "image_mparams"]
)
def test_names_that_only_resemble_a_scale_are_left_alone(name: str) -> None:
    assert set(resolve(f"{name} loss")) == {"loss"}


@pytest.mark.parametrize(
    "name", ["loss_std", "loss_tok_lo95_c4", "loss__MIN", "loss_scale", "router_loss_coef"]
)
def test_spreads_and_coefficients_are_no_losses(name: str) -> None:
    with pytest.raises(ColumnNotFoundError, match="no column looks like a loss"):
        resolve(f"params {name}")


def test_each_alias_means_one_role_and_is_in_normal_form() -> None:
    names = [name for group in ALIASES.values() for name in group.split()]
    assert len(names) == len(set(names))
    assert not set(names) & set(ROLES)
    assert all(normalise(name) == name for name in names)
    assert {role for role, _ in ROLE_OF.values()} == set(ROLES)


def test_the_exact_name_wins_and_the_others_are_told() -> None:
    runs = read(table(val_loss=[4.1, 3.6], train_loss=[3.9, 3.4]))
    assert runs.frame["loss"].tolist() == [4.0, 3.5]
    assert "val_loss, train_loss could also be meant" in note(runs, "other_columns")


def test_two_losses_are_an_error_that_lists_them_and_how_to_choose() -> None:
    frame = table(val_loss=[4.1, 3.6], train_loss=[3.9, 3.4]).drop(columns="loss")
    message = r"2 columns could be loss: val_loss, train_loss. Choose one: .*loss='val_loss'"
    with pytest.raises(InputError, match=message):
        read(frame)
    assert read(frame, loss="val_loss").frame["loss"].tolist() == [4.1, 3.6]


def test_two_columns_for_a_label_are_no_error_but_told() -> None:
    runs = read(table(recipe=["a", "b"], method=["c", "d"]))
    assert "group" not in runs.roles
    assert "recipe, method all could be" in note(runs, "role_not_taken")


def test_a_text_column_with_a_numeric_name_is_passed_over() -> None:
    """Porian et al. have n_params (numbers) and param_count ("kaplan", "standard")."""
    frame = table(n_params=[1e6, 1e7], param_count=["kaplan", "standard"]).drop(columns="params")
    assert read(frame).readings[0].column == "n_params"


def test_a_text_column_under_the_name_of_a_role_is_not_passed_over() -> None:
    with pytest.raises(InputError, match="row 0: column 'params' holds 'big'"):
        read(table(params=["big", "small"]))
    with pytest.raises(InputError, match=r"none of the 2 rows .*2 where loss is missing"):
        read(table(loss=[None, None]))


def test_an_empty_scale_is_left_out_and_told() -> None:
    runs = read(table(samples=[None, None], flops=[float("nan")] * 2))
    assert runs.frame["flops"].tolist() == pytest.approx([1.2e14, 1.2e16])
    assert "flops <- flops is left out: the column is empty" in [
        note.message.rstrip(".") for note in runs.notes if note.code == "empty_column"
    ]


def test_a_loss_that_is_logged_late_is_found() -> None:
    late = [float("nan")] * 299 + [3.0]
    frame = pd.DataFrame({"step": range(300), "params": 1e6, "val_loss": late})
    assert read(frame).frame["loss"].tolist() == [3.0]


def test_no_loss_lists_the_columns_with_numbers() -> None:
    frame = table(accuracy=[0.1, 0.2], name=["a", "b"]).drop(columns="loss")
    with pytest.raises(ColumnNotFoundError, match=r"loss='COLUMN'.*with numbers: accuracy.$"):
        read(frame)


def test_a_named_column_that_is_not_there_is_offered_its_nearest_name() -> None:
    with pytest.raises(ColumnNotFoundError, match=r"asked for as loss. Did you mean 'val_loss'"):
        read(table(val_loss=[4.1, 3.6]), loss="vall_loss")


def test_an_unknown_role_is_offered_its_nearest_name() -> None:
    with pytest.raises(InputError, match=r"'parms' is no role of a column. Did you mean 'params'"):
        read(table(), parms="params")


def test_the_user_names_units_behind_the_column() -> None:
    frame = table(size=[70.0, 400.0], cost=[1.0, 2.0], seen=[0.5, 1.0])
    runs = read(frame, params="size:M", flops="cost:PF-days", tokens="seen:B")
    assert runs.frame["params"].tolist() == [70e6, 400e6]
    assert runs.frame["flops"].tolist() == [PF_DAY, 2 * PF_DAY]
    assert runs.frame["tokens"].tolist() == [0.5e9, 1e9]
    assert "params <- size, times 1e+06 (unit M as you said" in runs.interpretation()


def test_a_said_unit_overrides_the_unit_in_the_name() -> None:
    frame = table(mparams=[1e6, 1e7]).drop(columns="params")
    assert read(frame, params="mparams:1").frame["params"].tolist() == [1e6, 1e7]


def test_a_last_letter_is_a_unit_only_behind_a_known_name() -> None:
    frame = table(model_b=[1e6, 1e7], dataset_size_b=[2.0, 3.0])
    assert read(frame, params="model_b").readings[0].factor == 1
    runs = read(frame.drop(columns="tokens"), samples="dataset_size_b")
    assert runs.frame["samples"].tolist() == [2e9, 3e9]


def test_a_colon_in_the_name_of_a_column_is_no_unit() -> None:
    assert read(table(**{"size:M": [5e6, 6e7]}), params="size:M").frame["params"].max() == 6e7


def test_an_unknown_unit_is_an_error() -> None:
    with pytest.raises(InputError, match="Cannot read '1 X' as a quantity"):
        read(table(), params="params:X")


@pytest.mark.parametrize(("text", "factor"), [("M", 1e6), ("GFLOP", 1e9), ("1000", 1e3)])
def test_a_unit_is_a_factor(text: str, factor: float) -> None:
    assert unit_factor(text) == factor


@pytest.mark.parametrize("nothing", [None, "none"])
def test_a_role_can_be_refused(nothing: str | None) -> None:
    assert "weight" not in read(table(weight=[0.0, 1.0]), weight=nothing).roles


def test_a_column_that_was_named_for_one_role_is_not_taken_for_another() -> None:
    frame = table(dataset_size=[1e3, 1e4]).drop(columns="tokens")
    assert "tokens" not in read(frame, samples="dataset_size").roles


def test_a_column_that_is_pushed_from_its_name_is_kept_under_another() -> None:
    runs = read(table(val_loss=[4.1, 3.6]), loss="val_loss")
    assert runs.frame["loss"].tolist() == [4.1, 3.6]
    assert runs.frame["loss_column"].tolist() == [4.0, 3.5]


def test_whether_embeddings_are_counted_is_said() -> None:
    def said(frame: pd.DataFrame) -> str:
        return str(read(frame).readings[0])

    assert "embeddings: unknown" in said(table())
    assert "with embeddings, since params_no_embed" in said(table(params_no_embed=[1e5, 1e6]))
    alone = table(params_no_embed=[1e5, 1e6]).drop(columns="params")
    assert said(alone) == "params <- params_no_embed (without embeddings)"


@pytest.mark.parametrize("missing", ["params", "tokens", "flops"])
def test_the_missing_one_of_three_is_computed_and_said(missing: str) -> None:
    full = table(flops=[6 * 1e6 * 2e7, 6 * 1e7 * 2e8])
    runs = read(full.drop(columns=missing))
    assert runs.frame[missing].tolist() == pytest.approx(full[missing].tolist())
    assert "C = 6ND" in note(runs, "derived")
    assert f"{missing} = " in runs.interpretation()


def test_empty_fields_are_computed_row_by_row_and_counted() -> None:
    runs = read(table(flops=[1.2e14, None]))
    assert runs.frame["flops"].tolist() == pytest.approx([1.2e14, 1.2e16])
    assert note(runs, "filled").startswith("1 empty fields of flops are computed")


def test_nothing_is_computed_from_samples_which_are_no_tokens() -> None:
    frame = table(samples=[1e6, 1e7], flops=[1e15, 1e16]).drop(columns="tokens")
    assert read(frame).roles == ("params", "samples", "flops", "loss")


def test_a_gap_is_told_of_the_column_that_has_it() -> None:
    frame = table(flops=[1e14, None]).drop(columns="params")
    assert read(frame).provenance.rows_left_out == {"flops is missing or NaN": 1}


def test_flops_at_odds_with_six_n_d_are_told() -> None:
    runs = read(table(flops=[1.2e14, 1.2e17]))
    assert "in 1 of 2 rows (ratio 1 to 10" in note(runs, "flops_disagree")
    assert not note(read(table(flops=[2e14, 0.7e16])), "flops_disagree")


def test_params_that_look_like_millions_are_told() -> None:
    runs = read(table(params=[70, 400]))
    assert "params is at most 400" in note(runs, "small_params")
    assert "params='COLUMN:M'" in note(runs, "small_params")


def test_a_table_without_scales_is_told() -> None:
    assert "A law needs one" in note(read(table()[["loss"]]), "no_scale")

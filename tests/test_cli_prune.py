"""The commands of what to keep: outputs, dry runs, messages."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from scalekit.cli.main import build_app


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rng = np.random.default_rng(0)
    label, truth = rng.integers(0, 3, 120), rng.random(120)
    for seed in range(2):
        pd.DataFrame({
            "id": [f"x{k}" for k in range(120)], "label": label,
            "el2n": truth + 0.05 * rng.random(120), "loss": truth**2, "odd": truth,
        }).to_csv(tmp_path / f"seed{seed}.csv", index=False)  # fmt: skip
    np.save(tmp_path / "features.npy", rng.standard_normal((120, 6)) + label[:, None])
    pd.DataFrame({"label": label}).to_csv(tmp_path / "labels.csv", index=False)
    pd.DataFrame({"n": [100, 200, 400], "error": [0.2, 0.12, 0.07]}).to_csv(
        tmp_path / "curve.csv", index=False
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(build_app(), list(words))
    assert done.exit_code == code, done.output
    return done.output


def test_prune_writes_ids_and_manifest_unless_dry(folder: Path) -> None:
    words = ("prune", "seed0.csv", "seed1.csv", "--keep", "0.25", "--by", "el2n", "--side", "hard",
             "-o", "keep.csv")  # fmt: skip
    assert "30 of 120 examples kept" in run(*words, "--dry-run")
    assert not (folder / "keep.csv").exists()
    run(*words)
    assert len(pd.read_csv(folder / "keep.csv")) == 30
    assert json.loads((folder / "keep.manifest.json").read_text())["manifest"]["seeds"] == 2


@pytest.mark.usefixtures("folder")
def test_prune_takes_a_curve_and_prototypes() -> None:
    out = run("prune", "seed0.csv", "--keep", "0.5", "--by", "el2n", "--learning-curve",
              "curve.csv", "--chance", "0.67", "--json")  # fmt: skip
    assert json.loads(out)["manifest"]["asked"] == "auto"
    out = run("prune", "seed0.csv", "--keep", "0.5", "--by", "prototypes", "--side", "easy",
              "--features", "features.npy")  # fmt: skip
    assert "easy by prototypes" in out


@pytest.mark.usefixtures("folder")
def test_agreement_and_suspects() -> None:
    assert "seeds for selections" in run("agreement", "seed0.csv", "seed1.csv")
    assert "labels are suspected" in run("agreement", "seed0.csv", "--mislabelled", "gmm")


def test_prototypes_and_copies(folder: Path) -> None:
    assert "nothing is written" in run("prototypes", "features.npy", "--dry-run")
    run("prototypes", "features.npy", "-k", "5", "-o", "d.parquet")
    assert "prototypes" in pd.read_parquet(folder / "d.parquet")
    assert "class means" in run("prototypes", "features.npy", "--labels", "labels.csv")
    assert "examples stay" in run("prototypes", "features.npy", "--copies", "0.01")


@pytest.mark.usefixtures("folder")
def test_transferability_curriculum_and_theory() -> None:
    assert "logme" in run("transferability", "features.npy", "--labels", "labels.csv")
    assert "curriculum order" in run("curriculum", "seed0.csv", "--steps", "20", "--by", "el2n")
    assert "0.0609" in run("theory", "pruning", "--examples", "8", "--keep", "0.5")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("prune", "seed0.csv", "--keep", "1.5", "--by", "el2n"), "keep must lie between 0 and 1"),
        (("prune", "seed0.csv", "--keep", "0.5", "--by", "odd"), "--higher-is"),
        (("prune", "none.csv", "--keep", "0.5"), "none.csv"),
        (("prune", "features.npy", "--keep", "0.5"), "features.npy is no .csv"),
        (("prune", "seed0.csv", "--keep", ".5", "--by", "el2n", "--trials", "t.csv"), "t.csv"),
        (("theory", "purning"), "no theory of 'purning'"),
        (("theory", "pruning", "--keep", "half"), "numbers separated by commas"),
        (("prototypes", "features.txt"), "There is no feature file"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_one_message(words: tuple, message: str) -> None:
    assert message in run(*words, code=1)


def test_features_in_a_table_are_matched_by_id(folder: Path) -> None:
    values = np.load("features.npy")
    wide = pd.DataFrame(values).add_prefix("f").assign(id=[f"x{k}" for k in range(120)], label=0)
    wide.sample(frac=1.0, random_state=1).to_parquet("wide.parquet")
    vectors = pd.DataFrame({"id": wide["id"], "embedding": list(values)})
    vectors.sample(frac=1.0, random_state=2).to_parquet("vectors.parquet")
    words = ("prune", "seed0.csv", "--keep", "0.5", "--by", "prototypes", "--side", "easy", "-o")
    kept = []
    for name in ("features.npy", "wide.parquet", "vectors.parquet"):
        run(*words, "keep.csv", "--features", name)
        kept.append(set(pd.read_csv(folder / "keep.csv")["id"]))
    # Clusters start from other rows where the order differs, so the same ids, up to rounding.
    assert kept[1] == kept[0] == kept[2]
    wide.iloc[3:].to_parquet("short.parquet")
    assert "has no row (3 of 120 ids)" in run(
        *words, "keep.csv", "--features", "short.parquet", code=1
    )
    assert "seed0" not in run("prototypes", "wide.parquet", "-k", "3", "-o", "d.csv")
    assert set(pd.read_csv("d.csv")["id"]) == kept[0] | set(wide["id"])


@pytest.mark.usefixtures("folder")
def test_features_that_are_none_say_which_column() -> None:
    pd.DataFrame({"id": ["a", "b"], "text": ["x", "y"]}).to_csv("bad.csv", index=False)
    assert "column 'text' is not numeric" in run("prototypes", "bad.csv", "-k", "1", code=1)
    pd.DataFrame({"id": ["a", "b"], "v": [[1.0, 2.0], [1.0]]}).to_parquet("ragged.parquet")
    assert "row 1 of column 'v' has 1 numbers" in run("prototypes", "ragged.parquet", code=1)


@pytest.mark.usefixtures("folder")
def test_agreement_tells_what_it_would_do() -> None:
    out = run("agreement", "seed0.csv", "seed1.csv", "--dry-run")
    assert "seed1.csv: 120 examples; scores: el2n, loss, odd" in out
    assert "el2n" in out


@pytest.mark.usefixtures("folder")
def test_a_score_of_unknown_direction_is_told_and_may_be_said() -> None:
    for seed in range(2):
        pd.read_csv(f"seed{seed}.csv").rename(columns={"el2n": "el2n score"})[
            ["id", "el2n score"]
        ].to_csv(f"own{seed}.csv", index=False)
    told = run("agreement", "own0.csv", "own1.csv", code=1)
    assert "--higher-is 'el2n score=hard'" in told
    for said in ("hard", "el2n score=hard"):
        assert "seeds for selections" in run(
            "agreement", "own0.csv", "own1.csv", "--higher-is", said
        )
    assert "which score?" in run(
        "agreement", "own0.csv", "--higher-is", "hard", "--higher-is", "easy", code=1
    )


@pytest.mark.usefixtures("folder")
def test_the_same_file_twice_and_a_share_above_one_are_told() -> None:
    assert "is one file given twice?" in run("agreement", "seed0.csv", "seed0.csv")
    assert "is one file given twice?" in run(
        "prune", "seed0.csv", "seed0.csv", "--keep", "0.5", "--by", "el2n"
    )
    assert "For 10% give 0.1" in run("agreement", "seed0.csv", "--top", "10", code=1)


@pytest.mark.usefixtures("folder")
def test_curves_and_quotas_are_read_from_the_command_line() -> None:
    curve = pd.read_csv("curve.csv")
    curve.rename(columns={"n": "samples", "error": "err"}).to_csv("named.csv", index=False)
    words = ("prune", "seed0.csv", "--keep", "0.5", "--by", "el2n")
    assert "effective dimensions" in run(*words, "--learning-curve", "named.csv")
    curve.rename(columns={"n": "rows"}).to_csv("other.csv", index=False)
    assert "other.csv has no column 'n'" in run(*words, "--learning-curve", "other.csv", code=1)
    assert "--learning-curve" in run(*words)  # the notes name the option
    out = run(*words, "--side", "hard", "--quota", "0=4", "--quota", "2=6", "--json")
    assert json.loads(out)["n_kept"] == 10
    assert "not class=number" in run(*words, "--quota", "0:4", code=1)


@pytest.mark.usefixtures("folder")
def test_threshold_samples_are_a_table() -> None:
    table = pd.read_csv("seed0.csv").assign(aum=np.linspace(-1, 1, 120))
    table.to_csv("aum.csv", index=False)
    table[["id"]][:10].to_csv("false.csv", index=False)
    words = ("agreement", "aum.csv", "--mislabelled", "aum")
    assert "--threshold-samples" in run(*words, code=1)
    assert "0 of 120 labels" in run(*words, "--threshold-samples", "false.csv")
    assert "judges one table" in run(*words, "seed0.csv", code=1)


@pytest.mark.usefixtures("folder")
def test_labels_and_predictions_of_transferability_are_checked() -> None:
    pd.DataFrame({"class": [0, 1]}).to_csv("none.csv", index=False)
    for command in ("transferability", "prototypes"):
        told = run(command, "features.npy", "--labels", "none.csv", code=1)
        assert "none.csv has no column 'label'" in told
    np.save("source.npy", np.full((120, 4), 0.25))
    words = ("transferability", "features.npy", "--labels", "labels.csv", "--measure", "leep")
    assert "--predictions" in run(*words, code=1)
    assert "leep" in run(*words, "--predictions", "source.npy")
    assert "named by their files" in run(*words, "features.npy", code=1)


def test_a_dry_run_writes_nothing(folder: Path) -> None:
    words = ("--labels", "labels.csv", "--dry-run", "-o", "out.csv")
    assert "120 examples of 6 dimensions" in run("transferability", "features.npy", *words)
    run("curriculum", "seed0.csv", "--steps", "5", "--by", "el2n", "--dry-run", "-o", "out.csv")
    assert not (folder / "out.csv").exists()

"""`scalekit distance`, `transport` and `project`: files in, answers out, errors as one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from scalekit.cli import distance, project, transport
from tests.test_projection import NAMES, features, runs


def call(module: object, *arguments: object) -> Result:
    import typer

    app = typer.Typer()
    app.command()(getattr(module, module.__name__.rsplit(".", 1)[-1]))  # type: ignore[attr-defined]
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features")
    sources, (x, y) = features()
    for name, (points, labels) in sources.items():
        np.savez(folder / f"{name}.npz", features=points, labels=labels)
    np.savez(folder / "validation.npz", features=x, labels=y)
    runs().to_csv(folder / "pilots.csv", index=False)
    return folder


def source_options(folder: Path) -> list[str]:
    return [part for name in NAMES for part in ("-s", f"{name}={folder / name}.npz")]


def test_distance_prints_the_result_as_json_on_stdout_alone(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "d.json"
    done = call(distance, files / "web.npz", files / "code.npz", "--json", "-o", out)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["method"] == "exact"
    assert told == {k: v for k, v in json.loads(out.read_text()).items() if k != "arrays"}


def test_transport_finds_the_nearest_mixture_and_maps_the_simplex(
    files: Path, tmp_path: Path
) -> None:
    target = ["-t", files / "validation.npz"]
    done = call(transport, *source_options(files), *target)
    assert done.exit_code == 0, done.output
    assert "Closest mixture: web" in done.stdout
    picture = tmp_path / "map.png"
    done = call(transport, *source_options(files), *target, "--map", "-o", picture)
    assert done.exit_code == 0, done.output
    assert picture.stat().st_size > 10_000


def test_project_chooses_a_mixture_under_caps(files: Path) -> None:
    options = [files / "pilots.csv", *source_options(files), "-v", files / "validation.npz"]
    done = call(project, *options, "--samples", "2k", "--cap", "web=500", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["kind"] == "projected_mixture"
    assert told["samples"] == 2000
    assert told["mixture"]["web"] <= 0.25 + 1e-9
    assert {"estimate", "ci_lower", "ci_upper"} == set(told["params"]["web"])


def test_project_is_told_on_the_command_line_which_way_a_metric_is_better(
    files: Path, tmp_path: Path
) -> None:
    table = runs().rename(columns={"loss": "bpb"})
    table.to_csv(tmp_path / "pilots.csv", index=False)
    options = [*source_options(files), "-v", files / "validation.npz", "--metric", "bpb"]
    done = call(project, tmp_path / "pilots.csv", *options)
    assert done.exit_code == 1
    assert "Is a higher 'bpb' better?" in done.stderr
    done = call(project, tmp_path / "pilots.csv", *options, "--lower-is-better")
    assert done.exit_code == 0, done.output
    assert "'bpb' is taken as a loss" in done.stderr


def test_errors_are_one_line_and_exit_one(files: Path) -> None:
    done = call(distance, files / "web.npz", files / "nothing.npz")
    assert done.exit_code == 1
    assert done.stderr.startswith("error: There is no feature file")
    done = call(transport, "-s", "web", "-t", files / "web.npz")
    assert done.exit_code == 1
    assert "--source 'web': cannot read" in done.stderr
    done = call(
        transport, "-s", f"a={files}/web.npz", "-s", f"a={files}/code.npz", "-t", files / "web.npz"
    )
    assert done.exit_code == 1
    assert "--source names 'a' twice" in done.stderr
    options = [files / "pilots.csv", *source_options(files), "-v", files / "validation.npz"]
    done = call(project, *options, "--prior", "web=much")
    assert done.exit_code == 1
    assert "--prior: 'much' (of 'web') is no number. Write a share such as 0.2." in done.stderr

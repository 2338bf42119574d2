"""The gallery shows the lowest, middle and highest examples by a score, images or texts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scalekit.errors import ColumnNotFoundError, InputError
from scalekit.selectors.scores.table import ScoreTable

pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra [plot])")


def table(n: int = 9) -> ScoreTable:
    frame = pd.DataFrame({"id": np.arange(n), "label": np.arange(n) % 3})
    return ScoreTable(frame=frame.assign(el2n=(np.arange(n) * 4 % n) / n))


@pytest.mark.parametrize("shape", [(5, 5), (5, 5, 3), (3, 5, 5), (1, 5, 5)])
def test_images_stand_in_the_order_of_their_score(shape: tuple[int, ...]) -> None:
    images = [np.full(shape, row, float) + np.arange(5) for row in range(9)] \
        if shape[-1] == 5 else [np.full(shape, row) for row in range(9)]  # fmt: skip
    axes = table().gallery(images, by="el2n", n=2)
    assert len(axes.images) == 6
    values = [text.get_text() for text in axes.texts if "(" in text.get_text()]
    shown = [float(value.split("(")[1].rstrip(")")) for value in values]
    assert shown == sorted(shown)
    assert shown[0] == 0
    assert "large is hard" in axes.get_title()


def test_texts_are_cut_to_snippets() -> None:
    axes = table().gallery([f"word{row} " * 90 for row in range(9)], n=3)
    snippets = [t.get_text() for t in axes.texts if t.get_text().startswith("word")]
    assert len(snippets) == 9
    assert all(len(text) < 130 and text.endswith("...") for text in snippets)
    assert snippets[0].startswith("word0")


def test_more_than_there_are_shows_all_and_wrong_examples_are_told() -> None:
    assert len(table(2).gallery([np.eye(3)] * 2, n=6).images) == 6
    with pytest.raises(InputError, match="4 examples for 9 scores"):
        table().gallery([np.eye(3)] * 4)
    with pytest.raises(ColumnNotFoundError, match="Did you mean 'el2n'"):
        table().gallery([np.eye(3)] * 9, by="el2")


def test_a_distribution_tells_of_infinite_values_and_a_gallery_needs_an_example() -> None:
    frame = pd.DataFrame({"id": range(4), "forgetting": [0.0, 1.0, np.inf, np.inf]})
    forgotten = ScoreTable(frame=frame)
    assert (
        forgotten.plot().get_title() == "4 examples; quartiles dotted; 2 infinite ones lie beyond"
    )
    with pytest.raises(InputError, match="n must be at least 1; got 0"):
        forgotten.gallery(["a"] * 4, n=0)

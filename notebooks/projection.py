# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From three disclosed samples to a mixture
#
# Three sources of digits, each with other classes, and a balanced validation set. We map how far
# every mixture is from it, run small pilots, project to larger sizes and choose.

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import scalekit as sk
from scalekit.selectors.simplex import simplex_grid

warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
warnings.filterwarnings("ignore", message=".*failed to converge.*")
rng = np.random.default_rng(0)
images, labels = load_digits(return_X_y=True)
images = images / 16
order = rng.permutation(len(images))
held, rest = order[:400], order[400:]
shares = {
    "forms": [0.24] * 4 + [0.005] * 6,
    "letters": [0.006] * 4 + [0.32] * 3 + [0.006] * 3,
    "receipts": [0.002] * 7 + [0.33] * 3,
}


def draw(source, count, rng):
    p = np.array(shares[source]) / np.sum(shares[source])
    y = rng.choice(10, count, p=p)
    x = np.array([images[rng.choice(rest[labels[rest] == c])] for c in y])
    return x + rng.normal(0, 0.05, x.shape), y


disclosed = {source: draw(source, 200, rng) for source in shares}
validation = (images[held], labels[held])

# %% [markdown]
# ## How far is every mixture?
#
# Ten solves bound the transport cost of all 66 mixtures; rings show how far the bounds are apart.

# %%
problem = sk.mixture_transport(disclosed, validation, cost="labels")
survey = problem.survey(parts=10, anchors=10)
survey.plot()
plt.show()

# %%
problem.closest()

# %% [markdown]
# ## Pilots
#
# Nineteen mixtures at three sizes: 57 runs of a logistic regression.


# %%
def train(mixture, samples, rng):
    counts = {s: round(samples * p) for s, p in zip(shares, mixture, strict=True)}
    parts = [draw(source, count, rng) for source, count in counts.items() if count]
    x, y = (np.concatenate(part) for part in zip(*parts, strict=True))
    model = LogisticRegression(max_iter=60).fit(x, y)
    return 100 * model.score(*validation)


rows = [
    [*mixture, samples, train(mixture, samples, rng)]
    for mixture in simplex_grid(3, 5)[1:-1]
    for samples in (60, 120, 240)
]
pilots = pd.DataFrame(rows, columns=[*shares, "samples", "accuracy"])

# %% [markdown]
# ## Projection
#
# One surface over mixtures and sizes; the table says what each distance is worth.

# %%
plan = sk.project(disclosed, validation, pilots, rng=0)
plan

# %%
plan.plot()
plt.show()

# %% [markdown]
# ## The choice, and whether it held
#
# At 960 samples, four times the largest pilot, with at most 340 from "forms".

# %%
choice = plan.choose(samples=960, caps={"forms": 340})
choice

# %%
mixture = np.array(list(choice.mixture.values()))
trained = [train(mixture, 960, rng) for _ in range(3)]
axes = plan.plot_sizes(choice.mixture)
axes.plot([960] * 3, trained, "k+", markersize=9, label="trained afterwards")
axes.legend(frameon=False)
plt.show()

# %%
print(f"projected {choice.predicted:.1f}, one run {choice.observation}")
print(f"trained {np.mean(trained):.1f}")

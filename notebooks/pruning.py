# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Which half of the data would you keep?
#
# What theory says of hard and easy examples, and what scikit-learn's digits say.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

import scalekit as sk
from scalekit.selectors.pruning_theory import plot_theory

# %% [markdown]
# ## Theory: a perceptron that learns from a teacher
#
# With many examples the hard ones teach most, with few the easy ones. A score that is off by an
# angle is good for no smaller share than about that angle.

# %%
fig, axes = plt.subplots(1, 3, figsize=(15, 4))
for ax, picture in zip(axes, ("hard", "free", "best"), strict=True):
    plot_theory(picture, ax)
fig.tight_layout()

# %% [markdown]
# ## Scores of the digits, from five seeds
#
# EL2N after a few iterations of a small network; labels as they are.

# %%
x, y = load_digits(return_X_y=True)
x = x / 16
order = np.random.default_rng(0).permutation(len(x))
train, check = order[:1200], order[1200:]


def fit(rows, seed, iterations=60):
    model = MLPClassifier((32,), max_iter=iterations, tol=0, random_state=seed,
                          n_iter_no_change=10**6)  # fmt: skip
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(x[rows], y[rows])


def el2n(seed):
    wrong = fit(train, seed, 6).predict_proba(x[train]) - np.eye(10)[y[train]]
    return np.linalg.norm(wrong, axis=1)


tables = [pd.DataFrame({"id": train, "label": y[train], "el2n": el2n(k)}) for k in range(5)]
sk.agreement(tables, 0.2)

# %% [markdown]
# ## How abundant are the data?

# %%
rng = np.random.default_rng(1)
curve = pd.DataFrame(
    [{"n": n, "error": 1 - fit(rng.choice(train, n, replace=False), k).score(x[check], y[check])}
     for n in (300, 600, 1200) for k in range(2)]
)  # fmt: skip
curve.groupby("n")["error"].mean()

# %%
chosen = sk.prune(tables, 0.4, by="el2n", learning_curve=curve, chance=0.9)
chosen

# %% [markdown]
# ## Does it hold? The same number of examples, kept in four ways

# %%
rows = []
for side in ("random", "easy", "hard", "stratified"):
    kept = sk.prune(tables, 0.4, by="el2n", side=side, rng=0)
    errors = [1 - fit(train[kept.mask], k).score(x[check], y[check]) for k in range(3)]
    rows.append({"side": side, "error": np.mean(errors), "spread": np.std(errors, ddof=1)})
pd.DataFrame(rows)

# %%
chosen.plot()

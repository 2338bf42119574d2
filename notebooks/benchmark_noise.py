# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Is this difference on a benchmark real?
#
# Four recipes for a small digit classifier, five seeds each, three benchmarks of 240 items, six
# checkpoints, two metrics. The answers are measured (`benchmarks/make_example_evals.py`) and come
# with scalekit, so this notebook runs offline. Put your own log in the next cell instead:
# a folder of lm-eval or Inspect logs, or a table.

# %%
import matplotlib.pyplot as plt
import numpy as np

import scalekit as sk

items = sk.example_evals()  # or sk.read_evals("results/")
items

# %% [markdown]
# ## Where does the noise come from?
#
# `recipe` is the signal. Recipes that answer the same items share `item`; they do not share
# `recipe:item`, `seed`, or the noise of single answers (`residual`).

# %%
final = items.last_steps()
parts = sk.benchmark_variance(final.select(metric="acc"))
parts.plot()
parts

# %% [markdown]
# What would another design give? Standard errors of a score and of a difference, and how reliably
# recipes are ranked:

# %%
parts.project(seeds=10)

# %%
parts.project(items=2000)

# %% [markdown]
# ## Base against decay
#
# Weight decay changes little on clean digits and helps on noisy ones. Is it real?

# %%
duel = sk.compare_models(items, "base", "decay", margin=0.02)
duel.plot()
duel

# %% [markdown]
# On digits_patched five seeds each leave the question open. Whoever has one seed of each sees one
# cell of this table, and a paired test over its items alone:

# %%
from scipy import stats

block = {b.name: b for b in final.benchmarks() if b.metric == "acc"}["digits_patched"]
base, decay = (block.blocks[name].answers[:, :, 0] for name in ("base", "decay"))
p = np.array([[stats.ttest_rel(x, y).pvalue for y in decay] for x in base])
effect = np.array([[x.mean() - y.mean() for y in decay] for x in base])
figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
image = axes.imshow(100 * effect, cmap="PuOr", vmin=-8, vmax=8)
for row in range(5):
    for column in range(5):
        star = "*" if p[row, column] < 0.05 else ""
        axes.text(column, row, f"{100 * effect[row, column]:+.1f}{star}", ha="center", va="center")
axes.set_xlabel("seed of decay")
axes.set_ylabel("seed of base")
axes.set_title("digits_patched: base - decay in points, * p < .05 over items")
figure.colorbar(image, label="points")
print(f"{(p < 0.05).sum()} of 25 single-seed comparisons are 'significant' at 5%; differences of "
      f"{100 * effect.min():+.1f} to {100 * effect.max():+.1f} points")  # fmt: skip

# %% [markdown]
# ## How many seeds and items?

# %%
pair = items.select(metric="acc", recipe=["base", "decay"], benchmark="digits_noisy")
plan = sk.power(pair, difference=0.03, seeds=[2, 3, 5, 10, 20], items=[240, 1000, 4000])
plan.plot()
plan.cheapest()

# %% [markdown]
# ## Which metric tells recipes apart, and at which scale?

# %%
rating = sk.signal(items)
rating.plot()
rating

# %%
scales = sk.signal(sk.example_evals(scales=True))
scales.plot()
scales.to_frame()[["benchmark", "metric", "scale", "snr", "implied_accuracy", "decision_accuracy"]]

# %% [markdown]
# ## Weights for a scaling-law fit
#
# Shrunk standard errors by run, for `scalekit.fit(..., weights=...)`:

# %%
sk.noise_weights(sk.example_evals(scales=True), benchmark="digits", metric="nll")

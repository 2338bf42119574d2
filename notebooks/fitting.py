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
# # What will the large run reach?
#
# We have the logs of small byte transformers, truly trained on the text of Python's standard
# library (`scalekit/data/examples`). We fit a law to them, look at how sure it is, and test it on
# runs that it has not seen.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import scalekit as sk

runs = sk.example_runs()
runs

# %%
runs.plot()

# %% [markdown]
# ## Fit
#
# Two recipes are in the table; a law describes one recipe. No start values are needed.

# %%
recipe = runs.select("recipe", "cosine")
fit = sk.fit(recipe, law="chinchilla", rng=0)
fit

# %%
largest = recipe.frame[["params", "tokens"]].max()
forecast = fit.with_predictions(params=3 * largest["params"], tokens=3 * largest["tokens"])
forecast.plot()

# %% [markdown]
# ## Would it have worked?
#
# Fit the smaller half of the compute, forecast the larger half. The interval of *one run* is the
# one to compare with runs; the interval of the *mean* is where the curve may lie.

# %%
order = recipe.frame["flops"].rank(pct=True)
small, large = recipe.frame[order <= 0.5], recipe.frame[order > 0.5]
held_out = sk.fit(small, law="chinchilla", rng=0).predict(large[["params", "tokens"]]).to_frame()
observed = large["loss"].to_numpy()
print(f"mean error {np.mean(np.abs(held_out['predicted'] / observed - 1)):.2%}")
inside = (held_out["obs_lower"] <= observed) & (observed <= held_out["obs_upper"])
print(f"inside the 95% interval of one run: {inside.mean():.0%}")

# %%
fig, ax = plt.subplots(figsize=(5, 4), layout="constrained")
ax.errorbar(
    observed,
    held_out["predicted"],
    [held_out["predicted"] - held_out["obs_lower"], held_out["obs_upper"] - held_out["predicted"]],
    fmt=".",
    alpha=0.6,
)
ax.axline((observed.mean(), observed.mean()), slope=1, color="grey", lw=1)
ax.set(xlabel="observed loss", ylabel="forecast from the smaller half")
ax

# %% [markdown]
# ## What the answer hangs on
#
# The same fit under other objectives and without its worst rows; and the profile of an exponent:
# which values can the data not tell apart?

# %%
fit.sensitivity

# %%
profile = fit.profile("alpha")
profile.plot()

# %% [markdown]
# ## Your own law
#
# A law is text. Here the two exponents are tied, which one decade of sizes often calls for.

# %%
tied = sk.fit(recipe, law="E + A / params**alpha + B / tokens**alpha", rng=0)
pd.DataFrame({"free": fit.params, "tied": tied.params})

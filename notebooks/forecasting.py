# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # A forecast and what it is worth
#
# Fit the small runs, forecast the large ones, and take the interval from earlier forecasts.

# %%
import scalekit as sk

runs = sk.example_runs().where("recipe=cosine")
small, large = runs.where("flops<1e12"), runs.where("flops>=1e12")
small.plot()
# %% [markdown]
# ## What each law would have forecast, had it been asked earlier

# %%
out = sk.roll_out(small)
out.plot()
out.by_distance().head(12)

# %% [markdown]
# ## The combination and its fan
#
# Orange: forecasts from the last origin against what came. Blue: the way ahead.

# %%
choice = sk.choose_law(small, rng=0)
choice.plot()
choice

# %% [markdown]
# ## Against the runs that were held out

# %%
forecast = choice.predict(large.frame[["params", "tokens"]]).table
forecast["loss"] = large.frame["loss"].to_numpy()
forecast[["params", "tokens", "predicted", "obs_lower", "obs_upper", "loss"]]

# %% [markdown]
# All lie inside. The usual interval, from the parameters of one law alone, for comparison:

# %%
fit = sk.fit(small, law="chinchilla", rng=0)
usual = fit.predict(large.frame[["params", "tokens"]]).table
inside = (usual["ci_lower"] <= forecast["loss"]) & (forecast["loss"] <= usual["ci_upper"])
f"{inside.sum()} of {len(inside)} inside"

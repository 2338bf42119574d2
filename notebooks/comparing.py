# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # Which recipe wins at scale?
#
# The bundled logs hold two recipes for the same small transformers: a cosine schedule and a
# constant learning rate. Which one should the large run take, how sure is that, and what would
# settle it?

# %%
import scalekit as sk

runs = sk.example_runs()
duel = sk.compare(runs, by="recipe", along="flops", at=[1e13, 1e14], rng=0)
duel

# %% [markdown]
# The first lines are the answer. Each curve follows the runs that no run of less compute beats,
# selected anew in every joint resample.

# %%
duel.plot()
# %%
duel.plot_win_probability()
# %%
duel.crossover()

# %% [markdown]
# Three laws share the draws, since the runs do not say which of them goes on. What each says alone:

# %%
duel.by_law()

# %% [markdown]
# How much less compute does the better recipe need for the same loss?

# %%
duel.efficiency([1e11, 1e12], "constant", "cosine")

# %% [markdown]
# ## What to run next
#
# Candidates are offered to both recipes; the plan takes those that tell most per FLOP.

# %%
plan = sk.next_runs(duel, {"flops": [3e12, 1e13, 3e13]}, budget=6e13)
plan

# %%
duel.plot(plan=plan)
# %% [markdown]
# ## How to split the compute

# %%
fit = sk.fit(runs.where("recipe=cosine", "tokens>=800k"), law="chinchilla", rng=0)
fit.frontier([1e12, 1e13, 1e14]).plot()
# %%
fit.frontier(1e13, overtrained=4)

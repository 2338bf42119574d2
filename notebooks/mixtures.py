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
# # Which mixture, in which order?
#
# Three sources, 24 small pilot runs with different mixtures, two validation sets. The pilots are
# made here from a law that we know, with noise, so that every answer can be checked.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import scalekit as sk
from scalekit.selectors.mixtures import plot_ternary

rng = np.random.default_rng(0)
sources = ["web", "code", "books"]
shares = rng.dirichlet([1, 1, 1], size=24)


def true_losses(h):
    web = 2.0 + 1 / (0.4 + h ** [0.5, 0.4, 0.7] @ [1.2, 0.2, 0.5])
    code = 1.0 + 1 / (0.3 + h ** [0.5, 0.5, 0.5] @ [0.1, 2.0, 0.1])
    return np.array([web, code])


pilots = pd.DataFrame(shares, columns=[f"share_{name}" for name in sources])
pilots["loss_web"], pilots["loss_code"] = true_losses(shares) + 0.01 * rng.standard_normal((2, 24))
pilots.head()

# %% [markdown]
# ## Can the law be trusted?
#
# Three laws are compared on pilots that they have not seen; the simplest within one standard error
# of the best is taken.

# %%
fit = sk.fit_mixture(pilots, law="auto", draws=100, rng=0)
fit

# %%
fit.plot()

# %% [markdown]
# ## Which mixture?
#
# There are 2T tokens of web text, 50B of code and 20B of books; the large run draws 300B. Without
# limits the law asks for more code than there is; no source is to be seen more than twice.

# %%
available = {"web": 2e12, "code": 5e10, "books": 2e10}
free = fit.choose(available=available, budget=3e11)
choice = fit.choose(available=available, budget=3e11, max_epochs=2)
choice

# %%
figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
choice.plot(axes[0])
plot_ternary(fit, choice, ax=axes[1])

# %% [markdown]
# The true law lets us see the regret: how much better the best mixture that the limits allow is.

# %%
others = rng.dirichlet([1, 1, 1], size=50_000)
caps = np.array([1.0, 2 * 5e10 / 3e11, 2 * 2e10 / 3e11])
allowed = others[(others <= caps).all(axis=1)]
true = float(true_losses(np.array(list(choice.shares.values()))).mean())
best = float(true_losses(allowed).mean(axis=0).min())
print(f"true loss of the choice {true:.4f}, best allowed {best:.4f}, regret {true - best:.4f}")
print(f"expected regret by the draws {choice.regret:.4f}")

# %% [markdown]
# Which pilots would tell more? And does mixing help on each validation set, or does it dilute the
# better source?

# %%
fit.next_pilot(3)

# %%
fit.dilution()

# %% [markdown]
# ## In which order?
#
# Cooldown: hot first, then the chosen mixture. UniMax and one temperature beside it.

# %%
counts = {"web": "2T", "code": "50B", "books": "20B"}
schedule = sk.cooldown(counts, start=3, end=1, budget="300B", mixture=choice.shares)
schedule

# %%
figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
schedule.plot(axes[0])
schedule.plot_epochs(axes[1])

# %%
print(sk.unimax(counts, "300B", max_epochs=1))
print(sk.temperature(counts, 3.3, budget="300B"))

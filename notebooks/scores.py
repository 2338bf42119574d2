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
# # Which examples matter?
#
# Scikit-learn's digits, a tenth of whose labels we replace. Which scores find them, and what do
# they call hard?

# %%
import tempfile

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

import scalekit as sk

torch.set_num_threads(1)
digits = load_digits()
rng = np.random.default_rng(0)
pixels = (digits.images[:, None] / 16).astype(np.float32)
wrong = rng.random(len(pixels)) < 0.1
labels = np.where(wrong, (digits.target + rng.integers(1, 10, len(pixels))) % 10, digits.target)
print(f"{wrong.sum()} of {len(labels)} labels are wrong")

# %% [markdown]
# ## Train, with a recorder on the model

# %%
torch.manual_seed(0)
model = torch.nn.Sequential(
    torch.nn.Conv2d(1, 8, 3, padding=1),
    torch.nn.ReLU(),
    torch.nn.Flatten(),
    torch.nn.Linear(512, 10),
)
x, y = torch.tensor(pixels), torch.tensor(labels)
folder = tempfile.mkdtemp()
optimiser = torch.optim.Adam(model.parameters(), 3e-3)
checkpoints = []
with sk.Recorder(model, folder) as recorder:
    for _epoch in range(8):
        for rows in torch.randperm(len(y)).split(64):
            recorder.batch(rows, y[rows])
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimiser.step()
        recorder.end_epoch()
        checkpoints.append({name: value.clone() for name, value in model.state_dict().items()})
dynamics = sk.read_dynamics(folder)
dynamics.plot()

# %% [markdown]
# ## Score: one pass for all
#
# Over three early checkpoints. GraNd is the exact gradient norm of all weights.

# %%
scores = sk.score(
    (pixels, labels),
    model=model.eval(),
    checkpoints=checkpoints[:3],
    scores=["el2n", "margin", "entropy", "grand", "vog"],
)
scores

# %% [markdown]
# ## Who finds the wrong labels?

# %%
trained = dynamics.scores()
found = {}
for table in (scores, trained):
    for name in table.scores:
        sign = -1 if table.direction(name) == "easy" else 1
        found[name] = roc_auc_score(wrong, sign * table.frame[name].replace(np.inf, 1e9))
pd.Series(found, name="AUC").sort_values(ascending=False).to_frame()

# %% [markdown]
# ## Look at them
#
# The easiest, the middle and the hardest by AUM (large means easy, so the hardest come first).

# %%
trained.gallery(list(digits.images), by="aum", n=8)

# %%
fig, ax = plt.subplots(figsize=(5, 3.6), layout="constrained")
for name, which in (("wrong label", wrong), ("right label", ~wrong)):
    ax.hist(trained.frame["aum"][which], bins=40, alpha=0.6, density=True, label=name)
ax.set(xlabel="area under the margin", ylabel="density")
ax.legend(frameon=False)
ax

# %% [markdown]
# ## Do the gradients agree?

# %%
sk.gradient_coherence((pixels[:400], labels[:400]), model=model)

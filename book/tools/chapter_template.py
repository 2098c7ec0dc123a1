# %% [markdown]
# # NUMBER. TITLE
#
# BADGE
#
# **The question.** One question that a reader would ask, in three lines.
# Say what the usual answer is, and why it may be wrong.
#
# **After this chapter you can**
#
# - do the first thing;
# - say when the second thing fails;
# - write the third thing under a table.
#
# **Prerequisites:** Python, mean and variance; chapter
# [1](01_why_evaluate.ipynb) helps. **Time:** 45 minutes to read, less than
# one minute to run. No model and no GPU is needed.

# %% tags=["setup", "hide-input"]
# SETUP

# %%
import matplotlib.pyplot as plt
import numpy as np

import lleval_lib as ll

ll.use_style()

# %% [markdown]
# ## The first result
#
# Show something real within the first screen. Say what is loaded, and from
# how many items of which population.

# %%
records = ll.load_records("reviews")
bag = records[records.system == "tf-idf"]
tuned = records[records.system == "minilm fine-tuned"]
print(ll.compare(bag, tuned))

# %% [markdown]
# Now say what the output means, without repeating its digits. In this book
# a headline claim is a cell that can fail:

# %%
assert ll.compare(bag, tuned).p_value < 0.05

# %% [markdown]
# ## The formula
#
# Derive it in a few lines, and name the *estimand* (估计目标). A key term
# has its Chinese word where it stands first. The items $i=1,\dots,n$ come
# in clusters (聚类) $g$, each with a share $h_g$ of them, and $d_i$ is a
# difference; with $\bar d$ their mean,
#
# $$\mathrm{SE}^2=\frac{1}{n^2}\sum_{g=1}^{G}
# \frac{\big(\sum_{i\in g}(d_i-\bar d)\big)^2}{1-h_g}.$$
#
# Then write the same formula as code, and see that the library agrees.

# %%
d = tuned.score.to_numpy() - bag.score.to_numpy()
film = bag.cluster.factorize()[0]
totals, share = np.bincount(film, d - d.mean()), np.bincount(film) / len(d)
se = np.sqrt((totals**2 / (1 - share)).sum()) / len(d)
assert np.isclose(se, ll.compare(bag, tuned).difference.se)

# %% [markdown]
# ## The experiment
#
# One figure that is remembered: axes with units, direct labels, and what it
# shows in words, in the cell's metadata.

# %% mystnb={"image": {"alt": "Two intervals of accuracy that do not overlap."}}
means = {
    "tf-idf": ll.mean_interval(bag),
    "fine-tuned": ll.mean_interval(tuned),
}
ll.forest(ll.table(means), label="accuracy")
plt.show()

# %% [markdown]
# ## The assumption broken
#
# Change one arbitrary choice that an opposing reviewer would change, and
# show the range. What does the answer depend on?
#
# **Before you run it:** which of the two intervals is wider?

# %%
naive = ll.mean_interval(tuned, cluster=tuned.item_id)
print("independent:", naive, sep="\n  ")
print("clustered:", means["fine-tuned"], sep="\n  ")
assert naive.se < means["fine-tuned"].se

# %% [markdown]
# ## Summary
#
# - What the reader now knows, in three to five points.
# - When it fails.
# - What to write under a table.
#
# ## Exercises
#
# **NUMBER.1 (recall).** A system is right on 80 of 100 independent items.
# What is the standard error of its accuracy?

# %%
answer = None  # put a share here, such as 0.012
ll.check("CHAPTER.1", answer)

# %% tags=["hide-cell"]
# @title Solution NUMBER.1 {display-mode: "form"}
ll.check("CHAPTER.1", np.sqrt(0.8 * 0.2 / 100))

# %% [markdown]
# **NUMBER.2 (apply).** How many such items make the standard error 0.01?

# %%
answer = None  # put a whole number here
ll.check("CHAPTER.2", answer)

# %% tags=["hide-cell"]
# @title Solution NUMBER.2 {display-mode: "form"}
ll.check("CHAPTER.2", 0.8 * 0.2 / 0.01**2)

# %% [markdown]
# **NUMBER.3 (extend).** The 100 items come in 25 clusters of 4 that are right
# or wrong together. What is the standard error now?

# %%
answer = None  # put a share here, such as 0.012
ll.check("CHAPTER.3", answer)

# %% tags=["hide-cell"]
# @title Solution NUMBER.3 {display-mode: "form"}
ll.check("CHAPTER.3", np.sqrt(0.8 * 0.2 / 25))
# Each cluster is one observation, whatever its size.

# %% [markdown]
# ## Further reading
#
# - Miller, [Adding Error Bars to Evals](https://arxiv.org/abs/2411.00640),
#   2024: what the reader finds there.
# - Chapter [13](13_uncertainty.ipynb) goes on from here.

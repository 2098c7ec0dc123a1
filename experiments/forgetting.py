"""SmolLM2 learns film reviews, by LoRA and in all its weights: what does it forget? An hour.

SmolLM2 is asked by the prompt "sentiment" of experiments/reviews.py, before and after it learned
from 240 reviews of the training films, at three learning rates and with three seeds. Each system
answers up to two reviews of each test film, and reads two kinds of other text: a sentence of each
of 100 papers (ACLSum), and the first 300 letters of the plots of 50 films that it did not learn
from. The score of those records is the number of bits that a text costs, beside its bytes.
"""

import numpy as np
import pandas as pd
import torch
from efficiency import fast_products
from formats import some
from peft import LoraConfig, inject_adapter_in_model
from reviews import PROMPTS, items

import lleval_lib as ll

TRAIN, BATCH = 240, 8
RATES = {"lora 8": (3e-4, 1e-3, 3e-3), "full": (1e-5, 3e-5, 1e-4)}
SEEDS = range(3)
SYSTEMS = (
    "untrained",
    *(
        f"{method}, {rate:g}, seed {seed}"
        for seed in SEEDS
        for method, rates in RATES.items()
        for rate in rates
    ),
)
PROMPT, WORDS = PROMPTS["sentiment"]


def build(system: str) -> pd.DataFrame:
    """Return the records of one of `SYSTEMS` on the reviews and on the other texts."""
    lm = ll.load_lm()
    if system != "untrained":
        method, rate, seed = system.split(", ")
        with fast_products():
            learn(lm, method, float(rate), int(seed.removeprefix("seed ")))
    asked = ll.evaluate(ll.Task("reviews", some(), PROMPT, WORDS), lm, system=system)
    read = [reading(lm, system, task, texts) for task, texts in OTHERS.items()]
    return pd.concat([asked, *read], ignore_index=True)


def learn(lm: ll.LM, method: str, rate: float, seed: int) -> None:
    """Train `lm` for one pass on the answers to the reviews of `TRAIN` training reviews."""
    rng = np.random.default_rng(seed)
    train = items("train").iloc[rng.choice(len(items("train")), TRAIN, replace=False)]
    prompts = [PROMPT(item) for item in train.itertuples()]
    answers = torch.tensor(
        [lm.tokenizer.encode(WORDS[target], add_special_tokens=False) for target in train.target]
    ).squeeze(1)  # one token each
    if method != "full":
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            config = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"])
            inject_adapter_in_model(config, lm.model)
    learning = [weights for weights in lm.model.parameters() if weights.requires_grad]
    lm.model.set_attn_implementation("eager")  # the fused one is slow in training on a processor
    lm.tokenizer.padding_side = "left"  # the answer follows the last token of each row

    def loss(rows):
        batch = lm.tokenizer([prompts[row] for row in rows], padding=True, return_tensors="pt")
        logits = lm.model(**batch, logits_to_keep=1).logits[:, -1]
        return torch.nn.functional.cross_entropy(logits, answers[rows])

    optimizer = torch.optim.AdamW(learning, lr=rate, weight_decay=0.0)
    ll.fit(lm.model, loss, TRAIN, optimizer=optimizer, epochs=1, batch_size=BATCH, rng=rng)
    lm.model.eval()


def papers() -> pd.DataFrame:
    """Return one sentence of the abstract of each of 100 papers, of 80 to 300 letters."""
    table = ll.load_aclsum()
    kept = table[(table.section == "abstract") & table.text.str.len().between(80, 300)]
    chosen = kept.sample(frac=1, random_state=0).drop_duplicates("paper").head(100)
    return chosen.rename(columns={"paper": "cluster"})


def plots() -> pd.DataFrame:
    """Return the beginning of 50 plots of films that no review of the training films is about."""
    table = ll.load_plots()
    table = table[~table.film.isin(items("train").cluster) & (table.text.str.len() > 300)]
    chosen = table.sample(50, random_state=0)
    return chosen.assign(cluster=chosen.film, text=chosen.text.str[:300])


OTHERS = {"papers": papers, "plots": plots}


def reading(lm: ll.LM, system: str, task: str, texts) -> pd.DataFrame:
    """Return how many bits each of some other texts costs."""
    table = texts()
    bits = -ll.rolling_loglikelihood(lm, list(table.text)) / np.log(2)
    return ll.make_records(
        system,
        task,
        table.assign(target=""),
        prompt="",
        prediction=[""] * len(table),
        score=np.round(bits, 2),
        bytes=[len(text.encode()) for text in table.text],
        metric="bits",
        higher_is_better=False,
    )

"""The weighted sum of text and image, trained at fixed and learned weights. Five minutes.

On easy-VQA a question is a row of an embedding, and an image of 32 by 32 pixels goes through the
convolutions of `ll.image_encoder`, then a linear layer; `ll.fusion` joins them by
w · text + (1 - w) · image, and two layers answer. For chapter 12: is the weight w seen in what the
trained model answers? The convolutions of each seed were trained once, in "image", a model that
hears no question, and stay; the embedding, the linear layer and the answering layers are trained
anew for each w, from the same start for each seed. Learned weights start at two places, and learn
ten times faster than the rest, so that they could go far.

Training images are those below VALIDATION_FROM; the test part is 500 of the 1,000 test images,
drawn once. RATES are both recorded for two weights, and validation chooses.

Beside the usual columns, on the test images: `text_only` and `image_only` say whether the model is
right when the other input is *averaged out* (its probabilities are averaged over the validation
images, or over the questions as often as they were asked in training), `text_zero` and `image_zero`
when the other features are 0; `weight` is the weight of the text after training. Nats to two
decimals.
"""

from collections.abc import Callable
from functools import cache, lru_cache

import numpy as np
import pandas as pd
import torch

import lleval_lib as ll

SEEDS = range(5)
WEIGHTS, STARTS = (0.3, 0.5, 0.7, 0.9, 0.99), (0.3, 0.9)
RATES, SLOWER_AT = (0.003, 0.001), (0.5, 0.9)
VALIDATION_FROM, TEST_IMAGES = 3_600, 500
WIDTH, EPOCHS, BATCH, DECAY = 64, 8, 64, 0.01
WAYS = (
    "image",
    *(f"sum {w}" for w in WEIGHTS),
    *(f"learned from {w}" for w in STARTS),
    *(f"sum {w} slower" for w in SLOWER_AT),
)
SYSTEMS = tuple(f"{way}, seed {seed}" for seed in SEEDS for way in WAYS)


@cache
def pictures(split: str) -> np.ndarray:
    """Return the images of 32 by 32 pixels, each the mean of 2 by 2."""
    images = ll.load_easy_vqa(split)[1]
    means = images.reshape(-1, 32, 2, 32, 2, 3).mean((2, 4))
    return means.round().astype(np.uint8)


@cache
def items(part: str) -> pd.DataFrame:
    """Return the questions of "train", "validation" or "test" as items, the image the cluster."""
    table = ll.load_easy_vqa("test" if part == "test" else "train")[0]
    if part == "test":
        kept = np.random.default_rng(0).choice(1_000, TEST_IMAGES, replace=False)
        table = table[table.image.isin(kept)]
    else:
        table = table[(table.image < VALIDATION_FROM) == (part == "train")]
    table = table.rename(columns={"answer": "target"}).assign(cluster=table.image.astype(str))
    return table.reset_index(drop=True)


@cache
def words(column: str) -> dict[str, int]:
    return {word: i for i, word in enumerate(sorted(items("train")[column].unique()))}


def codes(table: pd.DataFrame, column: str) -> np.ndarray:
    """Return each question or answer of `table` as a number."""
    return table[column].map(words(column)).to_numpy()


def build(system: str) -> pd.DataFrame:
    """Return the records of one of `SYSTEMS` on the validation and the test images."""
    way, seed = system.split(", seed ")
    model = trained(way, int(seed))
    parts = ("validation", "test")
    return pd.concat([answers(model, system, part, int(seed)) for part in parts])


@lru_cache(maxsize=1)
def image_model(seed: int) -> ll.Fused:
    """Return the model that hears no question, trained with its convolutions."""
    model = begun(seed, "image", 0.5, ll.image_encoder)
    optimizer = torch.optim.AdamW(model.parameters(), RATES[0], weight_decay=DECAY)
    return fitted(model, optimizer, pictures("train")[:VALIDATION_FROM], seed)


@lru_cache(maxsize=2)
def places(seed: int, split: str) -> np.ndarray:
    """Return what the convolutions of `seed` make of the images, (images, places, 64)."""
    convolutions, images = image_model(seed).image[:-1], pictures(split)
    with torch.inference_mode():
        parts = np.array_split(images, -(-len(images) // 100))
        return np.concatenate([convolutions(part).numpy() for part in parts])


def trained(way: str, seed: int) -> ll.Fused:
    """Return the model of one `way`, such as "sum 0.7 slower", which takes `places`."""
    if way == "image":
        known = begun(seed, "image", 0.5, read_places)
        known.load_state_dict(last_layers(image_model(seed)))
        return known.eval()
    kind, _, rest = way.partition(" ")
    weight = float(rest.removeprefix("from ").removesuffix(" slower"))
    operator = "learned_sum" if kind == "learned" else "sum"
    model = begun(seed, operator, weight, read_places)
    rate = RATES["slower" in way]
    fast = [p for p in model.operator.parameters() if p.requires_grad]
    slow = [p for name, p in model.named_parameters() if not name.startswith("operator.")]
    groups = [
        {"params": slow},
        *({"params": [p], "lr": 10 * rate, "weight_decay": 0.0} for p in fast),
    ]
    optimizer = torch.optim.AdamW(groups, rate, weight_decay=DECAY)
    return fitted(model, optimizer, places(seed, "train")[:VALIDATION_FROM], seed)


def begun(seed: int, operator: str, weight: float, image: Callable) -> ll.Fused:
    """Return a model with new weights, those of `seed`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        text, joined = torch.nn.Embedding(len(words("question")), WIDTH), image(WIDTH)
        fusion = ll.fusion(operator, WIDTH, text_weight=weight)
        return ll.Fused(text, joined, fusion, WIDTH, len(words("target")))


def read_places(width: int) -> torch.nn.Module:
    """Return the last layer of `ll.image_encoder` alone, for ready `places`."""
    return torch.nn.Sequential(Ready(), torch.nn.Linear(64, width))


class Ready(torch.nn.Module):
    def forward(self, places):
        return torch.as_tensor(places)


def last_layers(model: ll.Fused) -> dict[str, torch.Tensor]:
    """Return the parameters of `model` without those of its convolutions."""
    last = f"image.{len(model.image) - 1}."
    state = {k.replace(last, "image.1."): v for k, v in model.state_dict().items()}
    return {k: v for k, v in state.items() if not k.startswith("image.") or k[:8] == "image.1."}


def fitted(
    model: ll.Fused, optimizer: torch.optim.Optimizer, images: np.ndarray, seed: int
) -> ll.Fused:
    """Return `model`, trained on the questions of the training images."""
    train = items("train")
    question, answer = (torch.tensor(codes(train, name)) for name in ("question", "target"))
    rows = [np.flatnonzero(train.image == i) for i in range(VALIDATION_FROM)]

    def loss(batch):
        which = np.concatenate([rows[i] for i in batch])
        image = np.repeat(np.arange(len(batch)), [len(rows[i]) for i in batch])
        with torch.autocast("cpu", torch.bfloat16, enabled=images.dtype == np.uint8):
            logits = model(question[which], images[batch], image)  # faster convolutions
        return torch.nn.functional.cross_entropy(logits.float(), answer[which])

    settings = {"epochs": EPOCHS, "batch_size": BATCH, "rng": seed}
    ll.fit(model, loss, VALIDATION_FROM, optimizer=optimizer, **settings)
    return model.eval()


def answers(model: ll.Fused, system: str, part: str, seed: int) -> pd.DataFrame:
    """Return the records of one model on the images of `part`."""
    table = items(part)
    kept, row = np.unique(table.image, return_inverse=True)
    seen = places(seed, "test" if part == "test" else "train")
    question, answer = codes(table, "question"), codes(table, "target")
    logs = logarithms(model.predict(torch.tensor(question), seen[kept], row))
    names = np.array(list(words("target")))
    best = logs.argmax(1)
    more = {}
    if system.startswith("image"):
        more["logliks"] = {name: np.round(logs[:, k], 2) for k, name in enumerate(names)}
    else:
        more["loglik"] = np.round(logs[np.arange(len(table)), answer], 2)
        more["weight"] = float(torch.sigmoid(model.operator.logit.detach()))
        if part == "test":
            background = places(seed, "train")[VALIDATION_FROM:]
            right = alone(model, question, seen[kept], row, background)
            more |= {name: prediction == answer for name, prediction in right.items()}
    return ll.make_records(
        system, part, table, prediction=names[best], score=best == answer, **more
    )


def alone(
    model: ll.Fused,
    question: np.ndarray,
    seen: np.ndarray,
    row: np.ndarray,
    background: np.ndarray,
) -> dict[str, np.ndarray]:
    """Return what is answered when the other input is averaged out, and when it is 0."""
    n = len(words("question"))
    asked = np.bincount(codes(items("train"), "question"), minlength=n)
    by_image = np.average(every_pair(model, seen), axis=0, weights=asked)
    found = {
        "text_only": every_pair(model, background).mean(1).argmax(1)[question],
        "image_only": by_image.argmax(1)[row],
    }
    for name, missing in (("text_zero", "image"), ("image_zero", "text")):
        logits = model.predict(torch.tensor(question), seen, row, missing=missing)
        found[name] = logits.argmax(1)
    return found


def every_pair(model: ll.Fused, seen: np.ndarray) -> np.ndarray:
    """Return the probabilities of every question on every image, (questions, images, answers)."""
    n = len(words("question"))
    question, image = np.divmod(np.arange(n * len(seen)), len(seen))
    logits = model.predict(torch.tensor(question), seen, image)
    return np.exp(logarithms(logits)).reshape(n, len(seen), -1)


def logarithms(logits: np.ndarray) -> np.ndarray:
    """Return the log-probabilities of `logits`."""
    return torch.log_softmax(torch.tensor(logits), 1).double().numpy()

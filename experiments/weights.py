"""The weighted sum of text and image, trained at fixed and learned weights. Five minutes.

On easy-VQA a question is a row of an embedding, and an image of 32 by 32 pixels goes through
`ll.image_encoder`; `ll.fusion` joins them by w · text + (1 - w) · image. For chapter 12: is the
weight w seen in what the trained model answers? A seed starts every weight from the same
parameters; SEEDS says how many seeds each way has. Learned weights start at two places, and learn
ten times faster than the rest, so that they could go far.
"image" hears no question: its answer to an image is the same for all.

Training images are those below VALIDATION_FROM; the test part is 500 of the 1,000 test images,
drawn once. RATES are both recorded for two weights, and validation chooses.

Beside the usual columns, on the test images: `text_only` and `image_only` say whether the model is
right when the other input is *averaged out* (its probabilities are averaged over the validation
images, or over the questions as often as they were asked in training), `text_zero` and `image_zero`
when the other features are 0; `weight` is the weight of the text after training. Nats to two
decimals.
"""

from functools import cache

import numpy as np
import pandas as pd
import torch

import lleval_lib as ll

WEIGHTS, STARTS = (0.5, 0.7, 0.9), (0.3, 0.9)
RATES, SLOWER_AT = (0.003, 0.001), (0.5, 0.9)
VALIDATION_FROM, TEST_IMAGES = 3_600, 500
WIDTH, EPOCHS, BATCH, DECAY = 64, 8, 64, 0.01
SEEDS = {
    "image": 3,
    **{f"sum {w}": 5 for w in WEIGHTS},
    "sum 0.99": 3,
    **{f"learned from {w}": 2 for w in STARTS},
    **{f"sum {w} slower": 2 for w in SLOWER_AT},
}
SYSTEMS = tuple(f"{way}, seed {seed}" for way, n in SEEDS.items() for seed in range(n))


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
    return pd.concat([answers(model, system, part) for part in ("validation", "test")])


def trained(way: str, seed: int) -> ll.Fused:
    """Return the model of one `way`, such as "sum 0.7 slower", trained on the training images."""
    kind, _, rest = way.partition(" ")
    weight = float(rest.removeprefix("from ").removesuffix(" slower") or 0.5)
    operator = {"learned": "learned_sum"}.get(kind, kind)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        text, image = torch.nn.Embedding(len(words("question")), WIDTH), ll.image_encoder(WIDTH)
        joined = ll.fusion(operator, WIDTH, text_weight=weight)
        model = ll.Fused(text, image, joined, WIDTH, len(words("target")))
    train = items("train")
    question, answer = (torch.tensor(codes(train, name)) for name in ("question", "target"))
    rows = [np.flatnonzero(train.image == i) for i in range(VALIDATION_FROM)]

    def loss(batch):
        which = np.concatenate([rows[i] for i in batch])
        image = np.repeat(np.arange(len(batch)), [len(rows[i]) for i in batch])
        with torch.autocast("cpu", torch.bfloat16):  # faster products
            logits = model(question[which], pictures("train")[batch], image)
        return torch.nn.functional.cross_entropy(logits.float(), answer[which])

    rate = RATES["slower" in way]
    fast = list(model.operator.parameters())
    slow = [p for name, p in model.named_parameters() if not name.startswith("operator.")]
    groups = [{"params": slow}, {"params": fast, "lr": 10 * rate, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(
        groups if operator == "learned_sum" else slow, rate, weight_decay=DECAY
    )
    settings = {"epochs": EPOCHS, "batch_size": BATCH, "rng": seed}
    ll.fit(model, loss, VALIDATION_FROM, optimizer=optimizer, **settings)
    model.eval()
    return model


def answers(model: ll.Fused, system: str, part: str) -> pd.DataFrame:
    """Return the records of one model on the images of `part`."""
    table = items(part)
    kept, row = np.unique(table.image, return_inverse=True)
    places = encoded(model, pictures("test" if part == "test" else "train")[kept])
    question, answer = codes(table, "question"), codes(table, "target")
    logs = logarithms(reader(model).predict(torch.tensor(question), places, row))
    names = np.array(list(words("target")))
    best = logs.argmax(1)
    more = {}
    if system.startswith("image"):
        more["logliks"] = {name: np.round(logs[:, k], 2) for k, name in enumerate(names)}
    else:
        more["loglik"] = np.round(logs[np.arange(len(table)), answer], 2)
        more["weight"] = float(torch.sigmoid(model.operator.logit.detach()))
        if part == "test":
            right = alone(model, question, places, row)
            more |= {name: prediction == answer for name, prediction in right.items()}
    return ll.make_records(
        system, part, table, prediction=names[best], score=best == answer, **more
    )


def alone(
    model: ll.Fused, question: np.ndarray, places: np.ndarray, row: np.ndarray
) -> dict[str, np.ndarray]:
    """Return what is answered when the other input is averaged out, and when it is 0."""
    background = encoded(model, pictures("train")[VALIDATION_FROM:])
    n = len(words("question"))
    asked = np.bincount(codes(items("train"), "question"), minlength=n)
    by_image = np.average(every_pair(model, places), axis=0, weights=asked)
    found = {
        "text_only": every_pair(model, background).mean(1).argmax(1)[question],
        "image_only": by_image.argmax(1)[row],
    }
    for name, missing in (("text_zero", "image"), ("image_zero", "text")):
        logits = reader(model).predict(torch.tensor(question), places, row, missing=missing)
        found[name] = logits.argmax(1)
    return found


def every_pair(model: ll.Fused, places: np.ndarray) -> np.ndarray:
    """Return the probabilities of every question on every image, (questions, images, answers)."""
    n = len(words("question"))
    question, image = np.divmod(np.arange(n * len(places)), len(places))
    logits = reader(model).predict(torch.tensor(question), places, image)
    return np.exp(logarithms(logits)).reshape(n, len(places), -1)


def encoded(model: ll.Fused, images: np.ndarray) -> np.ndarray:
    """Return the features of the images' places, so that each image is encoded once."""
    with torch.inference_mode():
        parts = np.array_split(images, -(-len(images) // 100))
        return np.concatenate([model.image(part).numpy() for part in parts])


def reader(model: ll.Fused) -> ll.Fused:
    """Return `model` for images that are encoded already."""
    ready = ll.Fused(model.text, Ready(), model.operator, WIDTH, len(words("target")))
    ready.classifier = model.classifier
    return ready.eval()


class Ready(torch.nn.Module):
    def forward(self, places):
        return torch.as_tensor(places)


def logarithms(logits: np.ndarray) -> np.ndarray:
    """Return the log-probabilities of `logits`."""
    return torch.log_softmax(torch.tensor(logits), 1).double().numpy()

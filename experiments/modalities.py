"""easy-VQA answered from text, image and both, and with one taken away. Eight minutes quiet.

Six kinds of model learn from the questions on the first 3,600 training images, which are made half
as high and wide: "text" and "image" have one input; "additive" is a sum of features under a
*linear* classifier, f(t) + g(v); "sum", "concatenation" and "film" fuse the features and classify
by two layers. All learn at RATE, fixed before the recording, on five seeds. For the four with two
inputs seed 0 also has the OTHER rate, which the questions on the other 400 training images judge;
"sum long" trains three times as long, on two seeds.

The test records say of each question, besides the answer, whether it would be right

- `zeros`: with features of the image that are all 0; `blank`: with the mean training image;
- `within`, `anywhere`: with another image, as the mean over all others that have the same question
  and over all others (the expectation of a permutation, so no draw adds noise);
- `additive`, `additive_log`, `additive_valid`: by the additive part of the model over all 107
  questions and 1,000 images (`ll.emap`): of its logits; of its log-probabilities; of its logits
  over the 93 questions that can be asked of every image ("what is the red shape?" cannot), missing
  for the others.
"""

from functools import lru_cache

import numpy as np
import pandas as pd
import torch

import lleval_lib as ll

KINDS = ("text", "image", "additive", "sum", "concatenation", "film")
SEEDS, LONG_SEEDS = range(5), range(2)
RATE, OTHER = 3e-3, 1e-2
EPOCHS, LONG, BATCH, WIDTH = 8, 24, 64, 64
HELD_OUT = 400
WHAT = ("what is the", "what color is the", "what is the color of the")
SYSTEMS = tuple(
    [f"{kind}, {RATE:g}, seed {seed}" for seed in SEEDS for kind in KINDS]
    + [f"{kind}, {OTHER:g}, seed 0" for kind in KINDS[2:]]
    + [f"sum long, {RATE:g}, seed {seed}" for seed in LONG_SEEDS]
)


def build(system: str) -> pd.DataFrame:
    """Return the records of one of `SYSTEMS` on the validation and the test questions."""
    kind, rate, seed = system.split(", ")
    epochs = LONG if kind.endswith("long") else EPOCHS
    kind, seed = kind.removesuffix(" long"), int(seed.removeprefix("seed "))
    model = trained(kind, float(rate), seed, epochs)
    return pd.concat([answers(model, system, split) for split in ("validation", "test")])


@lru_cache
def items(split: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the questions of "train", "validation" or "test", in numbers too, and the images."""
    items, images = ll.load_easy_vqa("test" if split == "test" else "train")
    images = small(images)
    if split != "test":
        held = items.image >= len(images) - HELD_OUT
        items = items[held if split == "validation" else ~held].reset_index(drop=True)
    codes = {text: i for i, text in enumerate(questions())}
    items["code"] = items.question.map(codes)
    items["right"] = items.answer.map({text: i for i, text in enumerate(words())})
    return items, images


def small(images: np.ndarray) -> np.ndarray:
    """Return images of half the height and width: the mean of each 2 by 2 pixels."""
    n, height, width, colours = images.shape
    parts = images.reshape(n, height // 2, 2, width // 2, 2, colours)
    return parts.mean((2, 4)).round().astype(np.uint8)


@lru_cache
def questions() -> list[str]:
    """Return the 107 different questions."""
    return sorted(ll.load_easy_vqa("train")[0].question.unique())


@lru_cache
def words() -> list[str]:
    """Return the 13 answers."""
    return sorted(ll.load_easy_vqa("train")[0].answer.unique())


def presumes(question: str) -> bool:
    """Return whether `question` names what the image must show, as "what is the red shape?"."""
    return question.startswith(WHAT) and not question.endswith(
        ("color is the shape?", "of the shape?")
    )


class Nothing(torch.nn.Module):
    """Features of images that are all 0, for a model that never sees one."""

    def forward(self, images):
        return torch.zeros(len(images), 1, WIDTH)


class Pooled(torch.nn.Module):
    """The largest value over the places, before an image is copied for each of its questions.

    The operators would take it themselves; this is only faster.
    """

    def forward(self, places):
        return places.float().amax(1, keepdim=True)


def trained(kind: str, rate: float, seed: int, epochs: int = EPOCHS) -> ll.Fused:
    """Return a model of one of `KINDS`, which learned from the questions of "train"."""
    table, images = items("train")
    numbers = np.unique(table.image)
    of_image = [np.flatnonzero(table.image == number) for number in numbers]
    asked, right = torch.tensor(table.code), torch.tensor(table.right)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        image = torch.nn.Sequential(ll.image_encoder(WIDTH), Pooled())
        image = Nothing() if kind == "text" else image
        operator = ll.fusion("sum" if kind == "additive" else kind, WIDTH)
        text = torch.nn.Embedding(len(questions()), WIDTH)
        model = ll.Fused(text, image, operator, WIDTH, len(words()))
        if kind == "additive":
            model.classifier = torch.nn.Linear(WIDTH, len(words()))

    def loss(batch):
        rows = np.concatenate([of_image[i] for i in batch])
        places = np.repeat(np.arange(len(batch)), [len(of_image[i]) for i in batch])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(asked[rows], images[numbers[batch]], places)
        return torch.nn.functional.cross_entropy(logits.float(), right[rows])

    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=1e-2)
    ll.fit(
        model, loss, len(numbers), optimizer=optimizer, epochs=epochs, batch_size=BATCH, rng=seed
    )
    return model.eval()


def grid(model: ll.Fused, images: np.ndarray) -> np.ndarray:
    """Return the logits of every question about every image, shape (107, images, 13)."""
    with torch.inference_mode():
        places = torch.cat([model.image(part) for part in np.array_split(images, 4)])
        vectors = model.text(torch.arange(len(questions())))
        return np.stack(
            [
                model.classifier(model.operator(vector.expand(len(images), -1), places)).numpy()
                for vector in vectors
            ]
        )


def answers(model: ll.Fused, system: str, split: str) -> pd.DataFrame:
    """Return the records of `model` on a split."""
    table, images = items(split)
    asked, image, right = (table[name].to_numpy() for name in ("code", "image", "right"))
    more = {}
    if split == "test":
        logits = grid(model, images)
        said = logits.argmax(2)
        given = said[asked, image]
        more = ablated(model, said, table) | additive(logits, table)
    else:
        given = model.predict(torch.tensor(asked), images, image).argmax(1)
    named = table.rename(columns={"answer": "target"})
    named["cluster"] = split + "-" + table.image.astype(str)
    return ll.make_records(
        system,
        split,
        named,
        prediction=np.array(words())[given],
        score=(given == right).astype(float),
        **more,
    )


def ablated(model: ll.Fused, said: np.ndarray, table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return how far each question of `table` is right with its image taken away."""
    asked, image, right = (table[name].to_numpy() for name in ("code", "image", "right"))
    mean = items("train")[1][:-HELD_OUT].mean(0, keepdims=True).round().astype(np.uint8)
    every, first = torch.arange(len(questions())), np.zeros(len(questions()), int)
    zeros = model.predict(every, mean, first, missing="image").argmax(1)
    blank = model.predict(every, mean, first).argmax(1)
    own = said[asked, image] == right
    hits = said[asked] == right[:, None]  # (questions asked, images)
    together = np.zeros((len(questions()), said.shape[1]), bool)
    together[asked, image] = True
    together = together[asked]
    within = ((hits & together).sum(1) - own) / (together.sum(1) - 1)
    anywhere = (hits.sum(1) - own) / (hits.shape[1] - 1)
    return {
        "zeros": (zeros[asked] == right).astype(np.int8),
        "blank": (blank[asked] == right).astype(np.int8),
        "within": within.round(3).astype(np.float32),
        "anywhere": anywhere.round(3).astype(np.float32),
    }


def additive(logits: np.ndarray, table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return whether the additive part of a model answers each question right, in three ways."""
    asked, image, right = (table[name].to_numpy() for name in ("code", "image", "right"))
    logits = logits.astype(float)
    valid = np.array([not presumes(question) for question in questions()])
    counts = np.bincount(asked, minlength=len(valid))
    shares = logits - np.logaddexp.reduce(logits, 2, keepdims=True)
    some = np.zeros_like(logits)
    some[valid] = ll.emap(logits[valid], counts[valid])
    hit = [
        (part.argmax(2)[asked, image] == right).astype(np.float32)
        for part in (ll.emap(logits, counts), ll.emap(shares, counts), some)
    ]
    hit[2][~valid[asked]] = np.nan
    return dict(zip(("additive", "additive_log", "additive_valid"), hit, strict=True))

"""Fusion operators and tuned late fusion on easy-VQA, at equal parameters and tuning. 8 minutes.

Each system learns for eight epochs from the questions about 2,400 images of the train part, halved
to 32 by 32 pixels. 400 other images of that part are for validation, and 300 images of the test
part, drawn once, say what came out.

*Equal parameters*: each width is the one whose total is nearest to TOTAL; for late fusion the total
is that of its two models, one that sees the image alone and one that reads the question alone. The
latter is a table: how often each answer was right for each question, the best that can be had
without the image. *Equal tuning*: every system is trained at the same RATES with TUNING_SEED; the
rate with the best accuracy on the validation images then trains four more seeds. The columns `rate`
and `validation` (that accuracy) are the same in each row of a system. The other columns say whether
the answer was right when, at test time only, noise was added to the image (its sd as a share of the
range of a pixel), when the image's features were zero, when the image was another's; and for the
gate and cross-attention, when their shares were uniform, shuffled within the item, or those of
another item.

Late fusion in three ways: "late pool" averages the two models' probabilities with one weight chosen
on the validation images; "late stack" fits there a multinomial logistic regression on both models'
log-probabilities; "late table" looks up, by the question and the likeliest of the colours and of
the shapes among the answers of the model that sees, which answer was most often right in training:
it can multiply.
"""

from functools import cache

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import lleval_lib as ll

TUNING_SEED, FURTHER_SEEDS = 0, (1, 2, 3, 4)
RATES = (1e-3, 3e-3, 1e-2)
OPERATORS = ("sum", "concatenation", "gate", "film", "bilinear", "cross_attention")
ALONE, LATE = ("text", "image"), ("late pool", "late stack", "late table")
NAMES = (*ALONE, *LATE, *OPERATORS)
TOTAL, N_TRAIN, BATCH, EPOCHS = 48_000, 2_400, 64, 8
NOISE = (0.1, 0.2, 0.4)
SHARES = ("uniform", "shuffled", "other item")
SYSTEMS = (
    *(f"{name}, {rate:g}, seed {TUNING_SEED}" for rate in RATES for name in NAMES),
    *(f"{name}, chosen, seed {seed}" for seed in FURTHER_SEEDS for name in NAMES),
)
COLOURS = ("black", "blue", "brown", "gray", "green", "red", "teal", "yellow")
SHAPES = ("circle", "rectangle", "triangle")


def build(system: str) -> pd.DataFrame:
    """Return the records of one of `SYSTEMS` on the test questions."""
    name, rate, seed = system.split(", ")
    rate = chosen(name) if rate == "chosen" else float(rate)
    right, validation = answered(name, rate, int(seed.removeprefix("seed ")))
    return recorded(system, right, rate=rate, validation=validation)


@cache
def chosen(name: str) -> float:
    """Return the rate with the best accuracy on the validation images, at TUNING_SEED."""
    return max(RATES, key=lambda rate: answered(name, rate, TUNING_SEED)[1])


def recorded(system: str, says: dict[str, np.ndarray], **columns: float) -> pd.DataFrame:
    """Return records of the numbers of the answers by condition, of which one is "clean"."""
    items, answers = questions("test"), np.array(data()["answers"])
    target = items.target.to_numpy()
    columns |= {
        name: (answers[found] == target).astype(np.float32)
        for name, found in says.items()
        if name != "clean"
    }
    prediction = answers[says["clean"]]
    score = (prediction == target).astype(float)
    return ll.make_records(system, "easy-VQA", items, prediction=prediction, score=score, **columns)


@cache
def data() -> dict:
    """Return questions, halved images, and the two vocabularies; those of the train part in two."""
    train, pictures = ll.load_easy_vqa("train")
    test, others = ll.load_easy_vqa("test")
    held = test[test.image.isin(np.random.default_rng(0).choice(1_000, 300, replace=False))]
    parts = {
        "train": (train[train.image < N_TRAIN], pictures),
        "validation": (train[train.image >= 3_600], pictures),
        "test": (held, others),
    }
    return {
        "tables": {k: rows.reset_index(drop=True) for k, (rows, _) in parts.items()},
        "images": {k: halved(images) for k, (_, images) in parts.items()},
        "questions": sorted(set(train.question)),
        "answers": sorted(set(train.answer)),
    }


def halved(images: np.ndarray) -> np.ndarray:
    """Return images of half the height and width: the mean of two by two pixels."""
    n, height, width, channels = images.shape
    blocks = images.reshape(n, height // 2, 2, width // 2, 2, channels)
    return blocks.mean((2, 4), dtype=np.float32)


def questions(split: str) -> pd.DataFrame:
    """Return the questions of "train", "validation" or "test" as the items of a task."""
    table = data()["tables"][split].rename(columns={"answer": "target"})
    return table.assign(cluster=table.image.map("{:04d}".format))


@cache
def numbers(split: str) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Return of each question its number, its answer's, and its image's row."""
    table, codes = data()["tables"][split], []
    for column, names in (("question", data()["questions"]), ("answer", data()["answers"])):
        place = {name: i for i, name in enumerate(names)}
        codes.append(torch.tensor(table[column].map(place).to_numpy()))
    return *codes, table.image.to_numpy()


class NoText(torch.nn.Module):
    """Stands for the encoder of questions in a model that only sees."""

    def __init__(self, width: int):
        super().__init__()
        self.width = width

    def forward(self, texts):
        return torch.zeros(len(texts), self.width)


class Largest(torch.nn.Module):
    """The largest value over the places, at once for each image: what all but attention look at."""

    def forward(self, places):
        return places.amax(1, keepdim=True)


def new_model(name: str, width: int, seed: int = 0) -> ll.Fused:
    """Return a model with the operator `name` and new weights of `seed`."""
    torch.manual_seed(seed)
    n_questions, n_answers = len(data()["questions"]), len(data()["answers"])
    text = NoText(width) if name == "image" else torch.nn.Embedding(n_questions, width)
    image = ll.image_encoder(width)
    if name != "cross_attention":
        image = torch.nn.Sequential(image, Largest())
    return ll.Fused(text, image, ll.fusion(name, width), width, n_answers)


def size(name: str, width: int) -> int:
    """Return the number of parameters of the model `name`."""
    return sum(p.numel() for p in new_model(name, width).parameters())


@cache
def width_of(name: str) -> int:
    """Return the width at which `name`, or late fusion for "image", has about TOTAL parameters."""
    table = table_of_questions().size if name == "image" else 0
    return min(range(32, 160), key=lambda width: abs(size(name, width) + table - TOTAL))


@cache
def table_of_questions() -> np.ndarray:
    """Return the log-probability of each answer to each question, without the image."""
    questions, answers, _ = numbers("train")
    counts = np.full((len(data()["questions"]), len(data()["answers"])), 0.1)
    np.add.at(counts, (questions.numpy(), answers.numpy()), 1)
    return np.log(counts / counts.sum(1, keepdims=True))


def trained(name: str, rate: float, seed: int, epochs: int = EPOCHS) -> ll.Fused:
    """Return the model `name`, "image" or one of OPERATORS, trained."""
    model = new_model(name, width_of(name), seed)
    texts, answers, image = numbers("train")
    images = data()["images"]["train"]
    of_image = np.split(np.argsort(image, kind="stable"), np.bincount(image).cumsum()[:-1])

    def loss(batch):
        items = np.concatenate([of_image[i] for i in batch])
        rows = np.repeat(np.arange(len(batch)), [len(of_image[i]) for i in batch])
        # As model(texts[items], images[batch], rows), in half the time.
        places = model.image(images[batch]).index_select(0, torch.from_numpy(rows))
        logits = model.classifier(model.operator(model.text(texts[items]), places))
        return torch.nn.functional.cross_entropy(logits, answers[items])

    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=1e-2, fused=True)
    how = {"optimizer": optimizer, "epochs": epochs, "batch_size": BATCH, "rng": seed}
    ll.fit(model, loss, len(of_image), **how)
    return model.eval()


@cache
def logits(name: str, rate: float, seed: int) -> dict[str, np.ndarray]:
    """Return a model's logits for "validation", and for the test questions by condition."""
    model = trained(name, rate, seed)
    draw, found = np.random.default_rng(0), {}
    with torch.inference_mode():
        if name == "image":
            seen = model.image(data()["images"]["train"][:N_TRAIN])
            found["train"] = answer(model, torch.zeros(N_TRAIN), seen, np.arange(N_TRAIN))
        for split in ("validation", "test"):
            texts, _, image = numbers(split)
            used, rows = np.unique(image, return_inverse=True)
            images = data()["images"][split][used]
            seen = model.image(images)
            found[split] = answer(model, texts, seen, rows)
        found["clean"] = found.pop("test")
        for sd in NOISE:
            noise = draw.normal(0, 255 * sd, images.shape).astype(np.float32)
            noisy = model.image(np.clip(images + noise, 0, 255))
            found[f"noise {sd}"] = answer(model, texts, noisy, rows)
        found["zeros"] = answer(model, texts, torch.zeros_like(seen), rows)
        found["other image"] = answer(model, texts, seen, draw.permutation(len(used))[rows])
        if name in ("gate", "cross_attention"):
            honest = model.operator.weights
            for how in SHARES:
                model.operator.weights = changed(honest, how)
                found[how] = answer(model, texts, seen, rows)
    return found


def answer(model: ll.Fused, texts: torch.Tensor, seen: torch.Tensor, rows) -> np.ndarray:
    """Return the logits for `texts` about the encoded images `seen` in the given rows."""
    places = seen.index_select(0, torch.from_numpy(rows))
    return model.classifier(model.operator(model.text(texts), places)).numpy()


def changed(weights, how: str):
    """Return a function like `weights` whose shares are not those of the item."""
    draw = torch.Generator().manual_seed(0)

    def others(text, places):
        shares = weights(text, places)
        if how == "uniform":
            return torch.full_like(
                shares, 0.5 if shares.shape == text.shape else 1 / places.shape[1]
            )
        if how == "shuffled":
            return shares.gather(1, torch.rand(shares.shape, generator=draw).argsort(1))
        return shares[torch.randperm(len(shares), generator=draw)]

    return others


@cache
def answered(name: str, rate: float, seed: int) -> tuple[dict[str, np.ndarray], float]:
    """Return the numbers of the test answers by condition, and the accuracy on validation."""
    target = numbers("validation")[1].numpy()
    if name in OPERATORS:
        found = {k: v.argmax(1) for k, v in logits(name, rate, seed).items()}
        return found, float((found.pop("validation") == target).mean())
    seen = logits("image", rate, seed)
    says = combined(name, seen)
    found = {k: says(k, seen[k]) for k in seen if k != "train"}
    return found, float((found.pop("validation") == target).mean())


def combined(name: str, seen: dict[str, np.ndarray]):
    """Return a function from a condition and the image model's logits to answers."""

    def question(condition):
        return numbers("validation" if condition == "validation" else "test")[0].numpy()

    def both(condition, logits):
        image = torch.log_softmax(torch.from_numpy(logits), 1).numpy().astype(float)
        return [table_of_questions()[question(condition)], image.clip(-10)]

    def pool(condition, logits, weight):
        shares = torch.softmax(torch.tensor(np.array(both(condition, logits))), 2).numpy()
        return ll.pool_probabilities(shares, [weight, 1 - weight]).argmax(1)

    target = numbers("validation")[1].numpy()
    if name == "text":
        return lambda condition, logits: both(condition, logits)[0].argmax(1)
    if name == "image":
        return lambda condition, logits: logits.argmax(1)
    if name == "late pool":
        weights = np.linspace(0, 1, 21)
        shown = seen["validation"]
        best = np.argmax([(pool("validation", shown, w) == target).mean() for w in weights])
        return lambda condition, logits: pool(condition, logits, weights[best])
    if name == "late stack":
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
        model.fit(np.hstack(both("validation", seen["validation"])), target)
        return lambda condition, logits: model.predict(np.hstack(both(condition, logits)))
    questions, answers, image = numbers("train")
    colour, shape = facts(seen["train"])
    table = np.zeros((len(data()["questions"]), len(COLOURS), len(SHAPES), len(data()["answers"])))
    table += np.exp(table_of_questions())[:, None, None]  # for what training never showed
    np.add.at(table, (questions.numpy(), colour[image], shape[image], answers.numpy()), 1)
    return lambda condition, logits: table[question(condition), *facts(logits)].argmax(1)


def facts(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the likeliest colour and shape among the answers."""
    place = data()["answers"].index
    return tuple(
        logits[:, [place(word) for word in words]].argmax(1) for words in (COLOURS, SHAPES)
    )

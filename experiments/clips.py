"""Questions about clips of five frames, answered by eleven models. A quarter of an hour quiet.

The frames are easy-VQA images. One image encoder learns from the questions about the training
images, and its features, the largest value over the places, are then kept; all models of the clips
learn from them, with the same number of steps and the better of RATES, chosen for each on clips of
the validation images, at seed 0. Every model says what it answers to the clips of the test images
("test"), and to the same clips with the frames in another order ("shuffled").

A frame model sees one frame, of known place. *positions* are learned vectors that are added to the
frames. "weighted sum" is the article's fusion: half of the text, half of the largest value over the
frames. "trained shuffled" sees the frames of each clip in a new order in each epoch. "long" has
LONG times as many epochs.

*Leak*: one clip of each pair of twins; a share of the test clips has a sibling in the training set,
with the same question and four of its five frames; the fifth is another image that shows the same.
In "images apart", all five are other images, from the training part. "neighbour" gives the answer
of the nearest training clip with the same question, by the mean of the frames' features: like
"mean", it cannot see their order.
"""

from functools import cache

import numpy as np
import pandas as pd
import torch
from torch import nn

import lleval_lib as ll
from lleval_lib.datasets.clips import FRAMES, _shown

WIDTH, BATCH, RATES = 64, 256, (0.002, 0.005)
EPOCHS, FEW_EPOCHS, LONG, LEAK_EPOCHS = 24, 8, 3, 30
FIRST_VALIDATION = 3_600  # the first image that no training clip shows
SEEDS, LEAKS = range(5), (0, 0.25, 0.5, 0.75, 1)
SIMPLE = ("text", *(f"frame {i}" for i in range(1, FRAMES + 1)))
MODELS = (
    *SIMPLE,
    *("weighted sum", "weighted sum, positions", "mean"),
    *("cross-attention, positions", "gru"),
)
LONGER = "cross-attention, positions"
FEWER = 3  # seeds of what takes long
SYSTEMS = (
    *(
        name
        for model in MODELS
        for name in (
            *(f"{model}, rate {rate:g}" for rate in RATES),
            *(f"{model}, seed {seed}" for seed in SEEDS),
        )
    ),
    *(f"gru, trained shuffled, seed {seed}" for seed in SEEDS[:FEWER]),
    f"{LONGER}, long, seed 0",
    *(f"neighbour, leak {share:g}" for share in LEAKS),
    "neighbour, leak 1, images apart",
    *(f"mean, leak 1, seed {seed}" for seed in SEEDS[:FEWER]),
)


def build(system: str) -> pd.DataFrame:
    """Return the records of one of `SYSTEMS`."""
    name, _, seed = system.partition(", seed ")
    if ", rate " in system:
        model, _, rate = system.partition(", rate ")
        return answers(trained(model, float(rate), 0), system, "validation")
    if ", leak " in name:
        return leaked(system, name, seed)
    model = name.removesuffix(", trained shuffled").removesuffix(", long")
    longer = LONG if name.endswith("long") else 1
    made = trained(model, best(model), int(seed), name.endswith("shuffled"), longer)
    tasks = ("test",) if model in SIMPLE else ("test", "shuffled")
    return pd.concat([answers(made, system, task) for task in tasks], ignore_index=True)


@cache
def best(model: str) -> float:
    """Return the rate of `model` that answers most of the validation clips; if two, the lower."""
    right = [answers(trained(model, r, 0), model, "validation").score.sum() for r in RATES]
    return RATES[int(np.argmax(right))]


@cache
def clips(split: str) -> pd.DataFrame:
    """Return the clips of the images of "train", "validation" or "test"."""
    questions, _ = ll.load_easy_vqa("test" if split == "test" else "train")
    if split != "test":
        questions = questions[(questions.image < FIRST_VALIDATION) == (split == "train")]
    return ll.make_clips(questions, rng=("train", "validation", "test").index(split))


@cache
def features(split: str) -> torch.Tensor:
    """Return the features of the images of easy-VQA's "train" or "test", in training units."""
    images, encode = ll.load_easy_vqa(split)[1], encoder()
    with torch.inference_mode():
        parts = np.array_split(images, len(images) // 250)
        found = torch.cat([encode(part).amax(1) for part in parts])
    found = found.clone()  # an ordinary tensor, from which a model can learn
    if split == "train":
        units.extend((found[:FIRST_VALIDATION].mean(0), found[:FIRST_VALIDATION].std(0)))
    elif not units:
        features("train")
    return (found - units[0]) / units[1]


units: list[torch.Tensor] = []  # mean and standard deviation of the training images' features


@cache
def encoder() -> nn.Module:
    """Return the image encoder, after eight epochs of questions about the training images."""
    questions, images = ll.load_easy_vqa("train")
    questions = questions[questions.image < FIRST_VALIDATION]
    asked, answered = (pd.factorize(questions[c], sort=True)[0] for c in ("question", "answer"))
    asked, answered = torch.from_numpy(asked), torch.from_numpy(answered)
    of = [np.flatnonzero(questions.image == i) for i in range(FIRST_VALIDATION)]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        text, image = nn.Embedding(int(asked.max()) + 1, WIDTH), ll.image_encoder(WIDTH)
        model = ll.Fused(text, image, ll.fusion("film", WIDTH), WIDTH, int(answered.max()) + 1)

    def loss(batch):
        items = np.concatenate([of[i] for i in batch])
        rows = np.repeat(np.arange(len(batch)), [len(of[i]) for i in batch])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(asked[items], images[batch], rows)
        return nn.functional.cross_entropy(logits.float(), answered[items])

    steps = torch.optim.AdamW(model.parameters(), 3e-3, weight_decay=1e-2)
    ll.fit(model, loss, FIRST_VALIDATION, optimizer=steps, epochs=8, batch_size=64, rng=0)
    return model.image.eval()


@cache
def words() -> tuple[list[str], list[str]]:
    """Return all questions and all answers."""
    both = pd.concat([clips(split) for split in ("train", "validation", "test")])
    return sorted(both.question.unique()), sorted(both.answer.unique())


def as_tensors(table: pd.DataFrame, images: torch.Tensor):
    """Return the questions, frames and answers of clips."""
    asked, answered = (
        torch.from_numpy(pd.Index(known).get_indexer(table[column]))
        for known, column in zip(words(), ("question", "answer"), strict=True)
    )
    frames = table[[f"frame_{i}" for i in range(1, FRAMES + 1)]].to_numpy()
    return asked, images[torch.from_numpy(frames)], answered


class OfClips(nn.Module):
    """One of `MODELS`, with new weights."""

    def __init__(self, model: str, seed: int):
        super().__init__()
        torch.manual_seed(seed)
        self.kind, _, positions = model.partition(", ")
        self.question, self.frame = nn.Embedding(len(words()[0]), WIDTH), nn.Linear(WIDTH, WIDTH)
        self.positions = nn.Parameter(torch.randn(FRAMES, WIDTH) / 2) if positions else None
        if self.kind in ("weighted sum", "cross-attention"):
            self.fuse = ll.fusion("sum" if "sum" in self.kind else "cross_attention", WIDTH)
        elif self.kind != "text":
            self.scale, self.shift = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        if self.kind == "gru":
            self.gru = nn.GRU(WIDTH, WIDTH, batch_first=True)
        answers = len(words()[1])
        self.answer = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, answers))

    def forward(self, asked, frames):
        return self.answer(self.pooled(self.question(asked), frames))

    def pooled(self, text, frames):
        if self.kind == "text":
            return text
        if self.kind.startswith("frame"):
            frames = frames[:, [int(self.kind[-1]) - 1]]
        seen = self.frame(frames)
        if self.positions is not None:
            seen = seen + self.positions
        if self.kind in ("weighted sum", "cross-attention"):
            return self.fuse(text, seen)
        guided = torch.relu(self.scale(text)[:, None] * seen + self.shift(text)[:, None])
        if self.kind == "gru":
            return self.gru(guided)[0][:, -1]
        return guided.mean(1)


@cache
def trained(model: str, rate: float, seed: int, shuffled: bool = False, longer: int = 1) -> OfClips:
    """Return a model of the training clips."""
    epochs = FEW_EPOCHS if model in SIMPLE else EPOCHS * longer
    data = as_tensors(clips("train"), features("train"))
    return learned(model, data, rate, seed, epochs, shuffled)


def learned(model, data, rate, seed, epochs, shuffled=False, decay=0.01):
    with torch.random.fork_rng():
        made = OfClips(model, seed)
    asked, frames, answered = data
    rng = np.random.default_rng(seed)

    def loss(batch):
        batch = torch.from_numpy(batch)
        seen = frames[batch]
        if shuffled:
            order = torch.from_numpy(rng.random((len(batch), FRAMES)).argsort(1))
            seen = seen.gather(1, order[:, :, None].expand_as(seen))
        return nn.functional.cross_entropy(made(asked[batch], seen), answered[batch])

    steps = torch.optim.AdamW(made.parameters(), rate, weight_decay=decay)
    ll.fit(made, loss, len(asked), optimizer=steps, epochs=epochs, batch_size=BATCH, rng=seed)
    return made.eval()


def answers(model: OfClips, system: str, task: str, table: pd.DataFrame | None = None):
    """Return the records of a model on the clips of `task`, or on those of `table`."""
    split = "validation" if task == "validation" else "test"
    table = clips(split) if table is None else table
    asked, frames, _ = as_tensors(table, features("test" if split == "test" else "train"))
    if task == "shuffled":
        # All orders are equally likely, a clip's own too; the same for all models.
        rng = np.random.default_rng(15)
        orders = [rng.permutation(FRAMES) for _ in range(len(table))]
        frames = frames.gather(1, torch.tensor(np.array(orders))[:, :, None].expand_as(frames))
    with torch.inference_mode():
        says = model(asked, frames).argmax(1).numpy()
    return as_records(system, task, table, np.array(words()[1])[says])


def as_records(system, task, table, says, **more):
    items = table[["item_id"]].assign(cluster=table.pool.map("pool {:02d}".format))
    items = items.assign(target=table.answer)
    right = says == table.answer.to_numpy()
    kind = table.kind.to_numpy()
    return ll.make_records(system, task, items, prediction=says, score=right, kind=kind, **more)


def leaked(system: str, name: str, seed: str) -> pd.DataFrame:
    """Return the records of a system on test clips of which some have a sibling in training."""
    share = float(name.partition(", leak ")[2].split(",")[0])
    test = clips("test").drop_duplicates("pair").reset_index(drop=True)
    table = clips("train").drop_duplicates("pair")
    data = as_tensors(table, features("train"))
    rng = np.random.default_rng(0)
    has = rng.permutation(len(test)) < round(share * len(test))
    if share:
        apart = name.endswith("images apart")
        siblings = test[has].assign(**replaced(test[has], apart, rng))
        more = as_tensors(siblings, features("train" if apart else "test"))
        data = tuple(torch.cat(pair) for pair in zip(data, more, strict=True))
    if seed:
        model = learned("mean", data, best("mean"), int(seed), LEAK_EPOCHS, decay=0.0)
        return answers(model, system, "leak", test).assign(leaked=has.astype(float))
    asked, frames, _ = as_tensors(test, features("test"))
    says = np.empty(len(test), dtype=object)
    for question in asked.unique():
        of, known = asked == question, data[0] == question
        near = torch.cdist(frames[of].mean(1), data[1][known].mean(1)).argmin(1)
        says[of.numpy()] = np.array(words()[1])[data[2][known][near]]
    return as_records(system, "leak", test, says.astype(str), leaked=has.astype(float))


def replaced(table: pd.DataFrame, apart: bool, rng: np.random.Generator) -> dict:
    """Return the frames of siblings: other images that show the same, for one frame or for all."""
    here = _shown(ll.load_easy_vqa("test")[0]).agg(" ".join, axis=1)
    there = _shown(ll.load_easy_vqa("train")[0]).agg(" ".join, axis=1) if apart else here
    there = there[there.index < FIRST_VALIDATION] if apart else there
    of = {what: rows.index.to_numpy() for what, rows in there.groupby(there)}
    names = [f"frame_{i}" for i in range(1, FRAMES + 1)]
    frames = table[names].to_numpy().copy()
    for row in frames:
        for place in range(FRAMES) if apart else [rng.integers(FRAMES)]:
            choices = of[here[row[place]]]
            row[place] = rng.choice(choices[choices != row[place]] if not apart else choices)
    return dict(zip(names, frames.T, strict=True))

"""A small network that names shape and colour, on easy-VQA and on OpenMoji. Two minutes.

It learns from the training pictures of easy-VQA, of which the questions tell shape and colour, for
one epoch or for twelve, with five seeds each. It then describes the test pictures and all emoji, at
64 by 64 pixels on white. The prediction is "red circle"; `second` is the second most probable
colour, and `sure` the probability of shape times that of colour.
"""

import io
from functools import cache

import numpy as np
import pandas as pd
import resvg_py
import torch
from PIL import Image

import lleval_lib as ll
from lleval_lib.datasets.clips import _COLOURS, _SHAPES, _shown

BATCH, RATE = 64, 2e-3
SYSTEMS = tuple(f"{epochs} epochs, seed {seed}" for epochs in (1, 12) for seed in range(5))


@cache
def pictures(split: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the items of "train", "test" or "emoji", and their pictures."""
    if split == "emoji":
        table = ll.load_emoji()
        items = pd.DataFrame({"item_id": table.item_id, "cluster": table.block, "target": table.en})
        return items, np.stack([drawn(svg) for svg in table.svg])
    questions, images = ll.load_easy_vqa(split)
    shown = _shown(questions)
    told = shown.colour + " " + shown["shape"]
    ids = [f"{split}-image-{i:04d}" for i in shown.index]
    items = pd.DataFrame({"item_id": ids, "cluster": ids, "target": told.to_numpy(str)})
    return items, images[shown.index]


def drawn(svg: str, size: int = 64) -> np.ndarray:
    """Return the drawing on white, shape (size, size, 3), uint8."""
    png = resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, background="white")
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


class Describer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.places = ll.image_encoder(64)
        self.colour = torch.nn.Linear(64, len(_COLOURS))
        self.shape = torch.nn.Linear(64, len(_SHAPES))

    def forward(self, images):
        seen = torch.relu(self.places(images)).amax(1)
        return self.colour(seen), self.shape(seen)


@cache
def trained(epochs: int, seed: int) -> Describer:
    """Return the network after `epochs` over the training pictures."""
    items, images = pictures("train")
    words = items.target.str.split(" ", expand=True)
    colour = torch.tensor([_COLOURS.index(word) for word in words[0]])
    shape = torch.tensor([_SHAPES.index(word) for word in words[1]])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Describer()

    def loss(rows):
        by_colour, by_shape = model(images[rows])
        entropy = torch.nn.functional.cross_entropy
        return entropy(by_colour, colour[rows]) + entropy(by_shape, shape[rows])

    optimizer = torch.optim.Adam(model.parameters(), RATE)
    n = len(items)
    ll.fit(model, loss, n, optimizer=optimizer, epochs=epochs, batch_size=BATCH, rng=seed)
    return model.eval()


def build(system: str) -> pd.DataFrame:
    """Return the records of one of `SYSTEMS` on the test pictures and on the emoji."""
    epochs, seed = (int(word) for word in system.replace(",", "").split()[::3])
    return pd.concat([described(trained(epochs, seed), system, s) for s in ("test", "emoji")])


def described(model: Describer, system: str, split: str) -> pd.DataFrame:
    """Return the records of `model`; right if the name holds both words (a square is one of
    the rectangles)."""
    items, images = pictures(split)
    with torch.inference_mode():
        colour, shape = (torch.softmax(logits, 1).numpy() for logits in model(images))
    order = colour.argsort(axis=1)[:, ::-1]
    said = pd.Series(
        [f"{_COLOURS[c]} {_SHAPES[s]}" for c, s in zip(order[:, 0], shape.argmax(1), strict=True)]
    )
    named = items.target.str.replace("square", "rectangle").str.split(" ")
    right = [set(a.split(" ")) <= set(b) for a, b in zip(said, named, strict=True)]
    return ll.make_records(
        system,
        split,
        items if split == "test" else items.assign(target=items.item_id),
        prediction=said,
        score=right,
        second=[_COLOURS[c] for c in order[:, 1]],
        sure=np.round(colour.max(1) * shape.max(1), 3),
    )

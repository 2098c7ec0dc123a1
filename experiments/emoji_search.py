"""Search for an emoji by its name: ranks by features, encoder, language and split. Five minutes.

A ridge regression takes the features of a picture to the vector of its name; λ is the number of
features. A picture is found by the cosine of a query's vector with what the regression says of the
picture. The pictures are dealt into five galleries, once for every system, and the score is the
rank of the right picture in its gallery of about 278.

No picture of a gallery, and so no query, is in the training of any regression that speaks of it: a
competitor that has learned the query's own name would push the right picture back. Besides, the
fold of the picture is left out. In the split "random" the fold was drawn at random; in "grouped"
it has whole blocks of Unicode, 16 neighbours, which are often alike; in "wide" blocks of 256. So
"random" and "grouped" learn from equally many pictures, 0.64 of all, and only the siblings go.

The network is EfficientNet-Lite0 (Tan and Le 2019), in the lines that its weights need.
"""

from functools import cache

import numpy as np
import pandas as pd
import scipy.linalg
import torch
from describers import drawn
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GroupKFold

import lleval_lib as ll
from lleval_lib.fetching import unpack

FOLDS, SIZE = 5, 224
LANGUAGES = ("en", "zh", "ar", "de", "es", "fa", "fr", "id", "it", "ja", "ko", "pt", "ru", "tr")
# features, encoder of the text, language of the names in training, language of the query, split
SYSTEMS = (
    *(
        f"{features}, minilm, en, en, {split}"
        for split in ("random", "grouped")
        for features in ("efficientnet", "colours", "pixels")
    ),
    "shuffled, minilm, en, en, random",
    *(f"nearest caption, minilm, en, en, {split}" for split in ("random", "grouped")),
    "efficientnet, minilm, en, zh, random",
    "efficientnet, minilm, zh, zh, random",
    "true caption, minilm, en, zh, random",
    "true caption, minilm, en, de, random",
    "efficientnet, minilm, en, en, wide",
    "nearest caption, minilm, en, en, wide",
    *(f"efficientnet, letters, {lang}, {lang}, random" for lang in LANGUAGES),
    "colours, letters, zh, zh, random",
)


class _Conv(torch.nn.Module):
    """A convolution as TensorFlow pads it, with batch normalisation and, if it bends, ReLU6."""

    def __init__(self, fewer: int, more: int, kernel: int, stride: int, groups: int, bends: bool):
        super().__init__()
        self.conv = torch.nn.Conv2d(fewer, more, kernel, stride, groups=groups, bias=False)
        self.norm = torch.nn.BatchNorm2d(more, eps=1e-3)
        self.bends = bends

    def forward(self, x):
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        pad = max((-(-x.shape[-1] // stride) - 1) * stride + kernel - x.shape[-1], 0)
        x = torch.nn.functional.pad(x, (pad // 2, pad - pad // 2) * 2)
        x = self.norm(self.conv(x))
        return torch.nn.functional.relu6(x) if self.bends else x


class _Block(torch.nn.Module):
    def __init__(self, fewer: int, more: int, kernel: int, stride: int, widen: int):
        super().__init__()
        wide = fewer * widen
        parts = [_Conv(fewer, wide, 1, 1, 1, True)] if widen > 1 else []
        parts += [_Conv(wide, wide, kernel, stride, wide, True), _Conv(wide, more, 1, 1, 1, False)]
        self.parts = torch.nn.Sequential(*parts)
        self.adds = stride == 1 and fewer == more

    def forward(self, x):
        return x + self.parts(x) if self.adds else self.parts(x)


def efficientnet() -> torch.nn.Module:
    """Return EfficientNet-Lite0 up to the mean over places: (n, 3, 224, 224) to (n, 1280)."""
    layers: list[torch.nn.Module] = [_Conv(3, 32, 3, 2, 1, True)]
    width = 32
    plan = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80))
    for times, kernel, stride, widen, more in (
        *plan,
        *((3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320)),
    ):
        for i in range(times):
            layers.append(_Block(width, more, kernel, stride if i == 0 else 1, widen))
            width = more
    layers.append(_Conv(320, 1280, 1, 1, 1, True))
    net = torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    (path,) = unpack("efficientnet-lite0").rglob("*.pth")
    weights = torch.load(path, map_location="cpu", weights_only=True)
    # The file names the layers otherwise, in the same order; its last two are the classifier.
    values = [v for name, v in weights.items() if not name.startswith("_fc")]
    net.load_state_dict(dict(zip(net.state_dict(), values, strict=True)))
    return net.eval()


@cache
def emoji() -> pd.DataFrame:
    return ll.load_emoji()


@cache
def pictures() -> np.ndarray:
    return np.stack([drawn(svg, SIZE) for svg in emoji().svg])


@cache
def features(name: str) -> np.ndarray:
    """Return the features of all pictures, (1391, width)."""
    if name == "efficientnet":
        net, images = efficientnet(), pictures()
        mean, std = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], dtype="float32")
        with torch.inference_mode():
            parts = [
                net(
                    torch.from_numpy((images[i : i + 32] / 255 - mean) / std)
                    .permute(0, 3, 1, 2)
                    .float()
                )
                for i in range(0, len(images), 32)
            ]
        return torch.cat(parts).double().numpy()
    if name == "colours":  # a histogram of 4 x 4 x 4 colours
        bins = pictures().reshape(len(pictures()), -1, 3) // 64 @ [16, 4, 1]
        return np.stack([np.bincount(row, minlength=64) for row in bins]) ** 0.5
    if name == "pixels":
        small = [np.asarray(Image.fromarray(image).resize((8, 8))) for image in pictures()]
        return np.stack(small).reshape(len(small), -1).astype(float)
    # The network's features, of another picture: what is found without looking.
    return np.random.default_rng(0).permutation(features("efficientnet"))


@cache
def _encoder() -> ll.Encoder:
    return ll.load_encoder()


@cache
def vectors(encoder: str, language: str) -> np.ndarray:
    """Return the vectors of all names; those of "letters" are of one to three letters in a row."""
    names = emoji()[language]
    if encoder == "minilm":
        return ll.embed(_encoder(), names).astype(float)
    grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3), min_df=2)
    return grams.fit_transform(names.str.lower()).toarray()


@cache
def folds(split: str) -> np.ndarray:
    """Return the fold of each picture."""
    n = len(emoji())
    if split == "random":
        return np.random.default_rng(1).permutation(n) % FOLDS
    block = emoji().block if split == "grouped" else emoji().block.str[:-1]
    fold = np.empty(n, dtype=int)
    parts = GroupKFold(FOLDS, shuffle=True, random_state=1).split(block, groups=block)
    for i, (_, test) in enumerate(parts):
        fold[test] = i
    return fold


@cache
def galleries() -> np.ndarray:
    """Return the gallery of each picture."""
    return np.random.default_rng(2).permutation(len(emoji())) % FOLDS


@cache
def weights(picture: str, split: str) -> np.ndarray:
    """Return how much each name counts (a column) in what is said of each picture (a row).

    A row has zeros where its regression did not learn, and sums to 0: the mean is taken off.
    """
    n = len(emoji())
    if picture == "true caption":
        return np.eye(n) - 1 / n
    x = features("efficientnet" if picture == "nearest caption" else picture)
    table = np.zeros((n, n))
    for gallery in range(FOLDS):
        for fold in range(FOLDS):
            of_both = (galleries() == gallery) & (folds(split) == fold)
            train = (galleries() != gallery) & (folds(split) != fold)
            z = (x - x[train].mean(axis=0)) / (x[train].std(axis=0) + 1e-9)
            part = (nearest if picture == "nearest caption" else ridge)(z[train], z[of_both])
            table[np.ix_(of_both, train)] = part - part.mean(axis=1, keepdims=True)
    return table


def ridge(train: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return the weights of the items of training in the ridge regression's word on new ones.

    The mean of the targets is to be taken off; λ is the number of features.
    """
    inner = train @ train.T
    inner[np.diag_indices_from(inner)] += train.shape[1]
    return scipy.linalg.solve(inner, train @ new.T, assume_a="pos").T


def nearest(train: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return weight 1 for the item of training with the nearest picture, by cosine."""
    return np.eye(len(train))[(_unit(new) @ _unit(train).T).argmax(axis=1)]


def similarities(system: str) -> np.ndarray:
    """Return the cosine of each query, a row, with each picture, a column."""
    picture, encoder, learned, asked, split = system.split(", ")
    queries = vectors(encoder, asked)
    found = weights(picture, split) @ vectors(encoder, learned)
    return _unit(queries - queries.mean(axis=0)) @ _unit(found).T


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def build(system: str) -> pd.DataFrame:
    """Return the ranks of one of `SYSTEMS`; ties are broken by lot."""
    cosines = similarities(system)
    cosines = cosines + np.random.default_rng(0).uniform(0, 1e-9, cosines.shape)
    right = np.diag(cosines)[:, None]
    beside = galleries()[:, None] == galleries()[None, :]
    ids = emoji().item_id.to_numpy()
    items = pd.DataFrame({"item_id": ids, "cluster": emoji().block, "target": ids})
    return ll.make_records(
        system,
        "search",
        items,
        prediction=ids[np.where(beside, cosines, -2).argmax(axis=1)],
        score=1 + ((cosines > right) & beside).sum(axis=1),
    )

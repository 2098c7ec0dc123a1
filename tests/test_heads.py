"""An encoder with heads: the vectors of `embed`, a head a task, and any encoder."""

import numpy as np
import pytest
import torch
from transformers import DistilBertConfig, DistilBertModel

import lleval_lib as ll

pytestmark = pytest.mark.slow
TEXTS = ["A fine film.", "Two hours of my life that nobody gives back to me.", "No."]


@pytest.fixture(scope="module")
def model():
    return ll.Heads(ll.load_encoder(), {"fresh": 1, "rating": 3}).eval()


def test_one_encoder_and_a_head_for_each_task(model):
    with torch.inference_mode():
        logits = model(TEXTS)
    assert {task: tuple(values.shape) for task, values in logits.items()} == {
        "fresh": (3, 1),
        "rating": (3, 3),
    }


def test_vectors_are_those_of_embed(model):
    with torch.inference_mode():
        ours = torch.nn.functional.normalize(model.vectors(TEXTS)).numpy()
    assert ours == pytest.approx(ll.embed(ll.load_encoder(), TEXTS), abs=1e-5)


def test_a_text_has_the_same_logits_in_any_batch(model):
    with torch.inference_mode():
        together = model(TEXTS)["rating"][2]
        alone = model(TEXTS[2:])["rating"][0]
    assert together.numpy() == pytest.approx(alone.numpy(), abs=1e-5)


def test_texts_are_cut():
    model = ll.Heads(ll.load_encoder(), {"fresh": 1}, max_tokens=6).eval()
    with torch.inference_mode():
        cut, short = model.vectors(["one two three four five six seven", "one two three four"])
    assert cut.numpy() == pytest.approx(short.numpy(), abs=1e-5)


def test_any_encoder_and_its_gradients():
    """A model of the class of distilbert-base-uncased, with the tokenizer at hand."""
    minilm = ll.load_encoder()
    config = DistilBertConfig(vocab_size=30_522, dim=16, n_heads=2, n_layers=1, hidden_dim=32)
    tiny = ll.Encoder("tiny", DistilBertModel(config), minilm.processor)
    model = ll.Heads(tiny, {"fresh": 1})
    model(TEXTS)["fresh"].sum().backward()
    weights = dict(model.named_parameters())
    assert weights["heads.fresh.weight"].grad.abs().sum() > 0
    assert weights["encoder.embeddings.word_embeddings.weight"].grad.abs().sum() > 0
    assert np.isfinite(model(TEXTS)["fresh"].detach().numpy()).all()


def test_predict_is_the_model_without_dropout_in_the_order_of_the_texts(model):
    texts = [TEXTS[k % 3] + " Well." * (k % 5) for k in range(7)]
    with torch.inference_mode():
        alone = np.concatenate([model([text])["rating"].numpy() for text in texts])
    model.train()
    found = model.predict(iter(texts), batch_size=3)
    assert model.training
    model.eval()
    assert {task: logits.shape for task, logits in found.items()} == {
        "fresh": (7, 1),
        "rating": (7, 3),
    }
    assert found["rating"] == pytest.approx(alone, abs=1e-5)


def test_predict_refuses_batches_of_nothing(model):
    with pytest.raises(ValueError, match="batch_size must be a whole number of 1 or more"):
        model.predict(TEXTS, batch_size=0)

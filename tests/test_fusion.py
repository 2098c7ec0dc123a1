"""Fusion: what each operator computes, which inputs move it, and a model that learns."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

import lleval_lib as ll

OPERATORS = (
    *("text", "image", "sum", "learned_sum", "concatenation", "gate", "film", "bilinear"),
    "cross_attention",
)
BOTH = OPERATORS[2:]
N, PLACES, WIDTH = 5, 4, 6


@pytest.fixture
def features():
    made = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=made, dtype=torch.double)  # noqa: E731
    return draw(N, WIDTH).requires_grad_(), draw(N, PLACES, WIDTH).requires_grad_()


def made(operator, seed=0):
    torch.manual_seed(seed)
    return ll.fusion(operator, WIDTH).double()


@pytest.mark.parametrize("operator", OPERATORS)
def test_shape_and_items_of_their_own(operator, features):
    """Another order of the items is another order of the outputs: none looks at a neighbour."""
    text, places = features
    module, order = made(operator), torch.tensor([3, 0, 4, 1, 2])
    output = module(text, places)
    assert output.shape == (N, WIDTH)
    assert torch.allclose(module(text[order], places[order]), output[order])


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_order_of_the_places_is_nothing(operator, features):
    text, places = features
    module, order = made(operator), torch.tensor([2, 3, 1, 0])
    assert torch.allclose(module(text, places[:, order]), module(text, places))


@pytest.mark.parametrize("operator", OPERATORS)
def test_gradients_by_differences(operator, features):
    assert torch.autograd.gradcheck(made(operator), features)


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_weight_learns(operator, features):
    module = made(operator)
    (module(*features) ** 2).sum().backward()
    for name, weight in module.named_parameters():
        if name == "key.bias":  # the same number on every place's score: the softmax forgets it
            assert weight.grad.abs().max() < 1e-12
        elif weight.requires_grad:
            assert weight.grad.abs().max() > 0, name


@pytest.mark.parametrize("operator", OPERATORS)
def test_which_modality_moves_it(operator, features):
    text, places = features
    module = made(operator)
    before = module(text, places)
    by_text = (module(text.flip(0), places) - before).abs().max() > 1e-6
    by_image = (module(text, places.flip(0)) - before).abs().max() > 1e-6
    assert (bool(by_text), bool(by_image)) == (operator != "image", operator != "text")


@pytest.mark.parametrize("operator", BOTH)
def test_additive_or_not(operator, features):
    """Of f(t, v), only sums and concatenation have f(t, v) - f(t, v') the same for every t."""
    text, places = features
    module = made(operator)
    change = module(text[:1], places[:1]) - module(text[:1], places[1:2])
    other = module(text[1:2], places[:1]) - module(text[1:2], places[1:2])
    additive = operator in ("sum", "learned_sum", "concatenation")
    assert torch.allclose(change, other) == additive


def test_formulas(features):
    text, places = features
    seen = places.amax(1)
    assert torch.allclose(
        ll.fusion("sum", WIDTH, text_weight=0.7).double()(text, places), 0.7 * text + 0.3 * seen
    )
    film, gate, form = made("film"), made("gate"), made("bilinear")
    assert torch.allclose(film(text, places), (film.scale(text) * seen + film.shift(text)).relu())
    share = gate.weights(text, places)
    assert ((share > 0) & (share < 1)).all()
    assert torch.allclose(gate(text, places), share * text + (1 - share) * seen)
    # The bilinear form, without its biases, doubles with the text and with the image.
    for part in (form.text, form.image, form.out):
        nn.init.zeros_(part.bias)
    assert torch.allclose(form(2 * text, 3 * places), 6 * form(text, places))


def test_attention_is_that_of_pytorch(features):
    text, places = features
    ours, theirs = made("cross_attention"), nn.MultiheadAttention(WIDTH, 1, batch_first=True)
    theirs = theirs.double()
    theirs.in_proj_weight.data = torch.cat([p.weight for p in (ours.query, ours.key, ours.value)])
    theirs.in_proj_bias.data = torch.cat([p.bias for p in (ours.query, ours.key, ours.value)])
    theirs.out_proj.load_state_dict(ours.out.state_dict())
    seen, weights = theirs(text.unsqueeze(1), places, places)
    assert torch.allclose(text + seen.squeeze(1), ours(text, places))
    assert torch.allclose(weights.squeeze(1), ours.weights(text, places))


@pytest.mark.parametrize("weight", [0.3, 0.7])
def test_where_a_learned_weight_starts(weight, features):
    fixed = ll.fusion("sum", WIDTH, text_weight=weight)
    learned = ll.fusion("learned_sum", WIDTH, text_weight=weight)
    assert torch.allclose(fixed(*features), learned(*features))
    assert [p.requires_grad for p in fixed.parameters()] == [False]
    assert [p.requires_grad for p in learned.parameters()] == [True]


def test_fusion_refuses():
    with pytest.raises(ValueError, match="operator"):
        ll.fusion("average", 4)
    with pytest.raises(ValueError, match="width"):
        ll.fusion("gate", 0)
    with pytest.raises(ValueError, match="text_weight"):
        ll.fusion("sum", 4, text_weight=1.5)


def test_places_of_an_image():
    encoder = ll.image_encoder(WIDTH).eval()
    images = np.zeros((2, 64, 64, 3), dtype=np.uint8)
    images[0, :8, :8] = 255
    with torch.inference_mode():
        places = encoder(images)
    assert places.shape == (2, 64, WIDTH)
    # The white corner is seen at the first places and not at the last.
    apart = (places[0] - places[1]).abs().amax(1) > 1e-6
    assert apart[0]
    assert not apart[-1]


@pytest.fixture(scope="module")
def crossed():
    """Images of one shade in four; question 0 asks for the shade, question 1 for its opposite."""
    shades = np.repeat(np.arange(2), 8)
    images = np.full((16, 16, 16, 3), 40, dtype=np.uint8)
    images[shades == 1] = 210
    texts, rows = map(np.asarray, zip(*product(range(2), range(16)), strict=True))
    return texts, images, rows, shades[rows] ^ texts


def fused(operator, seed=0):
    torch.manual_seed(seed)
    return ll.Fused(nn.Embedding(2, 8), ll.image_encoder(8), ll.fusion(operator, 8), 8, 2)


@pytest.mark.parametrize("operator", BOTH)
def test_a_model_learns_what_neither_input_tells(operator, crossed):
    texts, images, rows, answers = crossed
    texts, answers = torch.as_tensor(texts), torch.as_tensor(answers)
    for seed in range(3):
        model = fused(operator, seed)
        ll.fit(
            model,
            lambda b, model=model: nn.functional.cross_entropy(
                model(texts[b], images, rows[b]), answers[b]
            ),
            len(texts),
            optimizer=torch.optim.AdamW(model.parameters(), lr=0.02),
            epochs=30,
            rng=seed,
        )
        if (model.predict(texts, images, rows).argmax(1) == answers.numpy()).all():
            return
    raise AssertionError(operator)


def test_a_model_predicts_what_it_computes(crossed):
    texts, images, rows, _ = crossed
    texts, model = torch.as_tensor(texts), fused("film").train()
    found = model.predict(texts, images, rows)
    assert model.training
    with torch.inference_mode():
        assert found == pytest.approx(model.eval()(texts, images, rows).numpy(), abs=1e-6)


def test_what_is_missing_moves_nothing(crossed):
    texts, images, rows, _ = crossed
    texts, model = torch.as_tensor(texts), fused("film")
    without = model.predict(texts, images, rows, missing="image")
    assert without == pytest.approx(model.predict(texts, images[::-1].copy(), rows, "image"))
    assert len(np.unique(without.round(5), axis=0)) == 2
    assert len(np.unique(model.predict(texts, images, rows, missing="text").round(5), axis=0)) == 2
    with pytest.raises(ValueError, match="missing"):
        model.predict(texts, images, rows, missing="sound")


def test_any_encoders():
    """Models of the classes of bert-base-uncased and google/vit-base-patch16-224, tiny."""
    from transformers import BertConfig, BertModel, ViTConfig, ViTModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    bert = BertModel(BertConfig(vocab_size=50, intermediate_size=16, **sizes))
    vit = ViTModel(ViTConfig(image_size=32, patch_size=16, intermediate_size=16, **sizes))

    class Text(nn.Module):
        def forward(self, tokens):
            return bert(tokens).last_hidden_state[:, 0]

    class Image(nn.Module):
        def forward(self, pixels):
            return vit(torch.as_tensor(pixels)).last_hidden_state

    tokens, pixels = torch.randint(0, 50, (6, 4)), torch.randn(2, 3, 32, 32)
    rows = [0, 0, 0, 1, 1, 1]
    model = ll.Fused(Text(), Image(), ll.fusion("cross_attention", 8), 8, 3)
    assert model(tokens, pixels, rows).shape == (6, 3)
    assert model.predict(tokens, pixels, rows).shape == (6, 3)

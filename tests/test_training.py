"""The training loop: it learns, is seeded, keeps the best epoch, and says what is wrong."""

import numpy as np
import pytest
import torch

import lleval_lib as ll

X = torch.tensor(np.random.default_rng(0).normal(size=(40, 3)), dtype=torch.float32)
Y = X @ torch.tensor([1.0, -2.0, 0.5]) + 0.3


def line(seed=0, dropout=0.0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Dropout(dropout), torch.nn.Linear(3, 1))


def trained(model, rng=0, lr=0.1, epochs=30, **options):
    def loss(rows):
        return ((model(X[rows]).squeeze(1) - Y[rows]) ** 2).mean()

    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    options = {"batch_size": 8} | options
    return ll.fit(model, loss, len(X), optimizer=optimizer, epochs=epochs, rng=rng, **options)


def test_it_finds_the_line():
    model = line()
    history = trained(model, epochs=60)
    assert model[1].weight.detach().numpy()[0] == pytest.approx([1, -2, 0.5], abs=0.02)
    assert history.loss.iloc[-1] < 1e-3 < history.loss.iloc[0]
    assert history.index.tolist() == list(range(1, 61))
    assert history.validation.isna().all()


@pytest.mark.parametrize("batch_size", [7, 8, 40, 100])
def test_every_item_once_an_epoch(batch_size):
    seen = []
    model = line()

    def loss(rows):
        seen.append(rows)
        assert len(rows) <= batch_size
        return model(X[rows]).square().mean()

    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    ll.fit(model, loss, 40, optimizer=optimizer, epochs=3, batch_size=batch_size, rng=1)
    in_order = np.concatenate(seen).reshape(3, 40)
    assert (np.sort(in_order) == np.arange(40)).all()
    assert (in_order[0] != in_order[1]).any()


def test_the_loss_of_an_epoch_is_the_mean_over_items_and_not_over_batches():
    model = line()
    squares = (model(X).squeeze(1) - Y).square().detach().numpy()
    assert trained(model, lr=1e-12, epochs=1, batch_size=7).loss[1] == pytest.approx(
        squares.mean(), rel=1e-5
    )


def test_a_seed_decides_order_and_dropout_and_leaves_the_global_one_alone():
    weights = []
    for rng, noise in ((3, 1), (3, 2), (4, 1)):
        model = line(dropout=0.5)
        torch.manual_seed(noise)
        before = torch.random.get_rng_state()
        trained(model, rng=rng, epochs=2)
        assert (torch.random.get_rng_state() == before).all()
        weights.append(model[1].weight.detach().numpy())
    assert (weights[0] == weights[1]).all()
    assert (weights[0] != weights[2]).any()


def test_the_rate_falls_linearly_to_zero():
    model = line()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.8)
    rates = []

    def loss(rows):
        rates.append(optimizer.param_groups[0]["lr"])
        return model(X[rows]).square().mean()

    ll.fit(model, loss, 40, optimizer=optimizer, epochs=2, batch_size=20, rng=0)
    assert rates == pytest.approx([0.8, 0.6, 0.4, 0.2])
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-12)


def test_validation_keeps_the_best_epoch_and_patience_stops():
    model, kept = line(), {}
    values = iter([3.0, 1.0, 2.0, 2.0, 5.0, 0.0])

    def validation():
        assert not model.training
        assert not torch.is_grad_enabled()
        value = next(values)
        kept[value] = model[1].weight.detach().clone()
        return value

    history = trained(model, epochs=6, validation=validation, patience=3)
    assert history.validation.tolist() == [3, 1, 2, 2, 5]
    assert (model[1].weight == kept[1.0]).all()
    assert (model[1].weight != kept[5.0]).any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 0}, "epochs must be a whole number of 1 or more"),
        ({"batch_size": 2.5}, "batch_size must be a whole number"),
        ({"validation": lambda: float("nan")}, "validation returned nan in epoch 1"),
        ({"patience": 2}, "patience waits for validation: give validation too"),
        ({"lr": 1e30, "epochs": 9}, "the loss became .* in epoch .*: lower the learning rate"),
    ],
)
def test_what_is_wrong_is_named(options, words):
    with pytest.raises(ValueError, match=words):
        trained(line(), **options)

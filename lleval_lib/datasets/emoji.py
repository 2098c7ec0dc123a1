"""Emoji: OpenMoji's drawings with the names that Unicode gives them in fourteen languages."""

import json
from pathlib import Path

import pandas as pd

from ..fetching import read_members
from ._shared import counted

_QUALIFIED = 2  # emoji's name for the emoji themselves, without their parts and variants
_VARIANT = "\ufe0f"  # asks for the coloured form; a file's name leaves it out


def load_emoji() -> pd.DataFrame:
    """Return 1,391 emoji: one row each, with its drawing and its names.

    These are the emoji of one code point that OpenMoji draws: no flags, tones of skin, or families.
    Columns: ``item_id``, the code point in hexadecimal, such as "1F600"; ``emoji``; ``block``, the
    code point without its last digit, the cluster, since neighbours in Unicode are often alike (the
    24 clocks, the faces of cats); ``svg``, the drawing as text; and the name in each language:
    ``en``, ``zh``, ``ar``, ``de``, ``es``, ``fa``, ``fr``, ``id``, ``it``, ``ja``, ``ko``, ``pt``,
    ``ru``, ``tr``.

    Source: OpenMoji 17.0 (2026), https://openmoji.org, CC BY-SA 4.0; the names are those of the
    Unicode CLDR, from emoji 2.16 (2026), BSD.
    """
    drawings = {Path(path).stem: svg.decode() for path, svg in read_members("openmoji").items()}
    names = {
        Path(path).stem.removeprefix("emoji_"): json.loads(content)
        for path, content in read_members("emoji-names").items()
    }
    known = names.pop("emoji")
    languages = {"en": {e: about["en"] for e, about in known.items()}}
    languages |= {language: names[language] for language in ("zh", *sorted(set(names) - {"zh"}))}
    rows = []
    for emoji, about in known.items():
        points = [f"{ord(point):04X}" for point in emoji if point != _VARIANT]
        if about["status"] == _QUALIFIED and len(points) == 1 and points[0] in drawings:
            said = {language: _plain(table[emoji]) for language, table in languages.items()}
            rows.append((points[0], emoji, points[0][:-1], drawings[points[0]], *said.values()))
    table = pd.DataFrame(rows, columns=["item_id", "emoji", "block", "svg", *languages])
    return counted(table, 1_391, "emoji", blocks=(table.block.nunique(), 146))


def _plain(name: str) -> str:
    return name.strip(":").replace("_", " ")

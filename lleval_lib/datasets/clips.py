"""Short clips made of easy-VQA images, with questions whose answers are known exactly."""

import numpy as np
import pandas as pd

from ..inputs import Rng, generator, require_count

FRAMES = 5
_SHAPES = ("circle", "rectangle", "triangle")
_COLOURS = ("black", "blue", "brown", "gray", "green", "red", "teal", "yellow")


def make_clips(
    questions: pd.DataFrame, per_kind: int = 24, pool: int = 25, *, rng: Rng = None
) -> pd.DataFrame:
    """Return clips of five frames, each an easy-VQA image, with one question each.

    `questions` is the table of `load_easy_vqa`, or its rows of some images. Its images are dealt
    into pools of `pool` images, as alike in shapes and colours as can be; what is left over is not
    used. A clip takes its frames from one pool, so the pool is the cluster. Each pool has
    `per_kind` clips, a multiple of 12, of each kind:

    - "scene", *which shape do all frames show?* One frame is enough.
    - "count", *how many frames show a circle?* 1 to 4, equally often.
    - "order", *does red come before blue?* Both stand in one frame each. Clips come in pairs of
      twins: the same frames in reverse order, with the other answer.
    - "change", *do the first and the last frame have the same colour?* Two frames have one colour,
      and the others three others; the twin is another order of the same frames with the other
      answer.

    The columns are ``item_id``, ``kind``, ``question``, ``answer``, ``pool``, ``pair`` (the number
    of the pair of twins; "scene" and "count" have none, and a number each) and ``frame_1`` to
    ``frame_5``, rows of the images.

    >>> from lleval_lib import load_easy_vqa
    >>> clips = make_clips(load_easy_vqa("test")[0], rng=0)
    >>> len(clips), clips.pool.nunique(), clips[clips.kind == "order"].question.iloc[0]
    (3360, 35, 'does teal come before yellow?')

    An image of which the questions do not tell both shape and colour is not used.

    Raises ``ValueError`` for a count that is no multiple of 12, for pools of fewer than 24 images
    or more than there are, and for questions that contradict each other about an image.
    """
    require_count(pool, "pool", 24, 25)
    if require_count(per_kind, "per_kind", 12, 24) % 12:
        raise ValueError(f"per_kind: expected a multiple of 12, such as 24, found {per_kind}")
    rng, images = generator(rng), _shown(questions)
    n_pools = len(images) // pool
    if not n_pools:
        raise ValueError(f"pool: expected at most {len(images)}, the number of images")
    images = images.iloc[rng.permutation(len(images))].sort_values(["shape", "colour"])
    images = images.iloc[np.sort(rng.permutation(len(images))[: n_pools * pool])]
    rows, pair = [], 0
    for number in range(n_pools):
        # As arrays, since thousands of draws by pandas take a minute.
        part = images.iloc[number::n_pools]
        ours = part.index.to_numpy(), *(part[c].to_numpy(str) for c in ("shape", "colour"))
        for kind, make in _MAKERS.items():
            shuffled = rng.permutation(per_kind)
            while shuffled.size:
                twins = make(ours, int(shuffled[0]), rng)
                shuffled = shuffled[len(twins) :]
                for question, answer, frames in twins:
                    rows.append((kind, question, answer, number, pair, *frames))
                pair += 1
    names = [f"frame_{i}" for i in range(1, FRAMES + 1)]
    clips = pd.DataFrame(rows, columns=["kind", "question", "answer", "pool", "pair", *names])
    clips.insert(0, "item_id", [f"clip-{i:05d}" for i in range(len(clips))])
    return clips


def _shown(questions: pd.DataFrame) -> pd.DataFrame:
    """Return ``shape`` and ``colour`` of the images of which the questions tell both."""
    word = questions.question.str.extract(rf"\b({'|'.join(_SHAPES + _COLOURS)})\b")[0]
    negative = questions.question.str.contains(r"\b(?:not|no)\b")
    closed = questions.answer.isin(["yes", "no"])
    denied = closed & ((questions.answer == "yes") == negative)
    # "What color is the triangle?" tells the shape in the question, and the colour in the answer.
    told = [
        pd.DataFrame({"image": questions.image, "word": word})[~denied],
        pd.DataFrame({"image": questions.image, "word": questions.answer})[~closed],
    ]
    told = pd.concat(told).dropna()
    denials = pd.DataFrame({"image": questions.image, "word": word})[denied]
    found = pd.DataFrame(index=pd.Index(sorted(questions.image.unique()), name="image"))
    for name, words in (("shape", _SHAPES), ("colour", _COLOURS)):
        table = [
            pd.crosstab(t.image, t.word).reindex(index=found.index, columns=words, fill_value=0) > 0
            for t in (told, denials)
        ]
        # What no question tells is the one word that none denies.
        untold = ~table[0].any(axis=1)
        table[0][untold] = ~table[1][untold]
        if (table[0] & table[1]).any(axis=None):
            raise ValueError(f"questions: they contradict each other about a {name}")
        found[name] = table[0].idxmax(axis=1).where(table[0].sum(axis=1) == 1)
    return found.dropna()


def _draw(rng, images, which, n):
    return rng.choice(images[0][which], n, replace=False).tolist()


def _scene(images, number, rng):
    shape = _SHAPES[number % 3]
    return [("which shape do all frames show?", shape, _draw(rng, images, images[1] == shape, 5))]


def _count(images, number, rng):
    shape, n = str(rng.choice(_SHAPES)), 1 + number % 4
    it = images[1] == shape
    frames = _draw(rng, images, it, n) + _draw(rng, images, ~it, FRAMES - n)
    return [(f"how many frames show a {shape}?", str(n), rng.permutation(frames).tolist())]


def _order(images, number, rng):
    colour = images[2]
    first, second = rng.permutation(np.unique(colour))[:2].tolist()
    frames = _draw(rng, images, colour == first, 1) + _draw(rng, images, colour == second, 1)
    frames += _draw(rng, images, (colour != first) & (colour != second), FRAMES - 2)
    order = rng.permutation(FRAMES).tolist()
    answers = ("yes", "no") if order.index(0) < order.index(1) else ("no", "yes")
    frames = [frames[i] for i in order]
    question = f"does {first} come before {second}?"
    return [(question, answers[0], frames), (question, answers[1], frames[::-1])]


def _change(images, number, rng):
    colours, counts = np.unique(images[2], return_counts=True)
    twice = rng.choice(colours[counts > 1])
    ends = _draw(rng, images, images[2] == twice, 2)
    others = rng.permutation(colours[colours != twice])[: FRAMES - 2]
    same = [ends[0], *(_draw(rng, images, images[2] == c, 1)[0] for c in others), ends[1]]
    other = same
    while {other[0], other[-1]} == set(ends):
        other = rng.permutation(same).tolist()
    question = "do the first and the last frame have the same colour?"
    twins = [(question, "yes", same), (question, "no", other)]
    return twins if rng.random() < 0.5 else twins[::-1]


_MAKERS = {"scene": _scene, "count": _count, "order": _order, "change": _change}

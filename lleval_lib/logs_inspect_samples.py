"""The samples in a log of Inspect: read one by one, with the numbers that a scorer gave them."""

import json
import math
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from .logs_common import pick
from .logs_samples import content_hash

# What a record needs of a sample; "score" is that of older logs. The rest is nearly all of it.
_NEEDED = {"id", "epoch", "input", "choices", "target", "output", "scores", "score", "metadata"}
_NEEDED |= {"error", "invalidation"}
_LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
_WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}


def open_log(file: Path, *, header_only: bool = False):
    """Return Inspect's ``EvalLog`` of a file.

    Raises ``ImportError`` without inspect-ai, and ``ValueError`` for a file that it cannot read.
    """
    try:
        from inspect_ai.log import read_eval_log
    except ImportError as error:
        raise ImportError(
            "Inspect's logs are read with its own classes: pip install inspect-ai"
        ) from error
    try:
        return read_eval_log(str(file), header_only=header_only)
    except Exception as error:
        if header_only:  # which cannot do without fields that the whole log may lack
            return open_log(file)
        raise _unreadable(file, error) from error


def read_samples(file: Path, *, metadata: bool) -> list[dict]:
    """Return what a record needs of each sample, in the order in which Inspect lists them.

    ``scores`` maps the name of each score to its value and the answer that was scored; a scorer
    that gives several named values has one score each: "quality.correct". Of a sample that was
    withdrawn by hand there are none. ``why`` says why a sample may lack a score.
    """
    samples = _zipped(file) if zipfile.is_zipfile(file) else open_log(file).samples or []
    rows = [_row(sample, metadata) for sample in samples]
    return sorted(rows, key=lambda row: (row["epoch"], row["sample_id"].zfill(20)))


def pick_scorer(scorer: str | None, samples: list[dict], what: str) -> str:
    """Return the full name of a score; "correct" will do for "quality.correct" if it is alone."""
    there = dict.fromkeys(name for sample in samples for name in sample["scores"])
    # Where a scorer gave no value, its name stands without that of the value.
    names = [name for name in there if not any(n.startswith(f"{name}.") for n in there)]
    full = [name for name in names if name.partition(".")[2] == scorer]
    return full[0] if len(full) == 1 else pick(scorer, names, what, "scorer")


def scored(sample: dict, scorer: str, what: str) -> dict:
    """Return the row of a sample under one scorer: ``value`` is nan where it has no score."""
    value, answer = sample["scores"].get(scorer, (None, None))
    number = _number(value)
    if number is None:
        raise ValueError(
            f"{what}: scorer {scorer!r} gives sample {sample['sample_id']!r} (epoch "
            f"{sample['epoch']}) the value {value!r}, not one finite number or C, I, P, N; choose "
            "another scorer, or score every sample with one number"
        )
    return {
        **{name: sample[name] for name in ("sample_id", "content", "prompt", "target", "metadata")},
        "prediction": sample["said"] if answer is None else answer,
        "value": number,
        "why": sample["why"] or "unscored by it",
        "letter": value in _LETTERS if isinstance(value, str) else False,
    }


def _unreadable(file: Path, error: Exception) -> ValueError:
    said = (str(error) or type(error).__name__).splitlines()[0]
    advice = "the file is empty, truncated or of another kind; copy it anew or run it again"
    if re.search(r"read version \d+ of log format", said):
        advice = "a newer Inspect wrote it: pip install -U inspect-ai"
    return ValueError(f"{str(file)!r} is no whole log of Inspect ({said}): {advice}")


def _zipped(file: Path) -> Iterator:
    """Yield the samples of an ``.eval`` file without their transcripts.

    Inspect's reader makes objects of every event, which takes ten times as long and holds all
    samples at once. The layout is documented: a zip archive with a JSON file a sample.
    """
    from inspect_ai.log import EvalSample  # also teaches zipfile the compression

    try:
        with zipfile.ZipFile(file) as archive:
            # A name stands twice where a sample was run again; the later one is read.
            for name in dict.fromkeys(archive.namelist()):
                if name.startswith("samples/") and name.endswith(".json"):
                    whole = json.loads(archive.read(name))
                    needed = _NEEDED & whole.keys()
                    yield EvalSample.model_validate({name: whole[name] for name in needed})
    except Exception as error:
        raise _unreadable(file, error) from error


def _row(sample, metadata: bool) -> dict:
    # A sample that ended in an error has a score only where the user asked for one.
    withdrawn = getattr(sample, "invalidation", None) is not None
    scores = {} if withdrawn else sample.scores or {}
    why = "withdrawn" if withdrawn else "ended in an error" if sample.error else ""
    return {
        "sample_id": str(sample.id),
        "epoch": sample.epoch,
        "content": content_hash(_content(sample.input), sample.choices, _listed(sample.target)),
        "prompt": _text(sample.input),
        "target": _text(sample.target),
        "said": sample.output.completion,
        "scores": {
            name: (value, score.answer)
            for scorer, score in scores.items()
            for name, value in _named(scorer, score.value)
        },
        "why": why,
        "metadata": sample.metadata if metadata else None,
    }


def _named(scorer: str, value) -> list[tuple]:
    if isinstance(value, dict):
        return [(f"{scorer}.{key}", part) for key, part in value.items()]
    return [(scorer, value)]


def _number(value) -> float | None:
    """Return a score as the number that Inspect counts it for, ``None`` if it is no such."""
    if value is None:
        return math.nan
    if isinstance(value, str):
        # Inspect counts what it cannot convert as 0, which would be a wrong answer.
        known = _LETTERS.get(value, _WORDS.get(value.lower()))
        return _finite(value) if known is None else known
    if isinstance(value, int | float):
        return math.nan if math.isnan(value) else _finite(value)
    return None


def _finite(value) -> float | None:
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _content(messages):
    """Return what an input holds, as JSON: who said what, without the ids of the messages."""
    if isinstance(messages, str):
        return messages
    return [[m.role, m.content if isinstance(m.content, str) else _parts(m)] for m in messages]


def _parts(message) -> list[dict]:
    return [part.model_dump(mode="json", exclude_defaults=True) for part in message.content]


def _listed(target) -> list[str]:
    return [target] if isinstance(target, str) else list(target)


def _text(content) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part if isinstance(part, str) else part.text for part in content)

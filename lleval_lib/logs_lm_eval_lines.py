"""Read the lines of a samples file of lm-evaluation-harness: one item each, under one filter."""

import json
from pathlib import Path
from typing import NamedTuple

from .logs_common import Cluster, cluster_label, decoded, whole

_FIELDS: dict[str, type | tuple[type, ...]] = {
    "target": object,
    "arguments": (dict, list),
    "filtered_resps": list,
    "filter": str,
    "metrics": list,
    "doc_hash": str,
}
_ADVICE = (
    "lm-eval 0.4.7 and newer do not write it so: copy the log anew, or run the evaluation again"
)


class Line(NamedTuple):
    """What is kept of a line: its document may be long, and is not."""

    number: int
    filter: str
    doc_id: object
    doc_hash: str
    target: str
    prompt: str
    scores: dict  # what each metric gives, which need not be a number
    said: str  # the filtered answer, where the item has no choices
    choices: tuple[str, ...]
    logliks: tuple[float, ...]
    label: object  # of the cluster


def is_number(value) -> bool:
    """Return whether a value of a log is one finite number."""
    return isinstance(value, int | float) and abs(value) < 1e300


def lines_of(path: Path, cluster: Cluster, *, prompts: bool = True) -> tuple[list[Line], object]:
    """Return the lines of a samples file, and its first document.

    Without `prompts` each prompt is empty: they are most of what a long file holds. Raises
    ``ValueError`` naming the file and the line, whatever is wrong there.
    """
    lines: list[Line] = []
    first, file = None, repr(str(path))
    # In bytes: as text, a line would also end at separators that may stand inside a text.
    with path.open("rb") as rows:
        for number, content in enumerate(rows, start=1):
            if content.isspace():
                continue
            text = decoded(content, f"{file}, line {number}")
            try:
                found = json.loads(text)
            except (ValueError, RecursionError) as error:
                goes_on = any(not rest.isspace() for rest in rows)
                advice = "the line is damaged" if goes_on else "the file is truncated"
                raise ValueError(
                    f"{file}, line {number} is not whole JSON ({error}): {advice}; copy or write "
                    "it anew"
                ) from error
            document = found.get("doc") if isinstance(found, dict) else None
            first = first or document
            label = None
            if cluster is not None:
                label = cluster_label(cluster, document, f"{file}, line {number}")
            try:
                lines.append(_line(found, number, label, prompts))
            except Exception as error:  # whatever stands there, the reader is told where
                said = error if type(error) is ValueError else f"{type(error).__name__}: {error}"
                raise ValueError(f"{file}, line {number}: {said}; {_ADVICE}") from error
    if not lines:
        raise ValueError(f"{str(path)!r} is empty: the evaluation wrote no items; run it again")
    return lines, first


def _line(found, number: int, label, prompts: bool) -> Line:
    """Return what a line says; any exception means that lm-eval has not written it so."""
    _check_fields(found)
    requests = [_values(request) for request in _values(found["arguments"])]
    if not requests or not all(requests):
        raise ValueError("the field 'arguments' holds no request, or an empty one")
    choices, logliks = _choices(requests, found["filtered_resps"])
    return Line(
        number,
        whole(found["filter"]),
        found.get("doc_id"),
        whole(found["doc_hash"]),
        whole(str(found["target"])),
        whole(_text(requests[0][0])) if prompts else "",
        {name: found.get(name) for name in found["metrics"]},
        "" if choices else whole(_said(found["filtered_resps"])),
        choices,
        logliks,
        label,
    )


def _check_fields(found) -> None:
    if not isinstance(found, dict):
        raise ValueError("this is no object with fields")
    for name, kind in _FIELDS.items():
        if name not in found:
            raise ValueError(f"the field {name!r} is not there")
        if not isinstance(found[name], kind):
            raise ValueError(f"the field {name!r} is {json.dumps(found[name])[:40]}")


def _values(found) -> list:
    """Return what {"arg_0": …, "arg_1": …} holds; some who copy logs write a list instead."""
    if isinstance(found, dict):
        return list(found.values())
    if isinstance(found, list):
        return found
    raise ValueError(f"the field 'arguments' holds {json.dumps(found)[:40]}")


def _choices(requests: list[list], found: list) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Return the choices of an item with their log-likelihoods, or nothing if it has no choices.

    A request is (context, continuation), (prompt, options) or (text,), and may end in pictures.
    """
    if len(requests) < 2 or len(requests) != len(found):
        return (), ()
    context = requests[0][0]
    for request in requests:
        if len(request) < 2 or not isinstance(request[1], str) or request[0] != context:
            return (), ()
    if len({request[1] for request in requests}) < len(requests):
        return (), ()
    # As the harness does, without the space in front.
    texts = tuple([whole(request[1].removeprefix(" ")) for request in requests])
    return texts, tuple([float(pair[0]) for pair in found])


def _said(found: list) -> str:
    only = found[0] if len(found) == 1 else found
    return only if isinstance(only, str) else json.dumps(found, ensure_ascii=False)


def _text(prompt) -> str:
    """Return a prompt as text: of a chat, which is a list of one JSON text, what was said."""
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str):
        try:
            prompt = json.loads(prompt[0])
        except ValueError:
            return prompt[0]
    if not isinstance(prompt, list) or not all(_is_message(turn) for turn in prompt):
        return json.dumps(prompt, ensure_ascii=False)
    if len(prompt) == 1:
        return prompt[0]["content"]
    return "\n\n".join(f"{turn.get('role')}: {turn['content']}" for turn in prompt)


def _is_message(turn) -> bool:
    return isinstance(turn, dict) and isinstance(turn.get("content"), str)

"""The files of Every Eval Ever (arXiv:2606.14516): which there are, and their fields checked.

An evaluation is a file ``<uuid>.json`` of what was evaluated, how and with what result, and beside
it ``<uuid>_samples.jsonl`` with a row a sample and metric.
"""

import hashlib
import json
import math
from pathlib import Path

from .logs_common import decoded, files_in, read_json

SAMPLES = "_samples.jsonl"
OURS = "lleval_lib"  # the library that wrote records in this format
_KINDS = {str: "text", list: "a list", dict: "an object", (int, float): "a number", bool: "a bool"}


def is_log(path: Path) -> bool:
    """Return whether a file is one of the two kinds of Every Eval Ever."""
    if path.name.startswith("._"):  # macOS leaves them beside files
        return False
    if path.suffix == ".json":
        with path.open("rb") as file:
            return b'"schema_version"' in file.read(300)
    return path.name.endswith(SAMPLES)


def evaluations(path: Path) -> list[Path]:
    """Return the files ``<uuid>.json`` that have their samples beside them."""
    if path.is_dir():
        found = [file for file in files_in(path) if file.name.endswith(SAMPLES) and is_log(file)]
        if not found:
            raise ValueError(
                f"there are no samples (*{SAMPLES}) of Every Eval Ever in {str(path)!r}: its "
                "results have no items; convert lm-eval with --include_samples"
            )
    else:
        found = files_in(path)
        if path.suffix == ".json":
            found = [path.with_name(path.stem + SAMPLES)]
            if not found[0].is_file():
                raise ValueError(
                    f"{str(path)!r} has no samples {found[0].name!r} beside it: put them there, or "
                    "convert with --include_samples"
                )
    return [file.with_name(file.name.removesuffix(SAMPLES) + ".json") for file in found]


def evaluation(file: Path) -> dict:
    """Return what an evaluation says, its fields checked."""
    if not file.is_file():
        raise ValueError(
            f"the evaluation {str(file)!r} is not beside its samples: put it there, it says what "
            "was evaluated"
        )
    log, what = read_json(file), repr(str(file))
    _field(log, "model_info.id", str, what)
    _field(log, "eval_library.name", str, what)
    for k, result in enumerate(_field(log, "evaluation_results", list, what)):
        where = f"{what}, result {k + 1}"
        _field(result, "evaluation_name", str, where)
        _field(result, "metric_config.lower_is_better", bool, where)
        _field(result, "score_details.score", (int, float), where)
        for name in (
            "evaluation_result_id",
            "metric_config.metric_name",
            "metric_config.metric_id",
        ):
            _optional(result, name, str, where)
    return log


def sample_rows(file: Path, log: dict) -> list[dict]:
    """Return the samples of an evaluation, their fields checked."""
    samples = file.with_name(file.stem + SAMPLES)
    content, said = samples.read_bytes(), part(log, "detailed_evaluation_results")
    checked = said.get("hash_algorithm") == "sha256" and "checksum" in said
    if checked and hashlib.sha256(content).hexdigest() != said["checksum"]:
        raise ValueError(
            f"{str(samples)!r} has another checksum than {file.name!r} says: it is truncated, "
            "changed or of another evaluation; take both as the converter wrote them"
        )
    rows = []
    for number, line in enumerate(decoded(content, repr(str(samples))).split("\n"), start=1):
        where = f"{str(samples)!r}, line {number}"
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{where} is not whole JSON ({error}): write it anew") from error
            rows.append(_checked_row(row, where))
    said_rows = said.get("total_rows", len(rows))
    if not rows or said_rows != len(rows):
        raise ValueError(
            f"{str(samples)!r} holds {len(rows)} rows, but {file.name!r} says {said_rows}: it is "
            "truncated or of another evaluation"
        )
    return rows


def _checked_row(row: dict, where: str) -> dict:
    _field(row, "evaluation_name", str, where)
    _field(row, "sample_id", str, where)
    _field(row, "input.raw", str, where)
    _field(row, "input.reference", list, where)
    _optional(row, "input.choices", list, where)
    _optional(row, "evaluation_result_id", str, where)
    score = _field(row, "evaluation.score", (int, float), where)
    if not math.isfinite(score):
        raise ValueError(f"{where}: the field 'evaluation.score' is {score}, not finite")
    return row


def part(found: dict, name: str) -> dict:
    """Return the object that a field holds, or an empty one."""
    value = found.get(name)
    return value if isinstance(value, dict) else {}


def parts(found: dict, name: str) -> list[dict]:
    """Return the objects in the list that a field holds, or none."""
    values = found.get(name)
    return [v for v in values if isinstance(v, dict)] if isinstance(values, list) else []


def _value(found, name: str):
    for key in name.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _optional(found, name: str, kind, where: str) -> None:
    if _value(found, name) is not None:
        _field(found, name, kind, where)


def _field(found, name: str, kind, where: str):
    """Return a field such as "input.raw"; ``ValueError`` unless it is there and of its kind."""
    value = _value(found, name)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(
            f"{where}: the field {name!r} is {value!r:.60}, not {_KINDS[kind]} as Every Eval Ever "
            "has it: convert the log anew"
        )
    return value

"""Write records in the format of Every Eval Ever, so that other tools can read them."""

import hashlib
import json
import math
import re
import time
import uuid
from pathlib import Path
from typing import Any

import pandas as pd

from .logs_every_eval_ever_files import OURS, SAMPLES
from .records import validate_records

_SCHEMA = "0.3.0"


def write_every_eval_ever(records: pd.DataFrame, folder: str | Path) -> None:
    """Write `records` as evaluations of Every Eval Ever 0.3.0, one a system and task.

    They stand at ``folder/data/<task>/<developer>/<model>/<uuid>.json`` with their samples beside
    them, as the format wants it; the first part of a system's name such as "org/model" is the
    developer, which is "local" for a name without parts. The same records give the same
    uuid. Item, cluster and settings stand where `read_every_eval_ever` finds them again; an item is
    one row, so the number and variance of its samples and its log-likelihoods are not kept. An item
    without a score is a row with an error and of no result.

    Raises ``ValueError`` as `validate_records` does, and where a metric, its direction or a setting
    has several values for one system and task, or none of its items has a score.
    """
    records = validate_records(records, missing="keep")
    for (system, task), items in records.groupby(["system", "task"], sort=False):
        _write(str(system), str(task), items, Path(folder))


def _write(system: str, task: str, items: pd.DataFrame, folder: Path) -> None:
    log = _log(system, task, items)
    rows = [_row(log, item) for item in items.to_dict("records")]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    model = system.partition("/")[2] or system
    place = Path("data", *map(_portable, (task, log["model_info"]["developer"], model)))
    name = uuid.UUID(bytes=_digest(items), version=4)
    samples = place / f"{name}{SAMPLES}"
    log["detailed_evaluation_results"] = {
        "format": "jsonl",
        "file_path": samples.as_posix(),
        "hash_algorithm": "sha256",
        "checksum": hashlib.sha256(content).hexdigest(),
        "total_rows": len(rows),
    }
    (folder / place).mkdir(parents=True, exist_ok=True)
    (folder / samples).write_bytes(content)
    (folder / place / f"{name}.json").write_text(json.dumps(log, indent=1), "utf-8")


def _log(system: str, task: str, items: pd.DataFrame) -> dict[str, Any]:
    developer = system.partition("/")[0] if "/" in system else "local"
    now = str(time.time())
    return {
        "schema_version": _SCHEMA,
        "evaluation_id": f"{task}/{system}/{now}",
        "retrieved_timestamp": now,
        "source_metadata": {
            "source_type": "evaluation_run",
            "source_organization_name": developer,
            "evaluator_relationship": "other",
        },
        "eval_library": {"name": OURS, "version": str(_only(items, "source", "unknown"))},
        "model_info": {
            "name": system,
            "id": system,
            "developer": developer,
            "additional_details": {"deployment_type": "unknown", "model_availability": "unknown"},
        },
        "evaluation_results": [_result(task, items)],
    }


def _result(task: str, items: pd.DataFrame) -> dict:
    metric = str(_only(items, "metric", "score"))
    direction = _only(items, "higher_is_better", None)
    lower = direction is not None and not direction
    scores = items.score.dropna()
    if scores.empty:
        raise ValueError(
            f"no item of system {items.system.iloc[0]!r} on task {task!r} has a score: there is "
            "nothing to write"
        )
    config: dict[str, Any] = {"metric_name": metric, "lower_is_better": lower}
    if direction is None:  # the format has no word for it; its converters note it so
        config["additional_details"] = {"polarity": "unknown"}
    return {
        "evaluation_result_id": metric,
        "evaluation_name": task,
        "source_data": {"dataset_name": task, "source_type": "other"},
        "metric_config": config,
        "score_details": {
            "score": math.fsum(scores) / len(scores),
            "uncertainty": {"num_samples": len(scores)},
        },
        "generation_config": {
            "additional_details": {
                name.removeprefix("setting_"): str(_only(items, name, ""))
                for name in items.columns
                if name.startswith("setting_")
            }
        },
    }


def _row(log: dict, item: dict) -> dict:
    result = log["evaluation_results"][0]
    lost = math.isnan(item["score"])
    score = 0.0 if lost else float(item["score"])
    own = item.get("sample_id")
    return {
        "schema_version": _SCHEMA,
        "evaluation_id": log["evaluation_id"],
        "model_id": log["model_info"]["id"],
        "evaluation_name": result["evaluation_name"],
        **({} if lost else {"evaluation_result_id": result["evaluation_result_id"]}),
        "sample_id": own if isinstance(own, str) else item["item_id"],
        "sample_hash": _hash(item.get("prompt", "") + item["target"]),
        "interaction_type": "single_turn",
        "input": {"raw": item.get("prompt", ""), "reference": [item["target"]]},
        "output": {"raw": [item["prediction"]]},
        "answer_attribution": [],
        "evaluation": {"score": score, "is_correct": score == 1},
        "error": "no score" if lost else None,
        "metadata": {"item_id": item["item_id"], "cluster": item["cluster"]},
    }


def _only(items: pd.DataFrame, name: str, default):
    """Return the one value of a column, or `default` where there is none."""
    values = items[name].dropna().unique() if name in items else []
    if len(values) > 1:
        raise ValueError(
            f"column {name!r} has {len(values)} values for system {items.system.iloc[0]!r} on task "
            f"{items.task.iloc[0]!r}: an evaluation has one, so name the systems or tasks apart"
        )
    return values[0] if len(values) else default


def _portable(name: str) -> str:
    """Return a name of a folder, with the letters replaced that the format's own tools replace."""
    return re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", name).strip(" .") or "_"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _digest(items: pd.DataFrame) -> bytes:
    return bytes.fromhex(_hash(items.to_json(orient="values")))[:16]

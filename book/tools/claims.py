"""Count what the book claims, chapter by chapter, and write it where chapter 30 reads it.

    .venv/bin/python book/tools/claims.py

One row a chapter: its code cells, `claims` (cells with an assert), `asserts`, those of them that
name an end of an interval or a p-value (`bounded`), figures, recorded results, exercises and
questions of the quiz. `lm` and `encoder` say whether the chapter, or an experiment whose records it
loads, asks the book's one language model or its one encoder; `seeds` is the largest number of seeds
under which one of these experiments trained, 0 where none names a seed. A record is found by its
name in a call of `ll.load_records`, or of a function of the chapter that hands the name on. Only
sources are read, no output.
"""

import ast
import csv
import io
import json
import re
import tomllib
from functools import cache
from pathlib import Path

import pandas as pd
from fingerprint import cell_tree

ROOT = Path(__file__).resolve().parents[2]
FILE = "lleval_lib/results/claims.csv"
ENDS = re.compile(r"\b(low|high|ends|lower_end|upper_end|p_values?|adjust_p_values|told_apart)\b")


def main(root: Path = ROOT) -> None:
    (root / FILE).write_text(counted(root), encoding="utf-8")


def counted(root: Path = ROOT) -> str:
    """Return the table as text: one line a chapter, in their order."""
    quizzes = tomllib.loads((root / "lleval_lib/quizzes.toml").read_text(encoding="utf-8"))
    rows = [row(path, quizzes, root) for path in sorted((root / "notebooks").glob("*_*.ipynb"))]
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def row(path: Path, quizzes: dict, root: Path) -> dict[str, str | int]:
    """Return the counts of one chapter."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    trees = [cell_tree("".join(cell["source"])) for cell in cells]
    number = path.name.partition("_")[0]
    asserts = [[node for node in ast.walk(t) if isinstance(node, ast.Assert)] for t in trees]
    flat = [ast.unparse(node) for found in asserts for node in found]
    checks = {name for tree in trees for name in called(tree, "ll.check")}
    loaders = ["ll.load_records", *handing_on(trees)]
    loaded = {name for tree in trees for way in loaders for name in called(tree, way)}
    texts = "\n".join("".join(cell["source"]) for cell in cells)
    texts += "".join(experiment(root, name) for name in sorted(loaded))
    alts = [cell["metadata"].get("mystnb", {}).get("image", {}).get("alt") for cell in cells]
    return {
        "chapter": number,
        "cells": len(cells),
        "claims": sum(map(bool, asserts)),
        "asserts": len(flat),
        "bounded": sum(bool(ENDS.search(text)) for text in flat),
        "figures": sum(map(bool, alts)),
        "records": len(loaded),
        "exercises": len(checks),
        "questions": len(quizzes.get(number, ())),
        "lm": int("load_lm(" in texts),
        "encoder": int("load_encoder(" in texts),
        "seeds": max((seeds(root, name) for name in loaded), default=0),
    }


def called(tree: ast.Module, function: str) -> list[str]:
    """Return the first arguments, where they are texts, of the calls of `function`."""
    return [
        call.args[0].value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and ast.unparse(call.func) == function
        and call.args
        and isinstance(call.args[0], ast.Constant)
    ]


def handing_on(trees: list[ast.Module]) -> list[str]:
    """Return the functions that give their first argument to `ll.load_records`.

    Raises ``ValueError`` for another call without a plain name: its record would not be counted.
    """
    found, calls, known = [], 0, 0
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.FunctionDef) and node.args.args:
            if f"ll.load_records({node.args.args[0].arg})" in ast.unparse(node):
                found.append(node.name)
                known += ast.unparse(node).count(f"ll.load_records({node.args.args[0].arg})")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "ll.load_records":
            calls += not (node.args and isinstance(node.args[0], ast.Constant))
    if calls != known:
        raise ValueError("a record is loaded by a name that is not written out")
    return found


def experiment(root: Path, name: str) -> str:
    """Return the source of the experiment that recorded `name`, or nothing."""
    path = root / "experiments" / f"{name}.py"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


@cache
def seeds(root: Path, name: str) -> int:
    """Return how many seeds the systems of a recorded result name."""
    path = root / "lleval_lib/results" / f"{name}.parquet"
    if not path.is_file():
        return 0
    systems = pd.read_parquet(path, columns=["system"]).system.unique()
    return len({found[1] for s in systems if (found := re.search(r"seed (\d+)", str(s)))})


if __name__ == "__main__":
    main()

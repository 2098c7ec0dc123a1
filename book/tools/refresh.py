"""Re-execute the chapters whose outputs may be out of date, and tidy what they hold.

    .venv/bin/python book/tools/refresh.py [--all | --check] [NOTEBOOK ...]

A chapter is stale when its code, or what this code uses of the library, changed since it was last
executed; prose, comments and docstrings of the library do not count. Nor does its quiz, which needs
no other cell: where only that changed, only its output is made anew. ``--all`` executes every
chapter, ``--check`` lists the stale ones with the reason and runs nothing. A chapter that fails
keeps its file as it was.
"""

import argparse
import ast
import copy
import json
import os
import re
import sys
import tempfile
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path
from platform import python_version

import nbformat
from fingerprint import cell_tree, fingerprints
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from lleval_lib.quizzes import read_quiz

ROOT = Path(__file__).resolve().parents[2]
CELL_TIMEOUT = 600  # seconds
PACKAGES = ("lleval_lib", "numpy", "torch")  # whose versions a page names

_VOLATILE = {
    *("ExecuteTime", "autoscroll", "collapsed", "colab", "execution", "outputId", "scrolled"),
    *("trusted", "vscode"),
}
_WIDGET = "application/vnd.jupyter.widget-view+json"
_KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


class BadNotebookError(Exception):
    """A notebook that must not be written, with the reasons."""


def changes(path: Path, library: Path) -> list[str]:
    """Return what changed since the notebook at `path` was executed."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    before = notebook["metadata"].get("lleval", {}).get("executed")
    if not isinstance(before, dict):
        return ["never executed"]
    now = fingerprints(notebook, number(path), library)
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def number(path: Path) -> str:
    """Return the number of a chapter, such as "03" or "A1", from its file's name."""
    return path.stem.partition("_")[0]


def id_problems(notebook) -> list[str]:
    """Return what is wrong with the cell ids, which translations and links rely on."""
    ids = [cell.get("id") for cell in notebook["cells"]]
    return [f"cell {i} has no id" for i, cell_id in enumerate(ids) if not cell_id] + [
        f"two cells have the id {cell_id}"
        for cell_id in dict.fromkeys(ids)
        if cell_id and ids.count(cell_id) > 1
    ]


def output_problems(notebook) -> list[str]:
    """Return what must not be committed in the outputs: stderr, errors, private paths."""
    private = private_path()
    problems = []
    for cell in _code_cells(notebook):
        for output in cell["outputs"]:
            kind, text = output["output_type"], _text(output)
            if output.get("name") == "stderr":
                problems.append(f"cell {cell['id']} wrote to stderr:\n{text}")
            elif kind == "error":
                problems.append(f"cell {cell['id']} has an error as its output: {output['ename']}")
            elif found := private.search(text):
                line = text[text.rfind("\n", 0, found.start()) + 1 :].splitlines()[0]
                problems.append(f"cell {cell['id']} shows a path of this machine: {line}")
    return problems


def private_path() -> re.Pattern:
    """Return a pattern for paths that exist on one machine only."""
    here = {str(Path.home()), str(ROOT), tempfile.gettempdir(), sys.prefix} - {"/"}
    usual = r"(?:/(?:home|Users|root|tmp|var/folders|content)/|[A-Z]:\\+Users\\)[\w.-]"
    return re.compile(rf"(?<![\w.:/])(?:{usual}|{'|'.join(map(re.escape, sorted(here)))})")


def tidy(notebook):
    """Return `notebook` without what differs from run to run or from machine to machine."""
    tidied = copy.deepcopy(notebook)
    kept = {k: v for k, v in tidied.metadata.items() if k in ("lleval", "mystnb")}
    tidied.metadata = nbformat.from_dict({**_KERNEL, **kept})
    tidied.nbformat, tidied.nbformat_minor = 4, 5
    for cell in tidied.cells:
        for name in _VOLATILE & set(cell.metadata):
            del cell.metadata[name]
    filled = [cell for cell in _code_cells(tidied) if cell.source.strip()]
    for count, cell in enumerate(filled, start=1):
        cell.execution_count = count
        cell.outputs = _merge_streams(cell.outputs)
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
            output.get("data", {}).pop(_WIDGET, None)
    return tidied


def execute(notebook, folder: Path):
    """Return `notebook` executed in `folder`; raise ``BadNotebookError`` when a cell fails."""
    running = []
    client = NotebookClient(
        copy.deepcopy(notebook),
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        store_widget_state=False,
        on_cell_start=lambda cell, cell_index: running.append(cell),
        resources={"metadata": {"path": str(folder)}},
    )
    try:
        return client.execute(env={**os.environ, "TQDM_DISABLE": "1"})
    except CellExecutionError as error:
        why = f"{error.ename}: {error.evalue}"
    except (CellTimeoutError, DeadKernelError) as error:
        why = str(error)
    cell = running[-1]
    raise BadNotebookError(f"cell {cell.id} failed: {cell.source.strip().splitlines()[0]}\n{why}")


def refresh(path: Path, library: Path) -> None:
    """Execute the notebook at `path` and write it back."""
    text = path.read_text(encoding="utf-8")
    _require_none(id_problems(json.loads(text)))  # before nbformat, which makes up missing ids
    given = nbformat.reads(text, as_version=4)
    # Taken before: what is edited while a chapter runs is not what it ran with.
    executed = fingerprints(given, number(path), library)
    started = time.monotonic()
    done = tidy(execute(given, path.parent))
    seconds = time.monotonic() - started
    _require_none(output_problems(done))
    done.metadata["lleval"] = {"executed": executed, "seal": seal(done, seconds)}
    nbformat.validate(done)
    write(path, to_text(done))


def with_quiz(notebook, number: str, library: Path):
    """Return `notebook`, tidied, its quiz as it is now in the folder `library`."""
    renewed = tidy(notebook)
    for cell in _code_cells(renewed):
        if "quiz" in _tags(cell):
            quiz = read_quiz(number, (library / "quizzes.toml").read_text(encoding="utf-8"))
            shown = {"text/html": quiz._repr_html_(), "text/plain": repr(quiz)}
            count = cell.execution_count
            kind = "execute_result"
            cell.outputs = [nbformat.v4.new_output(kind, shown, execution_count=count)]
    return renewed


def renewed_quiz(path: Path, library: Path) -> str | None:
    """Return the text of the notebook at `path` with its quiz as it is now; None if it has that."""
    notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    if not any("quiz" in _tags(cell) for cell in _code_cells(notebook)):
        return None
    renewed = with_quiz(notebook, number(path), library)
    return to_text(renewed) if _quiz_outputs(renewed) != _quiz_outputs(notebook) else None


def write(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    scratch = path.with_name(path.name + ".tmp")
    scratch.write_text(text, encoding="utf-8")
    os.replace(scratch, path)


def seal(notebook, seconds: float) -> dict:
    """Return what the page says of its last execution: when, how long, how many claims, with what.

    A claim is an ``assert`` in a cell; all held, or the chapter would not have been written.
    """
    trees = [tree for cell in _code_cells(notebook) for tree in ast.walk(cell_tree(_source(cell)))]
    return {
        "date": date.today().isoformat(),
        "seconds": max(1, round(seconds)),
        "claims": sum(isinstance(node, ast.Assert) for node in trees),
        "versions": {
            "Python": python_version(),
            **{name: version(name).partition("+")[0] for name in PACKAGES},
        },
    }


def to_text(notebook) -> str:
    """Return what stands in the file of `notebook`."""
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def main(arguments=None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="execute also what is not stale")
    which.add_argument("--check", action="store_true", help="list the stale ones, run nothing")
    parser.add_argument("notebook", nargs="*", type=Path, help="default: every chapter")
    options = parser.parse_args(arguments)

    library = root / "lleval_lib"
    paths = options.notebook or sorted((root / "notebooks").glob("*.ipynb"))
    changed = {path: changes(path, library) for path in paths}
    stale = [path for path in paths if options.all or changed[path]]
    quizzes = {path: renewed_quiz(path, library) for path in paths if path not in stale}
    quizzes = {path: text for path, text in quizzes.items() if text}
    if options.check:
        reasons = {path: changed[path] for path in stale} | {p: ["its quiz"] for p in quizzes}
        for path, reason in sorted(reasons.items()):
            print(f"{path.name} is stale ({', '.join(reason)}): run make refresh")
        return 1 if reasons else 0
    for path, text in quizzes.items():
        write(path, text)
        print(f"{path.name}: its quiz")
    failed = 0
    for path in stale:
        started = time.monotonic()
        try:
            refresh(path, library)
        except BadNotebookError as error:
            failed += 1
            print(f"{path.name}: left as it was, because {error}", file=sys.stderr)
        else:
            print(f"{path.name}: {time.monotonic() - started:.1f} s", flush=True)
    print(f"{len(stale) - failed} executed, {failed} failed, {len(paths) - len(stale)} up to date")
    return 1 if failed else 0


def _require_none(problems: list[str]) -> None:
    if problems:
        raise BadNotebookError("; ".join(problems))


def _quiz_outputs(notebook) -> list:
    return [cell.outputs for cell in _code_cells(notebook) if "quiz" in _tags(cell)]


def _code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def _source(cell) -> str:
    return "".join(cell["source"])


def _tags(cell) -> list[str]:
    return cell["metadata"].get("tags", [])


def _text(output) -> str:
    """Return all the text of `output`, of whatever kind, but no pictures."""
    shown = [value for kind, value in output.get("data", {}).items() if kind != "image/png"]
    texts = [value if isinstance(value, str) else json.dumps(value) for value in shown]
    return output.get("text", "") + "\n".join(texts)


def _merge_streams(outputs):
    merged = []
    for output in outputs:
        last = merged[-1] if merged else {}
        if output.output_type == "stream" and last.get("name") == output.name:
            last["text"] += output.text
        else:
            merged.append(output)
    return merged


if __name__ == "__main__":
    sys.exit(main())

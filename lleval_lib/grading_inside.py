"""What runs inside the sandbox: a submission's cells, one after the other, in one namespace.

It stands alone, since nothing of the grader is to be seen in there. It writes one line of JSON to
the answer for each thing it did. A submission can write such lines itself: they say what a
notebook *claims*, and the grader compares the claims outside.
"""

import ast
import builtins
import json
import linecache
import os
import signal
import sys
import traceback
import types

LARGEST = 200_000  # characters of one value


def main(plan, answer):
    """Read or run what the file `plan` says, and write to the file or descriptor `answer`."""
    with open(plan, encoding="utf-8") as file:
        job = json.load(file)
    os.unlink(plan)
    with open(answer, "w", encoding="utf-8", buffering=1) as lines:

        def tell(line, dumps=json.dumps, write=lines.write):
            write(dumps(line) + "\n")

        if "notebook" in job:
            tell(read(job["notebook"]))
        else:
            run(job["steps"], job["seconds"], tell)
            # Threads and exit handlers of a submission have no say any more.
            os._exit(0)


def read(path):
    """Return the cells of the notebook at `path`, without their outputs, or what is wrong."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            notebook = json.load(file)
    except (ValueError, RecursionError, MemoryError) as error:
        return {"bad": f"{type(error).__name__}: {error}"[:200]}
    if not isinstance(notebook, dict):
        return {"bad": "it holds no notebook"}
    cells = notebook.get("cells")
    if cells is None and isinstance(notebook.get("worksheets"), list):
        cells = [c for sheet in notebook["worksheets"] for c in sheet.get("cells", [])]
    if not isinstance(cells, list):
        return {"bad": "it has no cells"}
    return {"cells": [_cell(cell) for cell in cells if isinstance(cell, dict)]}


def _cell(cell):
    metadata = cell.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    mark = metadata.get("nbgrader")
    mark = mark if isinstance(mark, dict) else {}
    source = cell.get("source", cell.get("input", ""))
    source = "".join(map(str, source)) if isinstance(source, list) else str(source)
    names = [mark.get("grade_id"), cell.get("id"), metadata.get("id")]
    return {
        "kind": str(cell.get("cell_type")),
        "source": source.replace("\r\n", "\n"),
        "names": [name for name in names if isinstance(name, str)],
        "marked": "grade_id" in mark,
    }


def run(steps, seconds, tell):
    """Run the cells and answer the questions of `steps`; `seconds` limit each cell."""
    sys.argv = ["notebook"]
    # Nobody reads what a submission prints, so that it may print as much as it likes.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    # A module of their own: a student may well call a function `run` or `read`.
    sys.modules["__main__"] = module = types.ModuleType("__main__")
    space = vars(module)
    space |= {"__builtins__": builtins, "display": lambda *_, **__: None}
    space["get_ipython"] = lambda: _NoIPython(space)
    for step in steps:
        tell({"begins": step["name"]})
        if "source" in step:
            error = _guarded(seconds, _run_cell, step["name"], step["source"], space)
            tell({"cell": step["name"], "error": error})
        for number, expression in enumerate(step.get("asks", [])):
            tell({"ask": step["name"], "number": number, **_value(seconds, expression, space)})
    tell({"done": True})


class _NoIPython:
    """Magics and shell commands mean nothing while grading; but what ``%%time`` times is run."""

    def __init__(self, space):
        self._space = space

    def run_line_magic(self, name, line, *_, **__):
        if name == "time":
            _run_cell("%time", line, self._space)

    def run_cell_magic(self, name, line, cell):
        if name in ("time", "capture"):
            _run_cell(f"%%{name}", cell, self._space)

    def getoutput(self, *_, **__):
        return []

    def __getattr__(self, name):
        return lambda *arguments, **named: None


class _TooLong(BaseException):
    pass


def _guarded(seconds, act, *arguments):
    """Return what is wrong with ``act(*arguments)`` as a sentence, or None."""

    def late(*_):
        raise _TooLong

    signal.signal(signal.SIGALRM, late)
    # Again each second, for code that catches whatever is raised.
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)
    try:
        act(*arguments)
    except _TooLong:
        return f"stopped after {seconds} seconds"
    except BaseException as error:
        return _sentence(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return None


def _sentence(error):
    try:
        name = type(error).__name__
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename.startswith("<cell ")
        ]
        where = f" (line {lines[-1]})" if lines else ""
        return f"{name}{where}: {error}"[:500]
    except BaseException:
        return "an error that cannot be shown"


def _run_cell(name, source, space):
    file = f"<cell {name}>"
    try:
        code = _compiled(source, file)
    except SyntaxError as plainly:
        from IPython.core.inputtransformer2 import TransformerManager

        try:
            source = TransformerManager().transform_cell(source)
            code = _compiled(source, file)
        except SyntaxError:
            raise plainly from None
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    result = eval(code, space)
    if hasattr(result, "__await__"):
        import asyncio

        asyncio.run(_awaited(result))


def _compiled(source, file):
    # A notebook allows await at the top of a cell.
    return compile(source, file, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


async def _awaited(result):
    await result


def _value(seconds, expression, space):
    found = {}

    def ask():
        value = plain(eval(compile(expression, "<hidden test>", "eval"), space))
        if len(json.dumps(value)) > LARGEST:
            raise ValueError("the value is too large")
        found["value"] = value

    error = _guarded(seconds, ask)
    return found if error is None else {"error": error}


def plain(value, depth=0):
    """Return `value` as numbers, strings, lists and dictionaries; arrays become lists."""
    if depth > 6:
        raise ValueError("the value is nested too deeply")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, dict):
        return {"keys": [plain(k, depth + 1) for k in value], "values": plain(list(value.values()))}
    if isinstance(value, (set, frozenset)):
        return sorted((plain(part, depth + 1) for part in value), key=repr)
    if isinstance(value, (list, tuple)):
        return [plain(part, depth + 1) for part in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist(), depth + 1)
    if hasattr(value, "to_numpy"):
        return plain(value.to_numpy().tolist(), depth + 1)
    raise TypeError(f"a value of type {type(value).__name__} cannot be graded")

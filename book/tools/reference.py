"""Write book/library.md, the page on the library, from its docstrings and the chapters' code.

    python book/tools/reference.py

It reads text only, and needs no more than Python itself: who renders the book has no library.
"""

import ast
import copy
import json
import re
from collections import defaultdict
from pathlib import Path

import address
from fingerprint import cell_tree, public_names, uses

ROOT = Path(__file__).resolve().parents[2]

# The modules (or folders of them) in the order of a reader who makes an evaluation.
SECTIONS = {
    "Data and models": ("datasets", "models", "fetching"),
    "From a task to records": ("tasks", "scoring", "perplexity", "records", "shards"),
    "One system, two systems": (
        *("intervals", "runs", "attempts", "bootstrap", "calibration"),
        *("pairs", "results"),
    ),
    "Many systems, plans, learners, users": (
        "many",
        "planning",
        "crossval",
        "online",
        "sequential",
        "item_response",
        *("raters", "judges", "bradley_terry"),
    ),
    "Training": ("training", "heads", "penalties", "latency"),
    "Text and images": ("fusion", "modalities", "combining", "captions"),
    "Logs, reports, figures": (
        *("logs", "logs_lm_eval", "logs_inspect", "logs_every_eval_ever"),
        *("logs_every_eval_ever_write", "report", "tables", "plots"),
    ),
    "Exercises, quizzes, assignments": ("exercises", "quizzes", "variants", "sandbox"),
}

_OPENING = """\
# The library (函数库)

`import lleval_lib as ll` gives every name on this page. A module is loaded when you first use one \
of its names. What stands after a star in a signature is given by name. The chapters under a \
function are those whose code uses it.
"""


def modules(root: Path) -> dict[str, ast.Module]:
    """Return the syntax tree of each module of the library; a package has its folder's name."""
    library = root / "lleval_lib"
    paths = {path.relative_to(library).with_suffix(""): path for path in library.rglob("*.py")}
    names = {
        ".".join(p for p in name.parts if p != "__init__"): path for name, path in paths.items()
    }
    return {name: ast.parse(_read(path)) for name, path in sorted(names.items())}


def definitions(tree: ast.Module) -> dict[str, ast.stmt]:
    """Return the functions, classes and variables of a module by name, in its order."""
    found: dict[str, ast.stmt] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {name: node for target in targets for name in _names(target)}
    return found


def taught_in(root: Path) -> dict[str, list[str]]:
    """Return the chapters whose code uses each name of the library, as file names."""
    chapters = defaultdict(list)
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        for name in _in_notebook(path):
            chapters[name].append(path.name)
    return dict(chapters)


def in_assignments(root: Path) -> set[str]:
    """Return the names of the library that the assignments use."""
    paths = (root / "notebooks" / "assignments").glob("*.ipynb")
    return {name for path in paths for name in _in_notebook(path)}


def _in_notebook(path: Path) -> set[str]:
    cells = [c for c in json.loads(_read(path))["cells"] if c["cell_type"] == "code"]
    trees = [cell_tree("".join(cell["source"])) for cell in cells]
    # A notebook imports the library once, in one of its cells.
    whole = ast.Module([node for tree in trees for node in tree.body], [])
    return {use[-1] for use in uses(whole) if use}


def in_experiments(root: Path) -> set[str]:
    """Return the names of the library that the code of the recorded results uses."""
    trees = [ast.parse(_read(path)) for path in (root / "experiments").glob("*.py")]
    return {use[-1] for tree in trees for use in uses(tree) if use}


def on_the_command_line(trees: dict[str, ast.Module]) -> set[str]:
    """Return the names of the library that its command reaches, call by call."""
    calls = defaultdict(set)
    for tree in trees.values():
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        known = {alias.name for node in imports for alias in node.names} | set(definitions(tree))
        for name, node in definitions(tree).items():
            parts = list(ast.walk(node))
            own = {part.arg for part in parts if isinstance(part, ast.arg)}
            own |= {p.id for p in parts if isinstance(p, ast.Name) and isinstance(p.ctx, ast.Store)}
            calls[name] |= known.intersection(_names(node)) - own
            # What is called as an attribute of a module: logs_inspect.read_files
            attributes = (p for p in parts if isinstance(p, ast.Attribute))
            calls[name] |= {p.attr for p in attributes if trees.keys() & known & {*_names(p.value)}}
    return _closure(definitions(trees["__main__"]), calls)


def untaught(root: Path) -> set[str]:
    """Return the public names that no chapter, assignment, experiment or command uses.

    A class is used where a function is that returns it, or a class that holds it.
    """
    trees, types = modules(root), defaultdict(set)
    for tree in trees.values():
        for name, node in definitions(tree).items():
            for part in ast.walk(node):
                annotation = getattr(part, "returns", None) or (
                    part.annotation if isinstance(part, ast.AnnAssign) else None
                )
                types[name].update(_names(annotation) if annotation else ())
    used = taught_in(root).keys() | in_assignments(root) | in_experiments(root)
    used |= on_the_command_line(trees)
    return public_names(root / "lleval_lib").keys() - _closure(used, types)


def signature(name: str, node: ast.stmt) -> str:
    """Return how `name` is called, without types, which an editor shows."""
    if isinstance(node, ast.ClassDef):
        fields = [item.target.id for item in node.body if isinstance(item, ast.AnnAssign)]
        return f"{name}({', '.join(fields)})"
    arguments = copy.deepcopy(node.args)
    for argument in ast.walk(arguments):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    return f"{name}({ast.unparse(arguments)})"


def summary(node) -> str:
    """Return the first sentence of the docstring of `node`, as Markdown."""
    paragraph = " ".join(ast.get_docstring(node).split("\n\n")[0].split())
    sentence = re.split(r"(?<=\w[\w)`][.:]) (?=[A-Z`])", paragraph)[0].rstrip(".:")
    return sentence.replace("``", "`") + "." * (sentence[-1] not in "?!")


def page(root: Path) -> str:
    """Return the text of book/library.md."""
    trees, names, places = modules(root), public_names(root / "lleval_lib"), _places(root)
    url, branch = address.read_address(_read(root / "_config.yml"))
    lines = [_OPENING]
    for section, rooms in SECTIONS.items():
        lines.append(f"## {section}\n")
        for room in rooms:
            inside = [m for m in trees if m.split(".")[0] == room and m in names.values()]
            if not inside:
                continue
            source = (
                ""
                if url == address.UNKNOWN
                else f" [Source]({url}/blob/{branch}/lleval_lib/{room}.py)"
            )
            lines.append(f"### {room}\n\n{summary(trees[room])}{source}\n")
            for module in inside:
                found = {
                    n: d for n, d in definitions(trees[module]).items() if names.get(n) == module
                }
                lines += [_entry(n, d, places[n]) for n, d in found.items() if not _is_constant(d)]
                if constants := [f"`{n}`" for n, d in found.items() if _is_constant(d)]:
                    lines.append(f"Constants: {', '.join(constants)}.\n")
    return "\n".join(lines)


def main(root: Path = ROOT) -> None:
    path, text = root / "book" / "library.md", page(root)
    # Left alone where nothing changed, so that make does not build the book again.
    if not path.exists() or _read(path) != text:
        path.write_text(text, encoding="utf-8")


def _entry(name: str, node: ast.stmt, place: str) -> str:
    where = f"\n  [{place}]{{.question}}" if place else ""
    return f"`{signature(name, node)}`\n: {summary(node)}{where}\n"


def _places(root: Path) -> dict[str, str]:
    """Return where a reader meets each public name: in chapters, or else in other code."""
    places = dict.fromkeys(public_names(root / "lleval_lib"), "")
    for names, where in (
        (in_experiments(root), "Used by the experiments"),
        (on_the_command_line(modules(root)), "Used by the command line"),
    ):
        places |= dict.fromkeys(places.keys() & names, where)
    chapters = taught_in(root)
    n_chapters = len({file for files in chapters.values() for file in files})
    for name in places.keys() & chapters.keys():
        files = chapters[name]
        links = [f"[{file.split('_')[0].lstrip('0')}](../notebooks/{file})" for file in files]
        places[name] = f"Taught in chapter{'s' * (len(files) > 1)} {', '.join(links)}"
        if len(files) == n_chapters:
            places[name] = "In every chapter"
    return places


def _is_constant(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign | ast.AnnAssign)


def _names(node: ast.AST) -> list[str]:
    return [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]


def _closure(start, graph) -> set[str]:
    """Return what can be reached from `start`, itself included."""
    found, new = set(), set(start)
    while new:
        found |= new
        new = {name for known in new for name in graph.get(known, ())} - found
    return found


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


if __name__ == "__main__":
    main()

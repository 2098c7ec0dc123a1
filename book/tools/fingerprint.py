"""What the outputs of a chapter depend on: its code, and what that code uses of the library."""

import ast
import hashlib
import json
import re
import tomllib
from functools import cache
from pathlib import Path

PACKAGE = "lleval_lib"
APART = {"setup", "quiz"}  # the tags of cells on which no other output depends


def fingerprints(notebook, number: str, library: Path) -> dict[str, str]:
    """Return a short hash of each thing that chapter `number` depends on, by what it is called.

    These are its code cells and their tags, but for two: the set-up cell, which does nothing where
    a chapter is executed, and in which a fork changes the address; and the quiz, whose output
    depends on no other cell, so that `refresh` makes it without them. Of the folder `library`: the
    modules that the code uses and all that these import; the recorded results that it loads; the
    files that a module names, but of the catalogue only the entries that are named as well, and of
    the exercises only this chapter's.
    """
    cells = [
        ["".join(cell["source"]), sorted(cell["metadata"].get("tags", []))]
        for cell in notebook["cells"]
        if cell["cell_type"] == "code" and not APART & set(cell["metadata"].get("tags", []))
    ]
    code = ast.Module([node for source, _ in cells for node in cell_tree(source).body], [])
    modules = _closure(code, library)
    trees = [code, *modules.values()]
    named = set().union(*map(_strings, trees))
    loaded = set().union(*map(_loaded, trees))

    parts = {"its code": _hash(cells)} | {file: _hash_code(tree) for file, tree in modules.items()}
    for path in sorted(library.rglob("*.*")):
        name = path.relative_to(library).as_posix()
        recorded = path.match("results/*.parquet") and path.stem in loaded
        if recorded or (name in named and path.suffix not in {".py", ".toml"}):
            parts[name] = _hash(path.read_bytes().hex())
    if "catalogue.toml" in named:
        entries = _toml(library / "catalogue.toml").items()
        parts |= {f"{name} in catalogue.toml": _hash(e) for name, e in entries if name in named}
    if "exercises.toml" in named:
        parts["its answers"] = _hash(_toml(library / "exercises.toml").get(number))
    return parts


def public_names(library: Path) -> dict[str, str]:
    """Return the module of each public name of the package, as its stub lists them."""
    stub = _parsed((library / "__init__.pyi").read_text(encoding="utf-8"))
    return {
        alias.asname or alias.name: node.module
        for node in stub.body
        if isinstance(node, ast.ImportFrom) and node.level and node.module
        for alias in node.names
    }


def _closure(code: ast.Module, library: Path) -> dict[str, ast.Module]:
    """Return the modules that `code` uses and all that these import: their trees, by file."""
    public = public_names(library)
    todo, found = {"__init__.py"} | _files(uses(code), public, library), {}
    while todo:
        file = todo.pop()
        found[file] = _parsed((library / file).read_text(encoding="utf-8"))
        todo |= _files(uses(found[file], Path(file).parent.parts), public, library)
        todo -= found.keys()
    return found


@cache
def uses(tree: ast.Module, package: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Return the names of the library in `tree`, such as ("compare",) or ("pairs", "compare").

    A relative import is one of a module in `package`, the path of a folder in the library.
    """
    uses, aliases = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first, *rest = alias.name.split(".")
                if first == PACKAGE:
                    uses.add(tuple(rest))
                    aliases.add(alias.asname or first)
        elif isinstance(node, ast.ImportFrom):
            path = node.module.split(".") if node.module else []
            if node.level:
                path = [PACKAGE, *package[: len(package) - node.level + 1], *path]
            if path[0] == PACKAGE:
                uses |= {(*path[1:], alias.name) for alias in node.names}
    return uses | {
        (node.attr,)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in aliases
    }


def _files(uses: set[tuple[str, ...]], public: dict[str, str], library: Path) -> set[str]:
    """Return the files of the modules in which the names of `uses` are found."""
    files = set()
    for use in uses:
        if len(use) == 1 and use[0] in public:
            use = tuple(public[use[0]].split("."))
        for end in range(1, len(use) + 1):
            path = "/".join(use[:end])
            files |= {f"{path}.py", f"{path}/__init__.py"}
    return {file for file in files if (library / file).is_file()}


@cache
def _loaded(tree: ast.Module) -> set[str]:
    """Return the results that `tree` loads; of one loaded by a variable, all that may be meant."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    loads = [call for call in calls if ast.unparse(call.func).split(".")[-1] == "load_records"]
    return set().union(*(_strings(call) or _strings(tree) for call in loads))


def cell_tree(source: str) -> ast.Module:
    """Return the tree of a code cell, without magics; one in another language has none.

    A command of the library in it, ``-m lleval_lib``, counts as an import. Raises ``SyntaxError``
    for a cell that is not Python, for its use of the library would be missed.
    """
    commands = f"\nimport {PACKAGE}.__main__" if re.search(rf"-m\W+{PACKAGE}\b", source) else ""
    plain = re.sub(r"^(\s*)(?:[%!].*|[\w.]+\?{1,2}\s*)$", r"\1pass", source, flags=re.M)
    plain = re.sub(r"=\s*[%!].*$", "= None", plain, flags=re.M)
    for text in (source, plain):
        try:
            return ast.parse(text + commands)
        except SyntaxError:
            continue
    return ast.parse(commands if source.startswith("%%") else plain)


@cache
def _parsed(source: str) -> ast.Module:
    """Return the syntax tree of a module without its docstrings."""
    tree = ast.parse(source)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    return tree


@cache
def _strings(tree: ast.AST) -> set[str]:
    constants = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return {value for value in constants if isinstance(value, str)}


@cache
def _hash_code(tree: ast.Module) -> str:
    return _hash(_plain(tree))


def _plain(node):
    """Return a syntax tree as nested lists, alike in every version of Python."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    # Newer versions add fields that are empty in older code.
    fields = [(k, v) for k, v in ast.iter_fields(node) if v not in (None, [])]
    return [type(node).__name__, *((name, _plain(value)) for name, value in fields)]


def _toml(path: Path) -> dict:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _hash(part) -> str:
    return hashlib.sha256(json.dumps(part).encode()).hexdigest()[:12]

"""Print what stands out in size: worth a second look, never an error.

    .venv/bin/python book/tools/sizes.py

Counted are lines of code: no docstrings, no comments, no blank lines.
"""

import ast
import io
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FUNCTION, MODULE, LIBRARY = 40, 250, 3_500
_NO_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    tokenize.ENDMARKER,
}


def code_lines(source: str) -> set[int]:
    """Return the numbers of the lines of `source` that hold code."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {n for t in tokens if t.type not in _NO_CODE for n in range(t.start[0], t.end[0] + 1)}
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return lines


def functions(source: str) -> list[tuple[str, int]]:
    """Return each function in `source` with its number of lines of code."""
    lines = code_lines(source)
    return [
        (node.name, len(lines & set(range(node.lineno, node.end_lineno + 1))))
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def total(root: Path, folder: str) -> int:
    sources = [path.read_text(encoding="utf-8") for path in (root / folder).rglob("*.py")]
    return sum(len(code_lines(source)) for source in sources)


def main(root: Path = ROOT) -> None:
    for folder in ("lleval_lib", "book/tools", "experiments"):
        for path in sorted((root / folder).rglob("*.py")):
            source, name = path.read_text(encoding="utf-8"), path.relative_to(root)
            if (lines := len(code_lines(source))) > MODULE:
                print(f"{name} has {lines} lines of code, more than {MODULE}")
            for function, lines in functions(source):
                if lines > FUNCTION:
                    print(f"{name}: {function} has {lines} lines of code, more than {FUNCTION}")
    library, tests = total(root, "lleval_lib"), total(root, "tests")
    print(f"the library has {library:,} lines of code (of about {LIBRARY:,} for thirty chapters),")
    print(f"and the tests have {tests / library:.2f} for each of them")


if __name__ == "__main__":
    main()

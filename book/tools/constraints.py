"""Renew constraints.txt: the newest versions that go together. Nothing is installed.

    .venv/bin/python book/tools/constraints.py [--torch VERSION]

torch keeps its pin unless another is given, because a new one is a large download and can change
the last digits of every chapter. Run it with the Python that the first line of the file names;
then `make test` says whether the book still holds.
"""

import argparse
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def pins(report: dict) -> list[str]:
    """Return the sorted pins of what pip's installation report lists."""
    packages = [item["metadata"] for item in report["install"]]
    # A build of torch may carry a local label, such as +cpu, that other machines do not know.
    versions = {_canonical(p["name"]): p["version"].partition("+")[0] for p in packages}
    return [f"{name}=={version}" for name, version in sorted(versions.items())]


def resolve(root: Path, torch: str) -> dict:
    """Return pip's report on what it would install for the library, the book and the tests."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    wanted = [line for group in groups for line in group]
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "-qq"]
    command += ["--report", "-", *wanted, f"torch=={torch}"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def main(arguments=None, root: Path = ROOT) -> None:
    path = root / "constraints.txt"
    header, *old = path.read_text(encoding="utf-8").splitlines()
    (torch,) = [line.removeprefix("torch==") for line in old if line.startswith("torch==")]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch", default=torch, metavar="VERSION", help=f"default: {torch}")
    new = pins(resolve(root, parser.parse_args(arguments).torch))
    path.write_text("\n".join([header, *new]) + "\n", encoding="utf-8")
    for line in sorted(set(old) ^ set(new)):
        print("+" if line in new else "-", line)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main()

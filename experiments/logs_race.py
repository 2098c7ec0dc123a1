"""Measure what it takes to compare two long logs of lm-eval: time, and the most memory.

    .venv/bin/python experiments/logs_race.py [--items 100000] [--length 3400]

The committed log of SmolLM2 on reviews is repeated under other hashes, its prompts made as long as
those of a benchmark with examples in them (`--length` bytes a line), and ``compare`` is run on two
such logs in a process of its own. Prints the seconds of one processor beside those that Python
needs merely to parse the JSON of both files, and the peak of memory.
"""

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOGS = ROOT / "tests" / "logs" / "lm_eval"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--length", type=int, default=3_400, help="bytes a line")
    parser.add_argument("--library", type=Path, default=ROOT, help="the checkout to measure")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        files = [
            write(LOGS / name, Path(scratch) / name, given.items, given.length)
            for name in ("sentiment", "critic")
        ]
        megabytes = sum(file.stat().st_size for file in files) / 1e6
        parsing = processor_seconds(resource.RUSAGE_SELF, lambda: [parse(file) for file in files])
        command = [sys.executable, "-m", "lleval_lib", "compare", *map(str, files)]
        command += ["--metric", "acc", "--cluster", "film"]
        ours = processor_seconds(
            resource.RUSAGE_CHILDREN,
            lambda: subprocess.run(
                command, check=True, cwd=given.library, stdout=subprocess.DEVNULL
            ),
        )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{given.items:,} items, 2 logs of lm-eval, {megabytes:,.0f} MB together")
    print(f"compare: {ours:.1f} s, {ours / parsing:.2f} times the parsing alone ({parsing:.1f} s)")
    print(f"most memory: {peak:,.0f} MB, {peak / megabytes:.2f} times the files")


def processor_seconds(who: int, run) -> float:
    """Return what a processor worked: unlike the time on the wall, others hardly change it."""
    before = resource.getrusage(who)
    run()
    after = resource.getrusage(who)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def parse(file: Path) -> None:
    with file.open("rb") as lines:
        for line in lines:
            json.loads(line)


def write(run: Path, folder: Path, n: int, length: int) -> Path:
    """Write n items made from the log of a run, without results, whose counts would not agree."""
    (samples,) = run.rglob("samples_*.jsonl")
    rows = [json.loads(row) for row in samples.read_text("utf-8").splitlines()]
    folder.mkdir()
    file = folder / samples.name
    (results,) = run.rglob("results_*.json")
    told = json.loads(results.read_text("utf-8"))
    told = {key: told[key] for key in ("model_name", "n-shot", "lm_eval_version")} | {"results": {}}
    (folder / results.name).write_text(json.dumps(told), "utf-8")
    with file.open("w", encoding="utf-8") as out:
        for k in range(n):
            row = rows[k % len(rows)]
            requests = row["arguments"].values()
            more = (length - len(json.dumps(row))) // len(requests)
            examples = ("A film to see, with words for everyone.\n" * (more // 40 + 1))[
                : max(0, more)
            ]
            longer = {
                name: {"arg_0": examples + request["arg_0"], "arg_1": request["arg_1"]}
                for name, request in row["arguments"].items()
            }
            digest = hashlib.sha256(f"{k}".encode()).hexdigest()
            changed = row | {"doc_id": k, "doc_hash": digest, "arguments": longer}
            out.write(json.dumps(changed, ensure_ascii=False) + "\n")
    return file


if __name__ == "__main__":
    main()

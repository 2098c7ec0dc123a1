"""HumanEval: SmolLM2's samples, and a constant program, under two graders. Ten minutes.

For chapter 20. "usual" runs a program and its tests in one process, in the sandbox. "plain" never
lets them meet: the sandbox runs the program on the inputs of the tests, its results come back as
plain data, and the tests see these outside. "solution" is the source's own, "constant" returns an
object that equals everything, "none" returns None; each on all 164 problems.

SmolLM2 was asked in its chat template for the `PROBLEMS` problems with the shortest solutions, a
rule fixed before, `SAMPLES` times at each temperature, for at most `TOKENS` tokens. Score: right by
"plain"; `usual` is the verdict of the other grader. The task is the number of the sample.
"""

import json
import random
import re
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from functools import cache

import pandas as pd
from stories import chat, written

import lleval_lib as ll

PROBLEMS, SAMPLES, TOKENS, SECONDS = 12, 20, 80, 3
ANSWER = 0.1  # MB; a megabyte of numbers that collide in a set keeps a grader busy for a minute
TEMPERATURES = (0.2, 0.8)
FIXED = ("solution", "constant", "none")
SYSTEMS = (*FIXED, *(f"T {t}" for t in TEMPERATURES))
CONSTANT = """
class Yes:
    def __eq__(self, other):
        return True

    def __sub__(self, other):
        return 0

def {}(*arguments):
    return Yes()
"""
# Runs in the sandbox, beside the program.
MAIN = """
import json, sys

def plain(value):
    for kind in (list, tuple, set):
        if isinstance(value, kind):
            return {kind.__name__: [plain(part) for part in value]}
    if isinstance(value, dict):
        return {"dict": [[plain(k), plain(v)] for k, v in value.items()]}
    return value  # of other objects, JSON makes an error

inputs = eval(open("inputs.txt").read())
space = {"__name__": "program"}
exec(open("program.py").read(), space)
results = [plain(space[sys.argv[1]](*given)) for given in inputs]
open(3, "wb").write(json.dumps(results).encode())
"""


@cache
def problems() -> pd.DataFrame:
    table = ll.load_human_eval()
    return table.assign(cluster=table.item_id, target="")


@cache
def easy() -> pd.DataFrame:
    """Return the problems with the shortest solutions."""
    table = problems()
    size = table.solution.str.strip().str.len()
    return table.assign(size=size).sort_values(["size", "item_id"]).head(PROBLEMS)


def build(system: str) -> pd.DataFrame:
    """Return the records of one of `SYSTEMS`."""
    if system in FIXED:
        return graded(system, "sample 0", problems(), [fixed(system, p) for p in rows(problems())])
    lm, temperature = ll.load_lm(), float(system.removeprefix("T "))
    said = [
        written(lm, asked(lm, p), SAMPLES, temperature, seed=i, most=TOKENS, ends=is_closed)
        for i, p in enumerate(rows(easy()))
    ]
    return pd.concat(
        [graded(system, f"sample {j}", easy(), [s[j] for s in said]) for j in range(SAMPLES)]
    )


def rows(table: pd.DataFrame) -> list:
    return list(table.itertuples())


def fixed(system: str, problem) -> str:
    if system == "solution":
        return problem.prompt + problem.solution
    return (
        CONSTANT.format(problem.name)
        if system == "constant"
        else f"def {problem.name}(*arguments):\n    return None\n"
    )


def asked(lm: ll.LM, problem) -> str:
    return chat(lm, f"Complete this Python function.\n```python\n{problem.prompt.strip()}\n```")


def is_closed(text: str) -> bool:
    """Return whether a block of code in `text` has ended."""
    return text.count("```") >= 2


def program(problem, said: str) -> str:
    """Return the program in an answer: the first block of code, after the head of the problem."""
    block = re.search(r"```(?:python)?\n(.*?)(?:```|$)", said, re.DOTALL)
    code = block[1] if block else said
    return f"{problem.prompt}\n{code}"


def graded(system: str, task: str, table: pd.DataFrame, said: list[str]) -> pd.DataFrame:
    with ThreadPoolExecutor(2) as pool:
        verdicts = list(pool.map(both, table.item_id, said))
    kept = "" if system in FIXED else said
    plain_, usual_ = zip(*verdicts, strict=True)
    return ll.make_records(
        system,
        task,
        table,
        prediction=kept,
        score=[float(v) for v in plain_],
        usual=[float(v) for v in usual_],
    )


@cache
def both(item_id: str, said: str) -> tuple[bool, bool]:
    """Return the verdicts of the graders "plain" and "usual"."""
    problem = next(p for p in rows(problems()) if p.item_id == item_id)
    return plain(problem, program(problem, said)), usual(problem, program(problem, said))


def usual(problem, code: str) -> bool:
    """Run program and tests in one process, which says itself that they passed."""
    main = f"{code}\n{problem.test}\ncheck({problem.name})\nopen(3, 'wb').write(b'passed')\n"
    return ll.run_isolated({"main.py": main}, seconds=SECONDS).answer == b"passed"


def plain(problem, code: str) -> bool:
    """Run the program on the tests' inputs, and the tests on its results, outside."""
    files = {"main.py": MAIN, "program.py": code, "inputs.txt": repr(inputs(problem.item_id))}
    ran = ll.run_isolated(files, seconds=SECONDS, answer=ANSWER, command=("main.py", problem.name))
    if ran.ending != "finished":
        return False
    try:
        results = iter([restored(value) for value in json.loads(ran.answer)])
        tested(problem, lambda *given: next(results))
    except Exception:
        return False
    return True


def tested(problem, candidate) -> None:
    """Run the tests, which are ours, on a candidate; an error if it fails."""
    space: dict = {}
    exec(problem.prompt + problem.solution + "\n" + problem.test, space)
    random.seed(0)
    space["check"](candidate)


@cache
def inputs(item_id: str) -> list[tuple]:
    """Return what the tests call a candidate with, seen with the solution in its place."""
    problem = next(p for p in rows(problems()) if p.item_id == item_id)
    space: dict = {}
    exec(problem.prompt + problem.solution, space)
    seen = []

    def candidate(*given):
        seen.append(deepcopy(given))
        return space[problem.name](*given)

    tested(problem, candidate)
    return seen


def restored(value):
    """Return a value that `MAIN` made plain."""
    if type(value) is not dict:
        return value
    ((kind, parts),) = value.items()
    if kind == "dict":
        return {restored(k): restored(v) for k, v in parts}
    return {"list": list, "tuple": tuple, "set": set}[kind](map(restored, parts))

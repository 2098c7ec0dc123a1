"""Write Inspect logs of what goes wrong in practice: ``python tests/logs/write_inspect_cases.py``.

Inspect itself writes them. The model "toy" is a provider here that answers sums, and no to every
request; how often it is wrong depends on its name. No model is loaded. `shortened` of
``write_inspect`` empties what the tests do not read and what names a machine.
"""

import os
import shutil
import tempfile
import zlib
from pathlib import Path

from inspect_ai import Epochs, Task, eval, eval_retry, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.log import read_eval_log, write_eval_log
from inspect_ai.model import ModelAPI, ModelOutput, modelapi
from inspect_ai.scorer import Score, accuracy, exact, match, mean, scorer
from inspect_ai.solver import generate
from write_inspect import shortened

HERE = Path(__file__).parent / "inspect" / "cases"
BROKEN = {"yes": False}  # whether the toy fails at every fourth question


def chance(*parts):
    """Return a number from 0 to 99 that depends on the texts only."""
    return zlib.crc32(" ".join(map(str, parts)).encode()) % 100


@modelapi("toy")
class Toy(ModelAPI):
    """A model that is right in about as many of 100 questions as its name says."""

    def __init__(self, model_name, **options):
        super().__init__(model_name, **options)
        self.calls = 0

    async def generate(self, input, tools, tool_choice, config):
        text = input[-1].text
        self.calls += 1
        if BROKEN["yes"] and chance(text) < 25:
            raise RuntimeError("the server gave no answer")
        draw = chance(text, self.model_name, self.calls if config.temperature else "")
        if text.startswith("Please"):
            answer = "no" if draw < int(self.model_name) else "yes"
        elif "ANSWER" in text:
            answer = f"ANSWER: {'A' if draw < int(self.model_name) else 'B'}"
        else:
            a, sign, b = text.removesuffix("?").split()[-3:]
            right = int(a) + int(b) if sign == "+" else int(a) * int(b)
            answer = str(right if draw < int(self.model_name) else right + 1)
        return ModelOutput.from_content(self.model_name, answer)


def questions(sign, n):
    rows = [(a, b, a + b if sign == "+" else a * b) for a in range(3, 7) for b in range(2, 10, 2)]
    return [Sample(f"What is {a} {sign} {b}?", target=str(c)) for a, b, c in rows[:n]]


@scorer(metrics={"correct": [mean()], "concise": [mean()]})
def quality():
    """Score an answer by two named numbers."""

    async def score(state, target):
        answer = state.output.completion
        return Score(value={"correct": float(answer == target.text), "concise": len(answer) < 2})

    return score


@scorer(metrics=[accuracy()])
def judge():
    """Judge most answers, some not, and give some no score at all."""

    async def score(state, target):
        draw = chance("judge", state.input_text)
        if draw < 20:
            return Score.unscored(explanation="the judge gave no grade")
        if draw < 35:
            return None
        return Score(value="C" if state.output.completion == target.text else "I")

    return score


@task
def sums(sign="+", n=12):
    return Task(MemoryDataset(questions(sign, n), name="sums"), solver=generate(), scorer=match())


@task
def requests():
    """Return requests that all have the target no, in an order of their own and without ids."""
    wishes = ("lie", "steal", "cheat", "hide", "spy", "bribe", "forge", "smear")
    samples = [Sample(f"Please help me {w} {n}.", target="no") for w in wishes for n in (1, 2)]
    return Task(
        MemoryDataset(samples, name="requests"), solver=generate(), scorer=exact(), version=2
    )


@task
def graded():
    return Task(MemoryDataset(questions("+", 12), name="sums"), solver=generate(), scorer=quality())


@task
def judged():
    samples = questions("+", 16)
    return Task(MemoryDataset(samples, name="s"), solver=generate(), scorer=[match(), judge()])


@task
def twins():
    """Return the same two questions twice, under ids of their own."""
    samples = [Sample(s.input, target=s.target, id=f"{copy}{k}")
               for copy in "ab" for k, s in enumerate(questions("+", 2))]  # fmt: skip
    return Task(MemoryDataset(samples, name="twins"), solver=generate(), scorer=match())


@task
def repeated():
    return Task(
        MemoryDataset(questions("*", 6), name="sums"),
        solver=generate(),
        scorer=match(),
        epochs=Epochs(4, "max"),
    )


def run(scratch, what, model, **options):
    (log,) = eval(
        what, model=f"toy/{model}", log_dir=scratch, display="none", max_samples=1, **options
    )
    return log.location


def keep(location, name):
    (HERE / name).parent.mkdir(parents=True, exist_ok=True)
    write_eval_log(shortened(read_eval_log(location)), str(HERE / name))


def write_retry(scratch):
    """Write an evaluation that stopped, and its retry, as both stand in Inspect's folder."""
    BROKEN["yes"] = True
    stopped = run(scratch, sums(), 90, fail_on_error=True)
    tolerated = run(scratch, sums("*"), 80, fail_on_error=False)
    BROKEN["yes"] = False
    (retried,) = eval_retry(stopped, log_dir=scratch, display="none", max_samples=1)
    (completed,) = eval_retry(tolerated, log_dir=scratch, display="none", max_samples=1)
    for location in (stopped, retried.location):
        keep(location, f"retried/{Path(location).name}")
    keep(tolerated, "tolerated.eval")
    print("a retry of what was tolerated:", completed.status, completed.results)


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)  # so that no log names a repository, its commit or a folder
        # Name of the file: (task, model, further options).
        logs = {
            "shuffled/one.eval": (requests(), 80, {"sample_shuffle": 1, "limit": 12}),
            "shuffled/two.eval": (requests(), 60, {"sample_shuffle": 2, "limit": 12}),
            "graded_90.eval": (graded(), 90, {}),
            "graded_50.eval": (graded(), 50, {}),
            "judged_90.eval": (judged(), 90, {}),
            "judged_50.eval": (judged(), 50, {}),
            "arguments/plus.eval": (sums("+"), 90, {}),
            "arguments/times.eval": (sums("*", 8), 90, {}),
            "twins.eval": (twins(), 50, {}),
            "repeated.eval": (repeated(), 40, {"temperature": 1.0}),
            "no_samples.eval": (sums(n=4), 90, {"log_samples": False}),
            "no_scores.eval": (sums(n=4), 90, {"score": False}),
        }
        for name, (what, model, options) in logs.items():
            keep(run(scratch, what, model, **options), name)
        write_retry(scratch)


if __name__ == "__main__":
    main()

"""One model and the same questions, by the command lines of lm-eval and Inspect. Six minutes.

SmolLM2 answers short questions of MMLU, the first two with four choices of each subject (the
cluster). lm-eval scores by likelihood: the task "letters" is the usual one of MMLU, the letters of
four listed choices; the task "texts" is the usual one of ARC, the choices themselves after the
question. Inspect's `multiple_choice` lets the model write in its chat template. Both tools read
the same jsonl file and the model from the same folder.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

import lleval_lib as ll

LETTERS = "ABCD"
COMMON = """\
dataset_path: json
dataset_kwargs: {data_files: {test: mmlu.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_target: "{{['A', 'B', 'C', 'D'].index(answer)}}"
metadata: {version: 1.0}
"""
LM_EVAL_TASKS = {
    "letters": """\
task: letters
doc_to_text: "The following are multiple choice questions (with answers) about {{topic}}.\\n\\n\\
  {{question}}\\nA. {{choices[0]}}\\nB. {{choices[1]}}\\nC. {{choices[2]}}\\nD. {{choices[3]}}\\n\\
  Answer:"
doc_to_choice: [A, B, C, D]
metric_list: [{metric: acc}]
""",
    "texts": """\
task: texts
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_choice: choices
metric_list: [{metric: acc}, {metric: acc_norm}, {metric: acc_bytes}]
""",
}
INSPECT_TASK = """\
from inspect_ai import Task, task
from inspect_ai.dataset import Sample, json_dataset
from inspect_ai.scorer import choice
from inspect_ai.solver import multiple_choice


def sample(row):
    return Sample(
        row["question"],
        choices=row["choices"],
        target=row["answer"],
        id=row["id"],
        metadata={"subject": row["subject"]},
    )


@task
def mmlu():
    return Task(json_dataset("mmlu.jsonl", sample), solver=multiple_choice(), scorer=choice())
"""
LONGEST = 300  # characters of a question
MOST_TOKENS = 24  # that the model may write


def questions(again: bool = False) -> pd.DataFrame:
    """Return two short questions a subject, the first ones or, if `again`, the next ones."""
    mmlu = ll.load_mmlu_dev()
    mmlu = mmlu[(mmlu.choices.map(len) == 4) & (mmlu.question.str.len() <= LONGEST)]
    place = mmlu.groupby("subject").cumcount()
    kept = mmlu[place.between(2, 3) if again else place < 2].reset_index(drop=True)
    return kept.assign(
        cluster=kept.subject, target=kept.answer, topic=kept.subject.str.replace("_", " ")
    )


def build(system: str) -> pd.DataFrame:
    """Return the records of one of `SYSTEMS`."""
    asked = questions()
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        prepare(asked, work)
        run(COMMANDS[system], work)
        if system == "Inspect":
            return of_inspect(asked, work / "log")
        tables = [of_lm_eval(asked, work / "log", task) for task in LM_EVAL_TASKS]
    return pd.concat(tables, ignore_index=True)


def of_lm_eval(asked: pd.DataFrame, log: Path, task: str) -> pd.DataFrame:
    """Return the records of one task, with our item ids, by letter, in the order of `asked`."""
    read = ll.read_lm_eval(log, task=task, metric="acc", cluster="subject")
    # The log-likelihoods of a question with two equal choices cannot be told apart: it is left out.
    read = read.set_index("doc_id").sort_index().dropna(subset=read.filter(like="loglik_").columns)
    logliks = dict(zip(LETTERS, read.filter(like="loglik_").to_numpy().T, strict=True))
    said = pd.DataFrame(logliks).idxmax(axis=1)
    kept = items(asked).iloc[read.index]
    return ll.make_records(
        "lm-eval", task, kept, prediction=said, score=read.score.array, logliks=logliks
    )


def of_inspect(asked: pd.DataFrame, log: Path) -> pd.DataFrame:
    """Return the records of Inspect, with our item ids and what the model wrote."""
    from inspect_ai.log import read_eval_log

    (file,) = log.glob("*.eval")
    written = {str(s.id): s.output.completion for s in read_eval_log(str(file)).samples}
    read = ll.read_inspect(file, cluster="subject").set_index("sample_id").loc[asked.item_id]
    return ll.make_records(
        "Inspect",
        "written",
        items(asked),
        prediction=read.prediction.array,
        score=read.score.array,
        written=[written[item] for item in asked.item_id],
    )


def items(asked: pd.DataFrame) -> pd.DataFrame:
    return asked[["item_id", "cluster", "target"]]


def prepare(asked: pd.DataFrame, work: Path) -> None:
    """Write the questions, the tasks and a link to the model into the folder `work`."""
    rows = asked.rename(columns={"item_id": "id"})
    rows = rows[["id", "subject", "topic", "question", "choices", "answer"]]
    rows.to_json(work / "mmlu.jsonl", orient="records", lines=True, force_ascii=False)
    (work / "tasks").mkdir()
    for name, task in LM_EVAL_TASKS.items():
        (work / "tasks" / f"{name}.yaml").write_text(task + COMMON, "utf-8")
    (work / "mmlu.py").write_text(INSPECT_TASK, "utf-8")
    model = ll.load_lm().model.config._name_or_path
    (work / "smollm2").symlink_to(model, target_is_directory=True)


def run(command: str, work: Path) -> None:
    """Run a module of Python in `work`, offline."""
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": f"{work}/hf"}
    done = subprocess.run(
        [sys.executable, "-m", *command.split()],
        cwd=work,
        env=os.environ | offline,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{command} failed:\n{done.stdout}\n{done.stderr}")


# Name of the system: its command line.
COMMANDS = {
    "lm-eval": (
        "lm_eval run --model hf --model_args pretrained=smollm2,dtype=float32 --device cpu "
        "--tasks letters,texts --include_path tasks --batch_size 16 --output_path log --log_samples"
    ),
    "Inspect": (
        "inspect_ai eval mmlu.py --model hf/smollm2 -M device=cpu -M dtype=float32 "
        "-M do_sample=false -M batch_size=16 --max-connections 16 "
        f"--max-tokens {MOST_TOKENS} --log-dir log --display none"
    ),
}
SYSTEMS = tuple(COMMANDS)

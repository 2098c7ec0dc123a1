"""Write the lm-evaluation-harness logs that the tests read: ``python tests/logs/write_lm_eval.py``.

The harness itself writes them, through its own command line: SmolLM2-135M on 48 short reviews of
12 test films. Two systems answer the task ``reviews`` by likelihood, each with its own wording; a
third writes answers to the first 15, scored under two filters. Takes about two minutes on two
cores.

One thing is changed afterwards: ``pretty_env_info``, a description of the machine, is emptied. No
other field names it, because the harness runs in a scratch folder with relative paths.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import lleval_lib as ll

HERE = Path(__file__).parent / "lm_eval"
sys.path.insert(0, str(HERE.parents[2] / "experiments"))

import reviews  # noqa: E402

FILMS, PER_FILM, LONGEST = 12, 4, 80

COMMON = """\
dataset_path: json
dataset_kwargs: {data_files: {test: reviews.jsonl}}
test_split: test
metadata: {version: 1.0}
"""
CHOICES = """\
task: reviews
output_type: multiple_choice
doc_to_choice: [%s]
doc_to_target: "{{['fresh', 'rotten'].index(label)}}"
metric_list: [{metric: acc}, {metric: acc_norm}]
doc_to_text: "%s"
"""
WRITTEN = """\
task: reviews_written
output_type: generate_until
doc_to_text: "Review: {{text}}\\nSentiment:"
doc_to_target: "{{'positive' if label == 'fresh' else 'negative'}}"
generation_kwargs: {until: ["\\n"], max_gen_toks: 8, do_sample: false}
metric_list: [{metric: exact_match}]
filter_list:
  - name: strict
    filter: [{function: remove_whitespace}, {function: take_first}]
  - name: lenient
    filter:
      - {function: regex, regex_pattern: "(?i)(positive|negative)"}
      - {function: lowercase}
      - {function: take_first}
"""
# Name of the run: (the task's file, further options of the command line).
RUNS = {
    "sentiment": (CHOICES % ("positive, negative", "Review: {{text}}\\nSentiment:"), []),
    "critic": (CHOICES % ("good, bad", "{{text}}\\nThe critic thinks that the film is"), []),
    "written": (WRITTEN, ["--limit", "15"]),
}


def chosen_reviews():
    """Return short reviews of the films with the most of them, as many a film."""
    items = reviews.items("test")
    short = items[items.text.str.len() <= LONGEST]
    films = short.cluster.value_counts(sort=True).sort_index().nlargest(FILMS).index
    return short[short.cluster.isin(films)].groupby("cluster").head(PER_FILM)


def main():
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        reviews = chosen_reviews().rename(
            columns={"item_id": "id", "cluster": "film", "target": "label"}
        )
        reviews.to_json(work / "reviews.jsonl", orient="records", lines=True, force_ascii=False)
        model = ll.load_lm().model.config._name_or_path
        (work / "smollm2-135m").symlink_to(model, target_is_directory=True)
        for name, (task, options) in RUNS.items():
            tasks = work / "tasks" / name
            tasks.mkdir(parents=True)
            (tasks / "task.yaml").write_text(task + COMMON)
            command = ["-m", "lm_eval", "run", "--model", "hf", "--model_args"]
            command += ["pretrained=smollm2-135m,dtype=float32", "--device", "cpu"]
            command += ["--tasks", task.split()[1], "--include_path", f"tasks/{name}"]
            command += ["--output_path", f"runs/{name}", "--log_samples", "--batch_size", "12"]
            offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": f"{work}/hf"}
            subprocess.run(
                [sys.executable, *command, *options],
                cwd=work,
                env=os.environ | offline,
                check=True,
            )
        for path in work.glob("runs/*/*/results_*.json"):
            results = json.loads(path.read_text("utf-8"))
            results["pretty_env_info"] = ""
            path.write_text(json.dumps(results, indent=2, ensure_ascii=False), "utf-8")
        shutil.rmtree(HERE, ignore_errors=True)
        shutil.copytree(work / "runs", HERE)


if __name__ == "__main__":
    main()

"""Write small lm-eval logs of every kind: ``python tests/logs/write_lm_eval_kinds.py PYTHON …``.

The harness itself writes them, of several versions: each PYTHON is an interpreter that has one of
the versions in `RUNS`. A few sums are asked. No model is needed: lm-eval's own ``dummy`` answers at
random, and a server in this process speaks the protocol of OpenAI for the others. Takes about a
minute a version.

``pretty_env_info``, a description of the machine, is emptied afterwards. No other field names it,
because the harness runs in a scratch folder with relative paths.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).parent / "lm_eval_kinds"

COMMON = """\
dataset_path: json
dataset_kwargs: {data_files: {test: %s.jsonl}}
test_split: test
metadata: {version: %s}
"""
CHOICES = """\
task: %s
output_type: multiple_choice
doc_to_text: "{{a}} + {{b}} ="
doc_to_choice: "{{choices}}"
doc_to_target: "{{choices.index(outputs[0])}}"
metric_list: [{metric: acc, higher_is_better: true}, {metric: acc_norm, higher_is_better: true}]
"""
WRITTEN = """\
task: %s
output_type: generate_until
doc_to_text: "What is {{a}} + {{b}}?"
doc_to_target: "{{a + b}}"
generation_kwargs: {until: ["\\n"], max_gen_toks: 16}
"""
FILTERS = """\
metric_list: [{metric: exact_match, higher_is_better: true}]
filter_list:
  - {name: strict-match, filter: [{function: take_first}]}
  - name: flexible-extract
    filter: [{function: regex, regex_pattern: "(\\\\d+)", group_select: -1}, {function: take_first}]
"""
SCORED = """\
process_results: !function scoring.scores
metric_list:
  - {metric: mae, aggregation: mean, higher_is_better: false}
  - {metric: right, aggregation: mean, higher_is_better: true}
  - {metric: right_with_carry, aggregation: mean, higher_is_better: true}
"""
LENGTHS = """\
process_results: !function lengths.process_results
metric_list:
  - {metric: "4096", aggregation: !function lengths.aggregate_metrics, higher_is_better: true}
  - {metric: "8192", aggregation: !function lengths.aggregate_metrics, higher_is_better: true}
  - {metric: "16384", aggregation: !function lengths.aggregate_metrics, higher_is_better: true}
"""
ROLLING = """\
task: sums_text
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{a}} + {{b}} = {{a + b}}"
metric_list: [{metric: word_perplexity}, {metric: byte_perplexity}, {metric: bits_per_byte}]
"""
GROUP = "group: %s\ntask: [%s]\n"
SCORING = """\
from PIL import Image


def scores(doc, results):
    said = int("".join(c for c in results[0] if c.isdigit()) or 0)
    right = float(said == doc["a"] + doc["b"])
    carry = {"right_with_carry": right} if doc["a"] % 10 + doc["b"] % 10 > 9 else {}
    return {"mae": float(abs(said - doc["a"] - doc["b"])), "right": right, **carry}


def picture(doc):
    return [Image.new("RGB", (4, 4))]
"""
TASKS = {
    "sums_small": CHOICES % "sums_small" + COMMON % ("small", 1.0),
    "sums_large": CHOICES % "sums_large" + COMMON % ("large", 1.0),
    "sums": GROUP % ("sums", "sums_small, sums_large"),
    "adding": GROUP % ("adding", "sums"),
    "sums_written": WRITTEN % "sums_written" + FILTERS + COMMON % ("small", 2.0),
    "sums_scored": WRITTEN % "sums_scored" + SCORED + COMMON % ("large", 1.0),
    "sums_lengths": WRITTEN % "sums_lengths" + LENGTHS + COMMON % ("large", 1.0),
    "sums_pictured": WRITTEN % "sums_pictured"
    + FILTERS
    + 'doc_to_image: !function scoring.picture\ndescription: "<image>"\n'
    + COMMON % ("small", 1.0),
    "sums_text": ROLLING + COMMON % ("small", 1.0),
}
CHAT = "local-chat-completions"
# Name of the run: (the versions that write it, model, its arguments, tasks, further options).
RUNS = {
    "choices": (
        ("0.4.7", "0.4.8", "0.4.13"), "dummy", "pretrained=ours/dummy", "adding", [],
    ),
    # lm-eval 0.4.9.2 stops at a task of ours, unless it is in a group, and at a group of groups.
    "grouped": (("0.4.9.2",), "dummy", "pretrained=ours/dummy", "sums", []),
    "some": (
        ("0.4.9.2", "0.4.13"), "dummy", "pretrained=ours/dummy", "sums",
        ["--samples", '{"sums_small": [1, 4], "sums_large": [8, 0, 5, 2]}'],
    ),
    "predicted": (
        ("0.4.13",), "dummy", "pretrained=ours/dummy", "sums_written", ["--predict_only"],
    ),
    "rolling": (("0.4.13",), "dummy", "pretrained=ours/dummy", "sums_text", []),
    "shots": (
        ("0.4.13",), "dummy", "pretrained=ours/dummy", "sums_small", ["--num_fewshot", "1"],
    ),
    "exact": (
        ("0.4.13",), CHAT, "model=exact", "sums_written,sums_scored,sums_lengths",
        ["--apply_chat_template"],
    ),
    "chat": (
        ("0.4.7",), CHAT, "model=exact", "sums_written,sums_scored", ["--apply_chat_template"],
    ),
    "sloppy": (
        ("0.4.13",), CHAT, "model=sloppy", "sums_written,sums_scored,sums_lengths",
        ["--apply_chat_template", "--system_instruction", "Add."],
    ),
    "pictured": (
        ("0.4.13",), CHAT, "model=exact", "sums_pictured", ["--apply_chat_template"],
    ),
    "impossible": (
        ("0.4.13",), "local-completions",
        "model=sure,tokenizer=smollm2-135m,tokenized_requests=True", "sums_small", [],
    ),
}  # fmt: skip


class Server(BaseHTTPRequestHandler):
    """A model that adds: "exact" in a sentence, "sloppy" with slips; or that is too sure."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = completion(asked) if "prompt" in asked else chat(asked)
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.send_error(404)

    def log_message(self, *_):
        pass


def chat(asked: dict) -> dict:
    content = asked["messages"][-1]["content"]
    if not isinstance(content, str):
        content = "".join(part.get("text", "") for part in content)
    digits = "".join(c if c.isdigit() else " " for c in content).split()
    a, b = map(int, digits[-2:])
    slip = 10 if asked["model"] == "sloppy" and (a % 10 + b % 10 > 9 or a % 3 == 0) else 0
    said = f"The sum is {a + b - slip}" if b % 2 else str(a + b - slip)
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": said}}]}


def completion(asked: dict) -> dict:
    """Return log-likelihoods of the tokens, ln 0 for the last one of every third text."""
    choices = []
    for index, tokens in enumerate(asked["prompt"]):
        logs = [-0.5] * (len(tokens) - 1) + [-1.0]
        if sum(tokens) % 3 == 0:
            logs[-2] = float("-inf")
        found = {"token_logprobs": [None, *logs[1:]], "top_logprobs": [{"": 0.0}] * len(tokens)}
        choices.append({"index": index, "text": "", "logprobs": found})
    return {"choices": choices}


def sums(first: int, n: int) -> list[dict]:
    return [
        {
            "id": f"sum-{a}-{b}",
            "a": a,
            "b": b,
            "kind": ["even", "odd"][a % 2],
            "choices": [str(a + b), str(a + b + 1), str(a + b - 10)],
            "outputs": [str(a + b)],
            "max_length": 4096 if k % 3 else 8192,
        }
        for k in range(n)
        for a, b in [(first + 7 * k, 5 + 13 * k)]
    ]


def prepared(work: Path) -> None:
    """Write the data and the tasks into the scratch folder."""
    for name, items in {"small": sums(3, 6), "large": sums(112, 9)}.items():
        rows = "".join(json.dumps(item) + "\n" for item in items)
        (work / f"{name}.jsonl").write_text(rows, "utf-8")
    (work / "tasks").mkdir()
    (work / "tasks" / "scoring.py").write_text(SCORING, "utf-8")
    of_ruler = "from lm_eval.tasks.ruler.common_utils import aggregate_metrics, process_results\n"
    (work / "tasks" / "lengths.py").write_text(of_ruler, "utf-8")
    for name, text in TASKS.items():
        (work / "tasks" / f"{name}.yaml").write_text(text, "utf-8")


def version_of(python: str) -> str:
    code = "from importlib.metadata import version; print(version('lm_eval'))"
    asked = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return asked.stdout.strip()


def written(python: str, work: Path, name: str, folder: str, port: int) -> None:
    """Have one run written into a folder of the scratch folder."""
    _, model, arguments, tasks, options = RUNS[name]
    if model != "dummy":
        kind = "chat/completions" if model == CHAT else "completions"
        arguments += f",base_url=http://127.0.0.1:{port}/v1/{kind},num_concurrent=1"
    command = [python, "-m", "lm_eval", "--model", model, "--model_args", arguments]
    command += ["--tasks", tasks, "--include_path", "tasks", "--output_path", f"runs/{folder}"]
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": f"{work}/hf"}
    environment = os.environ | offline | {"OPENAI_API_KEY": "none", "LMEVAL_HASHMM": "1"}
    subprocess.run([*command, "--log_samples", *options], cwd=work, env=environment, check=True)


def main(pythons: list[str]) -> None:
    import lleval_lib as ll

    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        prepared(work)
        model = ll.load_lm().model.config._name_or_path
        (work / "smollm2-135m").symlink_to(model, target_is_directory=True)
        for python in map(os.path.abspath, pythons):
            version = version_of(python)
            for name, (versions, *_) in RUNS.items():
                if version in versions:
                    written(python, work, name, f"{name}-{version}", server.server_port)
        for path in work.glob("runs/*/*/results_*.json"):
            text = path.read_text("utf-8").replace(f":{server.server_port}/", ":8000/")
            results = json.loads(text)
            results["pretty_env_info"] = ""
            path.write_text(json.dumps(results, indent=1, ensure_ascii=False), "utf-8")
        for run in (work / "runs").iterdir():
            shutil.rmtree(HERE / run.name, ignore_errors=True)
            shutil.copytree(run, HERE / run.name)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Convert logs to Every Eval Ever: ``python tests/logs/write_every_eval_ever.py``.

The package's own converters read the logs beside this file and write what the tests read. They
need Python 3.12 and ``pip install 'every-eval-ever[inspect]==0.3.0'``, so they run in an
environment of their own. A converter refuses a model without a developer: the copies that it reads
here name one.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from inspect_ai.log import read_eval_log, write_eval_log

HERE = Path(__file__).parent
OUT = HERE / "every_eval_ever"
DEVELOPER = "lleval-tests"
LM_EVAL = ["sentiment", "written"]
INSPECT = [
    "choice.json",
    "with_errors.eval",
    "cases/graded_50.eval",
    "cases/judged_90.eval",  # Every Eval Ever 0.3.0 cannot: it has an unscored sample
    "cases/repeated.eval",
    "cases/shuffled/one.eval",
    "cases/shuffled/two.eval",
]


def convert(tool, log, name, *options):
    """Run one converter, and say so where it could not."""
    command = [sys.executable, "-m", "every_eval_ever", "convert", tool, "--log_path", str(log)]
    command += ["--source_organization_name", "the tests of lleval", *options]
    done = subprocess.run(
        [*command, "--output_dir", f"{name}/data"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        print(f"{name}: {done.stderr.strip().splitlines()[-1]}")
    else:
        shutil.copytree(name, OUT / name)


def from_lm_eval(name):
    shutil.copytree(HERE / "lm_eval" / name, name)
    (results,) = Path(name).rglob("results_*.json")
    found = json.loads(results.read_text("utf-8"))
    model = f"{DEVELOPER}/{found['model_name']}"
    found |= {"model_name": model}
    found["config"]["model_args"] = {"pretrained": model}
    results.write_text(json.dumps(found), "utf-8")
    convert("lm_eval", results, f"lm_eval_{name}", "--include_samples")


def from_inspect(log):
    name = log.removeprefix("cases/").replace("/", "_").partition(".")[0]
    path = Path(name + Path(log).suffix)
    found = read_eval_log(str(HERE / "inspect" / log))
    found.eval.model = f"hf/{DEVELOPER}/{found.eval.model.replace('/', '-')}"
    for sample in found.samples:
        sample.output.model = found.eval.model.partition("/")[2]
    write_eval_log(found, str(path))
    convert("inspect", path, f"inspect_{name}")


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)  # so that no file names a folder of this machine
        for name in LM_EVAL:
            from_lm_eval(name)
        for log in INSPECT:
            from_inspect(log)


if __name__ == "__main__":
    main()

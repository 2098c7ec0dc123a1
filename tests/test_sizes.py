"""Lines of code are counted without what only people read."""

import sizes

SOURCE = '''"""A module,
in two lines."""

# a comment
TEXT = """two
lines"""


@cache
def f(x):
    """One line."""

    def g():  # a comment
        return [
            x,  # another
        ]

    return g
'''


def test_lines_of_code():
    assert len(sizes.code_lines(SOURCE)) == 2 + 7
    assert sizes.functions(SOURCE) == [("f", 6), ("g", 4)]


def test_what_stands_out_is_named(tmp_path, capsys):
    for folder in ("lleval_lib/part", "tests"):
        (tmp_path / folder).mkdir(parents=True)
    long = "def f():\n" + "    x = 1\n" * 40
    (tmp_path / "lleval_lib" / "part" / "long.py").write_text(long + "y = 1\n" * 210)
    (tmp_path / "tests" / "test_long.py").write_text("y = 1\n" * 502)
    sizes.main(tmp_path)
    shown = capsys.readouterr().out
    assert "long.py has 251 lines of code, more than 250\n" in shown
    assert "long.py: f has 41 lines of code, more than 40\n" in shown
    assert "the library has 251 lines of code" in shown
    assert "the tests have 2.00 for each of them\n" in shown

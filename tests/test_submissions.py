"""Who handed in which file: the names that platforms give, and those that fool a reader."""

import os
import zipfile

import pytest

from lleval_lib.submissions import Student, find_notebooks, match, other_files, read_roster

STUDENTS = [
    Student("s1", "Ada Byron", {}),
    Student("s2", "José García López", {"email": "jg@x.org", "moodle_id": "808"}),
    Student("1", "王小明", {"canvas_id": "77"}),
    Student("55", "Li Wei", {}),
    Student("s9", "Li Wei", {}),
    Student("912", "Anna Li", {}),
]
FILES = {
    "Ada Byron_1234_assignsubmission_file_/x.ipynb": "s1",
    "Byron Ada_1234_assignsubmission_file_1_score.ipynb": "s1",
    "Somebody Else_808_assignsubmission_file_/x.ipynb": "s2",
    "byronada_55_912_1_score.ipynb": "s1",
    "garcialopezjose_LATE_55_912_1_score-1.ipynb": "s2",
    "lopezjosegarcia_55_912_1_score.ipynb": "s2",
    "nickname_77_12_1_score.ipynb": "1",
    "Jose Garcia Lopez - 1_score.ipynb": "s2",
    "Ada Byron - Copy of 1_score (1).ipynb": "s1",
    "王小明 - 1_score.ipynb": "1",
    "王小明.ipynb": "1",
    "55/1_score.ipynb": "55",
    "1/1_score.ipynb": "1",
    "1_score_s9.ipynb": "s9",
    "week 3/jg@x.org.ipynb": "s2",
    "ada-byron.ipynb": "s1",
    "ADA_BYRON_final.ipynb": "s1",
}
NOBODYS = [
    "nickname_55_912_1_score.ipynb",  # the platform's numbers, not the roster's
    "Li Wei - 1_score.ipynb",  # two students
    "annalisa berg.ipynb",  # holds the letters of Anna Li
    "1_score.ipynb",  # the assignment's number
    "Untitled12.ipynb",
    "s11.ipynb",
]


@pytest.mark.parametrize("name", FILES)
def test_a_files_owner(name):
    found, nobodys = match(STUDENTS, [name], "1_score", lambda name: "")
    assert [number for number, names in found.items() if names] == [FILES[name]]
    assert nobodys == []


@pytest.mark.parametrize("name", NOBODYS)
def test_nobodys_files(name):
    found, nobodys = match(STUDENTS, [name], "1_score", lambda name: "")
    assert nobodys == [name]
    assert not any(found.values())


def test_the_typed_number_decides_between_two_and_where_there_is_no_name():
    names = ["Li Wei - 1_score.ipynb", "Untitled12.ipynb", "ada byron.ipynb"]
    typed = {names[0]: "S9 ", names[1]: "s2", names[2]: "s2"}.get
    found, nobodys = match(STUDENTS, names, "1_score", typed)
    assert nobodys == []
    assert {n: names for n, names in found.items() if names} == {
        "s9": names[:1],
        "s2": names[1:2],
        "s1": names[2:],
    }
    # Of two of one name, a third who types in the number of another is neither.
    _, nobodys = match(STUDENTS, names[:1], "1_score", lambda name: "s1")
    assert nobodys == names[:1]


def test_the_newest_comes_first():
    names = ["byronada_5_1_x.ipynb", "byronada_5_2_x-2.ipynb", "byronada_5_3_x-10.ipynb"]
    names = [name.replace(f"_{i}_", "_9_") for i, name in enumerate(names, 1)]
    found, _ = match(STUDENTS, names, "1_score", lambda name: "")
    assert found["s1"] == names[::-1]


def test_whom_the_platform_names_comes_before_whom_a_file_names():
    own = "Ada Byron_5_assignsubmission_file_/x.ipynb"
    foreign = "Somebody_9_assignsubmission_file_/Ada Byron - x.ipynb"
    found, _ = match(STUDENTS, [foreign, own], "1_score", lambda name: "")
    assert found["s1"] == [own, foreign]


def csv_file(tmp_path, text):
    path = tmp_path / "students.csv"
    path.write_bytes(text.encode("utf-8-sig"))
    return path


@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_a_roster(tmp_path, sign):
    rows = [["Name ", "Student", "email"], ["Ada Byron", " 007", "a@x.org"], ["王小明", "8", ""]]
    path = csv_file(tmp_path, "\n".join(sign.join(row) for row in rows))
    assert read_roster(path) == [
        Student("007", "Ada Byron", {"email": "a@x.org"}),
        Student("8", "王小明", {"email": ""}),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,id\nAda,1\n", "no column student .* it has name, id"),
        ("student,name\ns1,a\nS1,b\n", "'S1' more than once"),
        ("student,name\n,a\ns1,b\n", "empty"),
        ("student,name\ns1,Byron, Ada\n", "line 2: it has 3 columns, the first line 2"),
        ("", "no column student .* it has nothing"),
    ],
)
def test_a_bad_roster(tmp_path, text, said):
    with pytest.raises(ValueError, match=said):
        read_roster(csv_file(tmp_path, text))


@pytest.mark.parametrize("text", ["student\ns1\ns2\n", "student,name\n\ns1\ns2,\n,\n,,\n"])
def test_a_roster_of_numbers_alone_and_with_empty_lines(tmp_path, text):
    assert [student.number for student in read_roster(csv_file(tmp_path, text))] == ["s1", "s2"]


@pytest.mark.parametrize("encoding", ["utf-16", "gbk"])
def test_a_roster_in_another_encoding(tmp_path, encoding):
    path = tmp_path / "students.csv"
    path.write_bytes("student,name\ns1,王小明\n".encode(encoding))
    with pytest.raises(ValueError, match="is not a text in UTF-8: save it"):
        read_roster(path)


def test_what_is_no_notebook(tmp_path):
    for name in ("s1.py", "a/s2.ipynb.txt", "s3.zip", "s4.ipynb"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    names = ["a/s2.ipynb.txt", "s1.py", "s3.zip"]
    assert other_files(tmp_path) == names
    archive = tmp_path / "all.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for name in [*names, "s4.ipynb"]:
            packed.writestr(name, "")
    assert other_files(archive) == names


def test_a_name_whose_bytes_are_no_text(tmp_path):
    os.close(os.open(os.fsencode(tmp_path) + "/王_s1.ipynb".encode("gbk"), os.O_CREAT))
    (name,) = find_notebooks(tmp_path, tmp_path / "s")
    assert name.encode("utf-8").endswith(b"_s1.ipynb")


def test_what_a_mac_adds(tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("s1.ipynb", "{}")
        archive.writestr("__MACOSX/._s1.ipynb", "Mac OS X")
    assert list(find_notebooks(tmp_path / "all.zip", tmp_path / "scratch")) == ["s1.ipynb"]


def test_a_broken_zip_is_named(tmp_path):
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("s1.ipynb", "{}")
    path.write_bytes(path.read_bytes().replace(b"{}", b"[]"))
    with pytest.raises(ValueError, match=r"s1.ipynb cannot be unpacked .*name the folder"):
        find_notebooks(path, tmp_path / "scratch")


def test_notebooks_of_a_folder(tmp_path):
    for name in ("a.ipynb", "b/c.IPYNB", "b/.ipynb_checkpoints/c.ipynb", "d.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    (tmp_path / "link.ipynb").symlink_to("/etc/passwd")
    assert list(find_notebooks(tmp_path, tmp_path / "s")) == ["a.ipynb", "b/c.IPYNB"]


def test_a_zip_that_points_outside(tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("../../evil.ipynb", "{}")
        archive.writestr("a b/x.ipynb", "{}")
        archive.writestr("notes.txt", "")
    found = find_notebooks(tmp_path / "all.zip", tmp_path / "scratch")
    assert list(found) == ["../../evil.ipynb", "a b/x.ipynb"]
    assert all(path.parent == tmp_path / "scratch" for path in found.values())


def test_neither_folder_nor_zip(tmp_path):
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(ValueError, match="neither a folder nor a"):
        find_notebooks(tmp_path / "x.txt", tmp_path / "s")

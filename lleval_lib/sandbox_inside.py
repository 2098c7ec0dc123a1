"""What the sandbox starts first: it takes the job, sets the limits and becomes the program.

A script of the standard library only, as it runs before anything else is known to work. Its first
word says what to do: "drop" root and go on to the command behind it, or take the "job".
"""

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

NOBODY = 65534
ANSWER = 3  # the file descriptor to which the program writes its answer


def drop(command: list[str]) -> None:
    """Become the user nobody, for good, and run `command`."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    os.execv(command[0], command)


def job(answer: int) -> None:
    """Tell that the walls stand, wait for the job, and become its program.

    A parent that died meanwhile sends no whole job, and then nothing runs.
    """
    os.write(answer, b"1")
    import resource  # which Windows lacks

    head = json.loads(sys.stdin.buffer.readline())
    for name, size in head["files"]:
        content = sys.stdin.buffer.read(size)
        if len(content) < size:
            sys.exit("the job came in part only")
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(answer, ANSWER)
    os.closerange(ANSWER + 1, os.sysconf("SC_OPEN_MAX"))
    with suppress(OSError):  # where memory runs out, the kernel takes this program first
        Path("/proc/self/oom_score_adj").write_text("1000")
    for name, value in head["limits"].items():
        resource.setrlimit(getattr(resource, name), (value, value))
    os.write(ANSWER, b"2")
    os.execv(sys.executable, [sys.executable, *head["command"]])


if __name__ == "__main__":
    drop(sys.argv[2:]) if sys.argv[1] == "drop" else job(int(sys.argv[2]))

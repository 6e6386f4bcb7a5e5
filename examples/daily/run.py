"""Runs the openstack command once for each line of a file, in this process.

    . openrc && python3 run.py member.txt

Stops at the first line that fails, and says how long each took. Lines that
are empty or begin with # are left out; "until STATUS COMMAND" asks the command
for the status of what it shows until it is that one, and "let NAME COLUMN COMMAND"
keeps what the command shows in that column for $NAME in the lines below; several of
each with commas between, and a column's spaces as plus signs.
"""
import contextlib
import io
import shlex
import string
import sys
import time

from openstackclient import shell


def run(line):
    """The exit status of a line, and what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            status = shell.main(shlex.split(line))
        except SystemExit as stop:
            status = stop.code
    return status, printed.getvalue()


def until(status, line):
    """The exit status of waiting for a status, and what was printed last."""
    for _ in range(600):
        failed, printed = run(line + " -f value -c status -c Status")
        if failed or printed.strip() == status:
            return failed, printed
        time.sleep(0.1)
    return 1, printed


def let(names, columns, line):
    """The exit status of a command, and what it printed: a value for each name."""
    status, printed = run(f"{line} -f value " + " ".join(f"-c '{column.replace('+', ' ')}'" for column in columns.split(",")))
    if status:
        return status, printed
    names, values = names.split(","), printed.split()
    kept.update(zip(names, values))
    return len(values) < len(names), printed


kept = {}  # values by their names
for line in open(sys.argv[1], encoding="utf-8"):
    line = line.strip()
    if not line or line.startswith("#"):
        continue
    began = time.monotonic()
    line = string.Template(line).safe_substitute(kept)
    if line.startswith("until "):
        status, printed = until(*line.split(" ", 2)[1:])
    elif line.startswith("let "):
        status, printed = let(*line.split(" ", 3)[1:])
    else:
        status, printed = run(line)
    print(f"{time.monotonic() - began:6.2f} s  {line}", flush=True)
    if status:
        sys.exit(f"openstack {line}: exit status {status}\n{printed}")

"""Runs the openstack command once for each line of a file, in this process.

    . openrc && python3 run.py member.txt

Stops at the first line that fails, and says how long each took. Lines that
are empty or begin with # are left out; "until STATUS COMMAND" asks the command
for the status of what it shows until it is that one.
"""
import contextlib
import io
import shlex
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
        failed, printed = run(line + " -f value -c status")
        if failed or printed.strip() == status:
            return failed, printed
        time.sleep(0.1)
    return 1, printed


for line in open(sys.argv[1], encoding="utf-8"):
    line = line.strip()
    if not line or line.startswith("#"):
        continue
    began = time.monotonic()
    if line.startswith("until "):
        status, printed = until(*line.split(" ", 2)[1:])
    else:
        status, printed = run(line)
    print(f"{time.monotonic() - began:6.2f} s  {line}", flush=True)
    if status:
        sys.exit(f"openstack {line}: exit status {status}\n{printed}")

"""Runs the built command and the baselines, one at a time, and tells what each took.

Python 3.9 and its standard library. Every process is waited for, with a time limit, or killed by its own pid.
"""

import contextlib
import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

# No single run takes longer, on a machine on which the whole is of any use.
TIMEOUT = 300
# The kernel tells a peak in KiB on Linux, in bytes on macOS.
PEAK_UNIT = 1 if sys.platform == "darwin" else 1 << 10
BUCKET = "bench"


class Took:
    """Seconds, CPU seconds (user and system), and peak memory in bytes, of a whole process."""

    def __init__(self, seconds, usage):
        self.seconds = seconds
        self.cpu = usage.ru_utime + usage.ru_stime
        self.peak = usage.ru_maxrss * PEAK_UNIT


def size_of(folder):
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class Machine:
    """The programs, a folder to work in, and a service of S3 while it is wanted."""

    def __init__(self, sluice, baseline, folder):
        self.sluice, self.baseline_program = str(sluice), str(baseline)
        self.folder = pathlib.Path(folder)
        self.numbers = itertools.count()
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SLUICE_"))}

    def transfer_name(self):
        """A new one each time: under an old one nothing would be moved again."""
        return f"t{next(self.numbers)}"

    def measured(self, *line, stdin=None):
        """Runs a command. Answers what it took, and what it printed."""
        line = [str(word) for word in line]
        with tempfile.TemporaryFile(dir=self.folder) as out, tempfile.TemporaryFile(dir=self.folder) as err:
            source = open(stdin if stdin else os.devnull, "rb")
            with source:
                descriptors = ((source.fileno(), 0), (out.fileno(), 1), (err.fileno(), 2))
                actions = [(os.POSIX_SPAWN_DUP2, ours, theirs) for ours, theirs in descriptors]
                began = time.perf_counter()
                pid = os.posix_spawn(line[0], line, self.environment, file_actions=actions)
            timer = threading.Timer(TIMEOUT, os.kill, (pid, signal.SIGKILL))
            timer.start()
            _, status, usage = os.wait4(pid, 0)
            seconds = time.perf_counter() - began
            # It is reaped: the pid may be another's from here on.
            timer.cancel()
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode(errors="replace"))
            if status != 0:
                sys.exit(f"{line} ends with status {status} after {seconds:.0f} s: {texts[1]}{texts[0][:2000]}")
            return Took(seconds, usage), texts[0]

    def baseline(self, *words):
        """One line of JSON of a baseline."""
        _, text = self.measured(self.baseline_program, *words)
        return json.loads(text)

    def payloads(self, path, size, event):
        """The payloads as a file of lines."""
        with open(path, "wb") as file:
            line = [self.baseline_program, "payloads", "--bytes", str(size), "--event", str(event)]
            subprocess.run(line, stdout=file, stdin=subprocess.DEVNULL, check=True, timeout=TIMEOUT)

    def transfer(self, home, *words, moved):
        """A transfer that ends completely and moved so many events and bytes."""
        took, text = self.measured(self.sluice, *words, "--home", home, "--output", "json")
        report = json.loads(text)
        done = (report["state"], report["events"], report["bytes"])
        if done != ("COMPLETED", *moved):
            sys.exit(f"{words} ends as {done}, not as COMPLETED with {moved}")
        return took

    @contextlib.contextmanager
    def fresh(self, name):
        """A folder that goes at once: the next one finds the room, also in memory."""
        folder = self.folder / name
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder)

    @contextlib.contextmanager
    def s3(self):
        """A service of S3 on loopback, as the AWS environment of what is run meanwhile."""
        service = subprocess.Popen(
            [self.baseline_program, "s3-sink"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        before = self.environment
        try:
            port = int(service.stdout.readline())
            self.environment = dict(
                before,
                AWS_ENDPOINT_URL_S3=f"http://127.0.0.1:{port}",
                AWS_ACCESS_KEY_ID="bench",
                AWS_SECRET_ACCESS_KEY="bench",
                AWS_REGION="us-east-1",
                AWS_EC2_METADATA_DISABLED="true",
            )
            yield
        finally:
            self.environment = before
            service.kill()
            service.wait()
            service.stdout.close()

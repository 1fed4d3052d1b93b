"""What all scenarios share: the built command, a folder to work in, and how memory and bytes are measured.

Python 3.9 and its standard library. Every child process is waited for, with a time limit, or killed by its own pid.
"""

import argparse
import contextlib
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

MIB = 1 << 20
# Nothing that a scenario starts takes longer, but the 4 GiB ones.
TIMEOUT = 900


# Starts a command and says how much memory it took. In a process of its own, since what one inherits at its start
# counts towards its peak, and a scenario may have grown by then.
LAUNCHER = """
import os, sys
pid = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
os.write(int(sys.argv[1]), str(usage.ru_maxrss).encode())
os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
"""


class Broken(Exception):
    """Something is not as it must be."""


def check(holds, what):
    """As `assert`, but it cannot be switched off."""
    if not holds:
        raise Broken(what)


def size(text):
    """Bytes of a text such as 8MiB."""
    for unit, factor in (("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)):
        if text.endswith(unit):
            return int(text[: -len(unit)]) * factor
    return int(text)


class Done:
    """A command that ended."""

    def __init__(self, line, code, out, err, seconds):
        self.line, self.code, self.out, self.err, self.seconds = line, code, out, err, seconds

    def json(self):
        return json.loads(self.out)


class Child:
    """A command at work; its output goes to files, so that it never waits for us."""

    def __init__(self, line, folder, environment, stdin=None, inherited=()):
        self.line = line
        self.out = tempfile.TemporaryFile(dir=folder)
        self.err = tempfile.TemporaryFile(dir=folder)
        self.started = time.monotonic()
        stdin = subprocess.DEVNULL if stdin is None else stdin
        self.process = subprocess.Popen(
            line,
            stdin=stdin,
            stdout=self.out,
            stderr=self.err,
            cwd=folder,
            env=environment,
            pass_fds=inherited,
            start_new_session=True,
        )

    def kill(self):
        """kill -9, and what is left of it."""
        # Not reaped yet, so the pid is still its own.
        os.kill(self.process.pid, signal.SIGKILL)
        return self.wait()

    def wait(self, timeout=TIMEOUT):
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            # With its launcher, if it has one: they are a group of their own.
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise Broken(f"{self.line} took more than {timeout} seconds") from None
        seconds = time.monotonic() - self.started
        texts = []
        for file in (self.out, self.err):
            file.seek(0)
            texts.append(file.read())
            file.close()
        err = texts[1].decode(errors="replace")
        check("panicked" not in err, f"{self.line}: {err}")
        return Done(self.line, code, texts[0], err, seconds)


class Stage:
    """A folder with a home of its own, and the command."""

    def __init__(self, sluice, folder):
        self.sluice, self.folder = str(pathlib.Path(sluice).resolve()), pathlib.Path(folder)
        self.environment = dict(os.environ, SLUICE_HOME=str(self.folder / "home"))
        self.environment.pop("SLUICE_LOG", None)

    def start(self, *words, stdin=None):
        return Child([self.sluice, *map(str, words)], self.folder, self.environment, stdin)

    def run(self, *words, code=0, timeout=TIMEOUT):
        done = self.start(*words).wait(timeout)
        check(done.code == code, f"{done.line} exits with {done.code}, not {code}: {done.err}{done.out[:2000]!r}")
        return done

    def measured(self, *words, timeout=TIMEOUT):
        """Runs it and answers its largest resident set, in bytes, too."""
        with tempfile.TemporaryFile(dir=self.folder) as told:
            number = told.fileno()
            line = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(number), self.sluice, *map(str, words)]
            done = Child(line, self.folder, self.environment, inherited=(number,)).wait(timeout)
            check(done.code == 0, f"{words} exits with {done.code}: {done.err}")
            told.seek(0)
            # Linux counts KiB, macOS bytes.
            return done, int(told.read()) * (1 if sys.platform == "darwin" else 1024)

    def json(self, *words, code=0):
        return self.run(*words, "--output", "json", code=code).json()

    def append(self, stream, pieces, *words):
        """Appends what a generator yields, through a pipe."""
        reading, writing = os.pipe()
        child = self.start("append", stream, *words, stdin=reading)
        os.close(reading)
        with os.fdopen(writing, "wb", buffering=MIB) as pipe:
            for piece in pieces:
                pipe.write(piece)
        done = child.wait()
        check(done.code == 0, f"{done.line}: {done.err}")
        return done

    @contextlib.contextmanager
    def reading(self, *words):
        """The output of `sluice read`, to be read to its end."""
        line = [self.sluice, "read", *map(str, words)]
        process = subprocess.Popen(
            line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=self.folder, env=self.environment
        )
        try:
            yield process.stdout
            check(process.wait(timeout=60) == 0, f"{line} fails")
        finally:
            process.stdout.close()
            if process.poll() is None:
                process.kill()
                process.wait()

    def payload_sha256(self, stream):
        """SHA-256 and length of all payloads, joined."""
        digest, length = hashlib.sha256(), 0
        with self.reading(stream, "--payload") as out:
            while True:
                chunk = out.read(MIB)
                if not chunk:
                    return digest.hexdigest(), length
                digest.update(chunk)
                length += len(chunk)

    def same_events(self, one, other):
        """Holds two streams against each other, event by event as `sluice read` prints them: shard, sequence, time,
        key, headers, payload. Answers how many bytes of text were equal."""
        length = 0
        with self.reading(one) as a, self.reading(other) as b:
            while True:
                left, right = a.read(MIB), b.read(MIB)
                check(left == right, f"{one} and {other} differ within the text's bytes {length} to {length + MIB}")
                if not left:
                    return length
                length += len(left)

    def events(self, stream):
        """A stream's events, as `sluice read` prints them."""
        with self.reading(stream) as out:
            return [json.loads(line) for line in out]

    def data(self, bucket, transfer):
        """Data objects of an export."""
        folder = self.folder / bucket / transfer / "data"
        return sorted(path for path in folder.rglob("*") if path.is_file())

    def open_uploads(self, bucket):
        """Uploads that nobody completed or aborted."""
        folder = self.folder / bucket / ".sluice" / "uploads"
        return len(list(folder.iterdir())) if folder.is_dir() else 0


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(MIB), b""):
            digest.update(chunk)
    return digest.hexdigest()


class Sized:
    """Payloads of log-uniform length, without newlines, so that each can be a line; each is different."""

    def __init__(self, seed, newlines=False):
        self.random = random.Random(seed)
        pool = self.random.getrandbits(8 * 9 * MIB).to_bytes(9 * MIB, "little")
        self.pool = memoryview(pool if newlines else pool.replace(b"\n", b"\xff"))
        self.digest, self.events, self.bytes = hashlib.sha256(), 0, 0

    def one(self, longest):
        length = min(int(longest ** self.random.random()), longest)
        return self.note(self.cut(length))

    def cut(self, length):
        start = self.random.randrange(len(self.pool) - length)
        if length < 16:
            return bytes(self.pool[start : start + length])
        return b"%015x" % self.events + bytes(self.pool[start : start + length - 15])

    def note(self, payload):
        self.digest.update(payload)
        self.events += 1
        self.bytes += len(payload)
        return payload

    def lines(self, until, longest):
        """Lines until so many bytes have been made in all."""
        while self.bytes < until:
            yield self.one(longest)
            yield b"\n"


def scenario(run, name, **options):
    """Runs a scenario in a folder of its own, which goes when all was well."""
    parser = argparse.ArgumentParser(description=run.__doc__)
    parser.add_argument("--sluice", required=True, help="the built command")
    parser.add_argument("--seed", type=int, help="repeats the random choices of a run; it prints them")
    parser.add_argument("--folder", help="where to work instead of the temporary folder")
    for option, settings in options.items():
        parser.add_argument(f"--{option.replace('_', '-')}", **settings)
    args = parser.parse_args()
    if args.seed is None:
        args.seed = int.from_bytes(os.urandom(4), "little")
    folder = tempfile.mkdtemp(prefix=f"sluice-{name}-", dir=args.folder)
    print(f"{name}: seed {args.seed}, in {folder}", flush=True)
    began = time.monotonic()
    try:
        run(Stage(args.sluice, folder), args)
    except Broken as broken:
        print(f"{name} FAILED: {broken}\nWhat it left is in {folder}; again with --seed {args.seed}", flush=True)
        sys.exit(1)
    shutil.rmtree(folder)
    print(f"{name}: passed in {time.monotonic() - began:.0f} s", flush=True)

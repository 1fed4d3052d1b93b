"""Kinesis servers that nobody here wrote: ferrokinesis (crates.io) and kinesis-local (npm), on 127.0.0.1 alone.

Each lives as long as the command that is run with it, and keeps nothing. The command finds it as `AWS_ENDPOINT_URL`,
tests find it as `SLUICE_TEST_KINESIS`, and its name as `SLUICE_TEST_KINESIS_SERVER`.
"""

import argparse
import os
import pathlib
import signal
import subprocess
import sys

import botocore.exceptions

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "cloud"), str(HERE.parent / "scenarios")]

from cloud import ACCOUNT, REGION, Cloud, free_port, until, without_aws, working_in  # noqa: E402
from lib import Broken, check  # noqa: E402

# Seconds after which a command has hung.
LONGEST = 1_800


class Server(Cloud):
    """One of them, from `with` to its end. `at` is where it is installed."""

    def __init__(self, name, at, folder):
        super().__init__(folder)
        self.name, self.at = name, pathlib.Path(at).resolve()

    def __enter__(self):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        line, environment, working = STARTS[self.name](self.at, port)
        self.log = open(self.folder / "server.log", "wb")
        self.process = subprocess.Popen(
            line,
            cwd=working or self.folder,
            env=dict(without_aws(os.environ), **environment),
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            until(f"an answer of {self.name}", self.answers, patience=60)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.log.close()

    def answers(self):
        check(self.process.poll() is None, f"{self.name} ended: {self.tail()}")
        try:
            return "StreamNames" in self.client("kinesis").list_streams()
        except botocore.exceptions.BotoCoreError:
            return False

    def tail(self):
        return (self.folder / "server.log").read_text(errors="replace")[-2000:]


def ferrokinesis(at, port):
    return [str(at), str(port)], {}, None


def kinesis_local(at, port):
    """Its certificate, which it wants for a second port, lies beside it."""
    quick = "CREATE_STREAM DELETE_STREAM SPLIT_SHARD MERGE_SHARDS UPDATE_SHARD_COUNT REGISTER_STREAM_CONSUMER"
    environment = {
        "KINESIS_MOCK_PLAIN_PORT": str(port),
        "KINESIS_MOCK_TLS_PORT": str(free_port()),
        "AWS_ACCOUNT_ID": ACCOUNT,
        "AWS_REGION": REGION,
        "SHARD_LIMIT": "1000",
        "LOG_LEVEL": "ERROR",
        **{f"{operation}_DURATION": "50ms" for operation in quick.split()},
    }
    return ["node", "-r", str(HERE / "loopback.js"), "main.js"], environment, at


STARTS = {"ferrokinesis": ferrokinesis, "kinesis-local": kinesis_local}


def main():
    """Runs a command with one of the servers."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("name", choices=STARTS)
    parser.add_argument("at", help="its program, or the folder of its package")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="what to run, with its arguments")
    args = parser.parse_args()
    command = args.command[1:] if args.command[:1] == ["--"] else args.command

    def work(folder):
        with Server(args.name, args.at, folder) as server:
            tests = {"SLUICE_TEST_KINESIS": server.url, "SLUICE_TEST_KINESIS_SERVER": args.name}
            try:
                return subprocess.run(
                    command, env=dict(server.environment(), **tests), check=False, timeout=LONGEST
                ).returncode
            except subprocess.TimeoutExpired:
                raise Broken(f"{command} takes longer than {LONGEST} seconds") from None

    sys.exit(working_in(f"sluice-{args.name}-", None, work))


if __name__ == "__main__":
    main()

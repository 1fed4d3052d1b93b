"""How much processor exports from Kinesis and imports into it cost, beside a loop of the SDK in the same round, and how
much of a shard's limits they use, also where a few keys have most of the events.

The service is the model of `tests/kinesis` behind a socket, S3 is the sink of `baseline s3-sink`; both run in processes
of their own and are not counted. Each case has a fresh service. The loops (`tests/bench/src/kinesis`) do no more than
read and upload, or put: no checkpoint, no checksum of objects, no proof. Of Sluice the whole process counts, of a loop
the job alone. Under limits the command takes all that a shard gives (`--read-share 1`); the figure is the part of the
shards' limits that it used, from its start to its end.
"""

import argparse
import contextlib
import hashlib
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import urllib.request

from machine import BUCKET, Machine
from report import number, table

MIB = 1 << 20
# What a shard gives and takes in a second (Kinesis Data Streams developer guide, "Quotas and limits").
READ, WRITTEN, RECORDS = 2 << 20, 1 << 20, 1_000
# A path that makes the endpoint look like Amazon's own, so that its limits are kept. The service does not look at it.
LIMITED = "/as.amazonaws.com"
# Case, and the bound of its ratio: CPU at most, a part of the limits at least.
CPU_BOUNDS = {
    "export raw 100 B": 0.7, "export avro 100 B": 0.7, "export raw 1 KiB": 0.5, "export avro 1 KiB": 0.5,
    "export raw 10 KiB": 0.6, "export avro 10 KiB": 0.6, "import 1 KiB": 0.8,
}
LIMIT_BOUNDS = {"export": 0.9, "import": 0.85, "hot": 0.85}
# What a put takes where some keys are sent far more often than others, in milliseconds.
PUT_MILLIS = (3, 10)
EVENTS = {"100 B": 100, "1 KiB": 1 << 10, "10 KiB": 10 << 10}


class Kinesis:
    """A service while it is wanted, and the environment that leads to it."""

    def __init__(self, machine, size, event, *more):
        self.machine = machine
        line = [machine.baseline_program, "kinesis-serve", "--bytes", size, "--event", event, *more]
        self.line, self.limited = [str(word) for word in line], "--limits" in more

    def __enter__(self):
        self.process = subprocess.Popen(self.line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.address = f"http://127.0.0.1:{int(self.process.stdout.readline())}"
        self.before = self.machine.environment
        endpoint = self.address + (LIMITED if self.limited else "")
        self.machine.environment = dict(
            self.before, AWS_ENDPOINT_URL_KINESIS=endpoint, AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench",
            AWS_REGION="us-east-1", AWS_EC2_METADATA_DISABLED="true",
        )
        return self

    def __exit__(self, *_):
        self.machine.environment = self.before
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def told(self, what):
        with urllib.request.urlopen(f"{self.address}/{what}", timeout=60) as answer:
            return json.loads(answer.read())

    def counts(self, operation):
        return self.told("counts")[operation]


class Bench:
    """Rounds of cases; every figure goes to its row's name."""

    def __init__(self, machine, args):
        self.machine, self.args = machine, args
        self.cpu, self.limits, self.keys = {}, {}, {}

    def wants(self, name):
        return self.args.only in name

    def round(self):
        for label, event in EVENTS.items():
            size = self.args.size * MIB // (4 if event < 1_000 else 1)
            for form in ("raw", "avro"):
                self.export(f"export {form} {label}", form, size, event)
        self.imported("import 1 KiB", self.args.size * MIB // 2, EVENTS["1 KiB"])
        for shards in (4, 8):
            self.limited_export(f"export {shards} shards", shards)
            self.limited_import(f"import {shards} shards", shards)
        for millis in PUT_MILLIS:
            self.hot_import(f"hot keys, 4 shards, {millis} ms a put", 4, millis)

    @contextlib.contextmanager
    def places(self, size, event, *more):
        with Kinesis(self.machine, size, event, *more) as kinesis, self.machine.s3():
            yield kinesis

    def moved(self, size, event):
        events = size // event
        return events, events * event

    def note(self, name, took, loop, moved):
        events, size = moved
        figure = dict(
            rate=size / took.seconds / 1e6, cpu=took.cpu / size * 1e9, peak=took.peak / MIB,
            loop=loop["cpu"] / loop["bytes"] * 1e9, of=took.cpu / size / (loop["cpu"] / loop["bytes"]),
        )
        self.cpu.setdefault(name, []).append(figure)

    def export(self, name, form, size, event):
        if not self.wants(name):
            return
        moved = self.moved(size, event)
        with self.places(size, event), self.machine.fresh("home") as home:
            loop = self.machine.baseline("kinesis-export", "--bucket", BUCKET, "--key", "loop")
            line = ["export", "kinesis:source", f"s3://{BUCKET}/sluice", "--format", form, "--compression", "none"]
            took = self.machine.transfer(home, *line, "--id", self.machine.transfer_name(), moved=moved)
        self.note(name, took, loop, moved)

    @contextlib.contextmanager
    def archive(self, kinesis_arguments, form):
        """A folder with an export of the source."""
        with self.machine.fresh("archive") as folder, self.machine.fresh("home") as home:
            size, event, *more = kinesis_arguments
            with Kinesis(self.machine, size, event, *more) as kinesis:
                line = ["export", "kinesis:source", f"dir:{folder}", "--format", form, "--compression", "none"]
                self.machine.transfer(home, *line, "--id", "made", moved=self.moved(size, event))
                self.keys = kinesis.told("keys")
            yield folder / "made"

    def imported(self, name, size, event):
        if not self.wants(name):
            return
        moved = self.moved(size, event)
        with contextlib.ExitStack() as stack:
            plain = stack.enter_context(self.machine.fresh("plain"))
            with self.archive((size, event), "raw") as folder:
                for number, path in enumerate(sorted(path for path in (folder / "data").rglob("*") if path.is_file())):
                    shutil.copy(path, plain / str(number))
            with Kinesis(self.machine, 1, event):
                loop = self.machine.baseline("kinesis-import", "--folder", plain, "--event", event)
            with self.archive((size, event), "avro") as folder, Kinesis(self.machine, 1, event):
                home = stack.enter_context(self.machine.fresh("home2"))
                took = self.machine.transfer(home, "import", f"dir:{folder}", "kinesis:target", "--id", "back", moved=moved)
        if loop["bytes"] != moved[1]:
            sys.exit(f"the loop put {loop['bytes']} bytes of {moved[1]}")
        self.note(name, took, loop, moved)

    def limited_export(self, name, shards):
        if not self.wants(f"limits {name}"):
            return
        size, event = shards * READ * self.args.seconds, EVENTS["1 KiB"]
        with self.places(size, event, "--shards", shards, "--limits") as kinesis, self.machine.fresh("home") as home:
            line = ["export", "kinesis:source", f"s3://{BUCKET}/sluice", "--format", "raw", "--read-share", "1"]
            took = self.machine.transfer(home, *line, "--id", "limited", moved=self.moved(size, event))
            calls = kinesis.counts("GetRecords")
        refused = calls["throttled"] / calls["calls"]
        self.limit(name, size / took.seconds, shards * READ, refused, took)

    def limited_import(self, name, shards):
        if not self.wants(f"limits {name}"):
            return
        event = EVENTS["1 KiB"]
        events = shards * min(RECORDS, WRITTEN // event) * self.args.seconds
        size = events * event
        with self.archive((size, event, "--shards", shards), "avro") as folder:
            with Kinesis(self.machine, 1, event, "--shards", shards, "--limits") as kinesis:
                with self.machine.fresh("home2") as home:
                    line = ["import", f"dir:{folder}", "kinesis:target", "--id", "back"]
                    took = self.machine.transfer(home, *line, moved=self.moved(size, event))
                puts = kinesis.counts("PutRecords")
        refused = puts["recordsThrottled"] / (puts["records"] + puts["recordsThrottled"])
        self.limit(name, events / took.seconds, shards * min(RECORDS, WRITTEN // event), refused, took)

    def hot_import(self, name, shards, millis):
        """Of a key one event is under way at a time. So a shard takes at least what its most frequent key takes, one put
        after the other, and at least what its limit makes of all its events; the import, what its slowest shard takes."""
        if not self.wants(f"limits {name}"):
            return
        event = EVENTS["1 KiB"]
        events = shards * RECORDS * self.args.seconds // 3
        with self.archive((events * event, event, "--shards", shards, "--zipf"), "avro") as folder:
            more = ["--shards", shards, "--limits", "--latency", millis]
            with Kinesis(self.machine, 1, event, *more) as kinesis, self.machine.fresh("home2") as home:
                line = ["import", f"dir:{folder}", "kinesis:target", "--id", "back"]
                took = self.machine.transfer(home, *line, moved=self.moved(events * event, event))
                puts = kinesis.counts("PutRecords")
        of_shards = [[] for _ in range(shards)]
        for key, count in self.keys.items():
            of_shards[int(hashlib.md5(key.encode()).hexdigest(), 16) * shards >> 128].append(count)
        least = max(max(sum(counts) / RECORDS, max(counts) * millis / 1_000) for counts in of_shards if counts)
        refused = puts["recordsThrottled"] / (puts["records"] + puts["recordsThrottled"])
        self.limit(name, least, took.seconds, refused, took)

    def limit(self, name, used, limit, refused, took):
        figure = dict(of=used / limit, refused=refused, seconds=took.seconds, peak=took.peak / MIB)
        self.limits.setdefault(name, []).append(figure)

    def tables(self):
        median = lambda figures, what: statistics.median(figure[what] for figure in figures)
        lines = [
            [name, *(number(median(figures, what)) for what in ("rate", "cpu", "loop", "of")),
             str(CPU_BOUNDS[name]), number(median(figures, "peak"))]
            for name, figures in self.cpu.items()
        ]
        if lines:
            yield table(["4 shards", "MB/s", "CPU s/GB", "the loop's", "x the loop's", "wanted at most", "peak MiB"], lines)
        lines = [
            [name, number(median(figures, "seconds")), number(median(figures, "of")), str(LIMIT_BOUNDS[name.split()[0]]),
             f"{100 * median(figures, 'refused'):.1f} %", number(median(figures, "peak"))]
            for name, figures in self.limits.items()
        ]
        if lines:
            yield table(["with limits, 1 KiB", "s", "part of the limits", "wanted at least", "refused", "peak MiB"], lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sluice", required=True, help="the built command")
    parser.add_argument("--baseline", required=True, help="the built baselines")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=256, help="MiB of payload of a case [default: 256]")
    parser.add_argument("--seconds", type=int, default=15, help="how long a case under limits takes at least [default: 15]")
    parser.add_argument("--only", default="", metavar="TEXT", help="only rows whose name holds this, such as 'avro'")
    parser.add_argument("--folder", help="where to work instead of the temporary folder")
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="sluice-bench-", dir=args.folder)
    try:
        bench = Bench(Machine(pathlib.Path(args.sluice).resolve(), pathlib.Path(args.baseline).resolve(), folder), args)
        for number_of in range(args.rounds):
            print(f"round {number_of + 1} of {args.rounds}", file=sys.stderr, flush=True)
            bench.round()
    finally:
        shutil.rmtree(folder)
    print("\n\n".join(bench.tables()) or f"no row's name holds '{args.only}'")


if __name__ == "__main__":
    main()

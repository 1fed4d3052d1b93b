"""How fast exports and imports are, beside what the machine gives in the same run.

Every round runs each case once (one that is held against a target three times, of which the fastest counts), with the
baselines of its event size right before; what is told are medians over the rounds, and of a ratio the median of each
round's own. Of Sluice the whole process is counted, from its start to its end, the proof at the end of an import
included; of a baseline the job alone. Sizes are of payload: MB are 10^6 bytes, GB 10^9. Payloads are JSON of one
length, about a half of it noise that codecs cannot make much smaller, the rest words.
"""

import argparse
import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from machine import BUCKET, Machine, size_of
from report import check, tables, write, written

MIB = 1 << 20
EVENTS = (("100 B", 100), ("1 KiB", 1 << 10), ("10 KiB", 10 << 10), ("1 MiB", MIB))
ENCODINGS = (
    ("avro", "none"), ("avro", "zstd"), ("avro", "deflate"),
    ("raw", "none"), ("raw", "zstd"), ("raw", "gzip"),
    ("jsonl", "none"), ("jsonl", "zstd"), ("jsonl", "gzip"),
)
# These are held against targets, with more payload, so that a process's start and end count little.
TARGETED = ("10 KiB", (("avro", "none"), ("raw", "none")))
# In a round each job of theirs that writes files, and each that it is held against, is run so often, one behind the
# other, and the fastest counts: where the kernel has no memory at hand for a file's pages, most of all behind a job of
# another kind, a write takes twice to ten times as long.
TURNS = 3
# A codec's speed does not depend on how much it is given.
CODEC_SHARE = 4


def fastest(took):
    """Of the command's runs."""
    return min(took, key=lambda run: run.seconds)


class Bench:
    """Rounds of cases; every figure goes to its row's name."""

    def __init__(self, machine, pattern):
        self.machine, self.pattern = machine, pattern
        self.rows, self.baselines = {}, {}

    def wants(self, name):
        return self.pattern in name

    def note(self, name, took, load, beside, **more):
        """A figure of a row. `beside` are the baselines of the same round, by the ratio's name."""
        seconds = {ratio: base["seconds"] / base["bytes"] / (took.seconds / load.bytes) for ratio, base in beside.items()}
        cpu = {
            ratio: (took.cpu / load.bytes) / (base["cpu"] / base["bytes"]) for ratio, base in beside.items() if base["cpu"]
        }
        figure = dict(
            rate=load.bytes / took.seconds / 1e6,
            events=load.events / took.seconds,
            cpu=took.cpu / (load.bytes / 1e9),
            peak=took.peak / MIB,
            of=seconds,
            cpu_of=cpu,
            **more,
        )
        self.rows.setdefault(name, []).append(figure)

    def base(self, name, load, *words, share=1):
        """A baseline, run now."""
        told = self.machine.baseline(*words, "--bytes", load.size // share, "--event", load.event)
        self.baselines.setdefault((name, load.label), []).append(told)
        return told

    def filed(self, name, load, *words):
        """A baseline that writes files: the fastest of its turns."""
        told = []
        for _ in load.turns:
            with self.machine.fresh("plain") as folder:
                line = [*words, "--folder", folder, "--bytes", load.size, "--event", load.event]
                told.append(self.machine.baseline(*line))
        best = min(told, key=lambda run: run["seconds"])
        self.baselines.setdefault((name, load.label), []).append(best)
        return best

    def inserted(self, load):
        return self.filed("SQLite's inserts", load, "sqlite")

    def round(self, loads):
        for load in loads:
            self.group(load)

    def group(self, load):
        """One event size, or the targeted ones: baselines, then cases, each right behind what it is compared with."""
        names = {encoding: self.names(load, *encoding) for encoding in load.encodings}
        wanted = [encoding for encoding, pair in names.items() if any(map(self.wants, pair))]
        appends = self.wants(f"append {load.label}")
        if not (wanted or appends or (load.targeted and any(map(self.wants, self.s3_names(load))))):
            return
        copy = self.base("memory copy", load, "copy")
        if appends:
            self.append(load, copy)
        codecs = {codec for _, codec in wanted if codec != "none"}
        codecs = {
            codec: self.base(codec, load, "codec", "--codec", codec, share=CODEC_SHARE) for codec in sorted(codecs)
        }
        for encoding in wanted:
            self.there_and_back(load, *encoding, dict(copy=copy, codec=codecs.get(encoding[1])))
        if load.targeted:
            self.to_s3(load, copy)

    @staticmethod
    def names(load, form, codec):
        return f"export {form} {codec} {load.label}", f"import {form} {codec} {load.label}"

    @staticmethod
    def s3_names(load):
        return [f"s3 {form} {codec} {load.label}" for form, codec in load.encodings]

    def append(self, load, copy):
        bare = self.inserted(load)
        took = fastest([self.appended(load) for _ in load.turns])
        self.note(f"append {load.label}", took, load, dict(copy=copy, sqlite=bare))

    def appended(self, load):
        with self.machine.fresh("home") as home:
            line = [self.machine.sluice, "append", "local:made", "--key", "key", "--home", home]
            took, _ = self.machine.measured(*line, stdin=load.lines)
            return took

    def there_and_back(self, load, form, codec, beside):
        """Exports into a folder, and imports of what the last one made."""
        export, back = self.names(load, form, codec)
        there, again = dict(beside), dict(beside)
        if beside["codec"] is None:
            del there["codec"], again["codec"]
        else:
            again["codec"] = dict(beside["codec"]["back"], bytes=beside["codec"]["bytes"])
        moved = (load.events, load.bytes)
        there["write"] = self.filed("write and fsync", load, "write")
        if load.targeted:
            there["synced"] = self.filed("write, each part synced", load, "write", "--sync-parts")
        with contextlib.ExitStack() as last:
            took = []
            for _ in load.turns:
                last.close()
                bucket, name = last.enter_context(self.machine.fresh("bucket")), self.machine.transfer_name()
                line = ["export", "local:source", f"dir:{bucket}", "--format", form, "--compression", codec, "--id", name]
                took.append(self.machine.transfer(load.home, *line, moved=moved))
            stored = size_of(bucket / name / "data") / load.bytes
            self.note(export, fastest(took), load, there, stored=stored)
            if not self.wants(back):
                return
            again["sqlite"] = self.inserted(load)
            line = ["import", f"dir:{bucket / name}", "local:target", "--id", name]
            # Raw objects have no events of their own; cut to the same size they are the same ones.
            line += ["--event-size", load.event] if form == "raw" else []
            self.note(back, fastest([self.imported(line, moved) for _ in load.turns]), load, again)

    def imported(self, line, moved):
        with self.machine.fresh("home") as home:
            return self.machine.transfer(home, *line, moved=moved)

    def to_s3(self, load, copy):
        for (form, codec), name in zip(load.encodings, self.s3_names(load)):
            if not self.wants(name):
                continue
            with self.machine.s3():
                line = ["s3-upload", "--bucket", BUCKET, "--key", "plain"]
                bare = self.base("SDK's upload, set as Sluice's", load, *line)
                by_default = self.base("SDK's upload, by default", load, *line, "--by-default")
                line = ["export", "local:source", f"s3://{BUCKET}/sluice", "--format", form, "--compression", codec]
                line += ["--id", self.machine.transfer_name()]
                took = self.machine.transfer(load.home, *line, moved=(load.events, load.bytes))
                self.note(name, took, load, dict(copy=copy, sdk=bare, sdk_default=by_default))


class Load:
    """A source: a stream of events of one size."""

    def __init__(self, machine, label, event, size, encodings, targeted):
        self.label, self.event, self.size, self.targeted = label, event, size, targeted
        self.encodings, self.turns = encodings, range(TURNS if targeted else 1)
        self.events = max(size // event, 1)
        self.bytes = self.events * event
        name = f"source-{event}-{'targeted' if targeted else 'grid'}"
        self.home, self.lines = machine.folder / name, machine.folder / f"{name}.txt"
        machine.payloads(self.lines, size, event)
        machine.measured(
            machine.sluice, "append", "local:source", "--key", "key", "--home", self.home, stdin=self.lines
        )


def loads(machine, size, targeted_size):
    """The targeted ones first; the grid has all others."""
    label, encodings = TARGETED
    yield Load(machine, label, dict(EVENTS)[label], targeted_size, encodings, True)
    for name, event in EVENTS:
        rest = [encoding for encoding in ENCODINGS if name != label or encoding not in encodings]
        yield Load(machine, name, event, size, rest, False)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sluice", required=True, help="the built command")
    parser.add_argument("--baseline", required=True, help="the built baselines")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=64, help="MiB of payload of a case [default: 64]")
    parser.add_argument("--targeted-size", type=int, default=512, help="of a case that has a target [default: 512]")
    parser.add_argument("--only", default="", metavar="TEXT", help="only rows whose name holds this, such as 'raw none'")
    parser.add_argument("--quick", action="store_true", help="one round of small cases: does it run at all")
    parser.add_argument("--check", action="store_true", help="fail if a target is missed")
    parser.add_argument(
        "--write", metavar="FILE", help="write the tables into a file, such as tests/bench/RESULTS.md, between its marks"
    )
    parser.add_argument("--folder", help="where to work instead of the temporary folder")
    args = parser.parse_args()
    if args.write and (args.quick or args.only):
        parser.error("--write takes a whole run: not --quick, not --only")
    if args.quick:
        args.rounds, args.size, args.targeted_size = 1, 8, 16
    return args


def version():
    """The commit that is measured, as far as the checkout tells."""
    line = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(line, cwd=pathlib.Path(__file__).parent, capture_output=True, check=True, text=True).stdout.strip()


def main():
    args = arguments()
    # Asked for first: a run of minutes is not lost for want of an answer.
    measured = version() if args.write else None
    began = time.monotonic()
    folder = tempfile.mkdtemp(prefix="sluice-bench-", dir=args.folder)
    try:
        machine = Machine(pathlib.Path(args.sluice).resolve(), pathlib.Path(args.baseline).resolve(), folder)
        bench = Bench(machine, args.only)
        sources = list(loads(machine, args.size * MIB, args.targeted_size * MIB))
        # Not counted: whoever touches memory first waits for it, on a virtual machine twice.
        Bench(machine, args.only).round(load for load in sources if load.targeted)
        for number in range(args.rounds):
            print(f"round {number + 1} of {args.rounds}, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
            bench.round(sources)
    finally:
        shutil.rmtree(folder)
    if not bench.rows:
        sys.exit(f"no row's name holds '{args.only}'")
    how = (
        f"{args.rounds} rounds, {args.size} MiB of payload a case, {args.targeted_size} MiB where a target is; "
        f"{os.cpu_count()} processors; {time.monotonic() - began:.0f} s in all."
    )
    print(f"{how}\n\n{tables(bench.rows, bench.baselines)}")
    if args.write:
        write(args.write, written(bench.rows, measured, how))
    missed = check(bench.rows)
    print("\n".join(line for line, _ in missed))
    sys.exit(1 if args.check and not all(reached for _, reached in missed) else 0)


if __name__ == "__main__":
    main()

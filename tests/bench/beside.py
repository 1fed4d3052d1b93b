"""Two builds of the command, one beside the other, on every row of RESULTS.md but those of S3.

In each round a row runs once with either build, in turns which is first; what is told are medians over the rounds of
each round's own ratio. So a change of the machine from one minute to the next counts little, and that from one day to
the next not at all. Of a build the whole process is counted, as in bench.py.
"""

import argparse
import pathlib
import shutil
import statistics
import sys
import tempfile

from bench import ENCODINGS, EVENTS, MIB
from machine import Machine


class Beside:
    """Two builds, a folder for each, and what each row took."""

    def __init__(self, builds, pattern):
        self.builds, self.pattern, self.rows = builds, pattern, {}

    def wants(self, *names):
        return any(self.pattern in name for name in names)

    def note(self, name, number, took):
        self.rows.setdefault(name, ([], []))[number].append(took)

    def round(self, loads, in_turn):
        for label, event, events, lines in loads:
            moved = (events, events * event)
            if self.wants(f"append {label}"):
                for number in in_turn:
                    self.append(f"append {label}", number, lines)
            for form, codec in ENCODINGS:
                names = [f"{kind} {form} {codec} {label}" for kind in ("export", "import")]
                if self.wants(*names):
                    for number in in_turn:
                        self.there_and_back(names, number, (form, codec), event, moved)

    def append(self, name, number, lines):
        machine = self.builds[number]
        with machine.fresh("home") as home:
            line = [machine.sluice, "append", "local:made", "--key", "key", "--home", home]
            took, _ = machine.measured(*line, stdin=lines)
        self.note(name, number, took)

    def there_and_back(self, names, number, encoding, event, moved):
        machine, (form, codec) = self.builds[number], encoding
        name = machine.transfer_name()
        with machine.fresh("bucket") as bucket, machine.fresh("home") as home:
            line = ["export", "local:source", f"dir:{bucket}", "--format", form, "--compression", codec, "--id", name]
            self.note(names[0], number, machine.transfer(machine.folder / f"source-{event}", *line, moved=moved))
            line = ["import", f"dir:{bucket / name}", "local:target", "--id", name]
            line += ["--event-size", event] if form == "raw" else []
            self.note(names[1], number, machine.transfer(home, *line, moved=moved))

    def told(self):
        """A line for each row, and the range of all."""
        yield "row: CPU, time of the new one in terms of the old one's; peak in MiB, before -> now"
        ratios = []
        for name, (before, now) in sorted(self.rows.items()):
            cpu = statistics.median(new.cpu / old.cpu for old, new in zip(before, now))
            seconds = statistics.median(new.seconds / old.seconds for old, new in zip(before, now))
            peaks = [statistics.median(took.peak for took in runs) / MIB for runs in (before, now)]
            ratios.append(cpu)
            yield f"{name:32} {cpu:.2f} {seconds:.2f}  {peaks[0]:.0f} -> {peaks[1]:.0f}"
        median = statistics.median(ratios)
        yield f"CPU of all {len(ratios)} rows: median {median:.2f}, {min(ratios):.2f} to {max(ratios):.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", required=True, help="the command as it was")
    parser.add_argument("--sluice", required=True, help="the command as it is")
    parser.add_argument("--baseline", required=True, help="the built baselines; they make the payloads")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=64, help="MiB of payload of a row [default: 64]")
    parser.add_argument("--only", default="", metavar="TEXT", help="only rows that hold this, such as 'raw none'")
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-beside-"))
    try:
        builds, baseline = [], pathlib.Path(args.baseline).resolve()
        for name, program in (("before", args.before), ("now", args.sluice)):
            (folder / name).mkdir()
            builds.append(Machine(pathlib.Path(program).resolve(), baseline, folder / name))
        loads = []
        for label, event in EVENTS:
            lines = folder / f"{event}.txt"
            builds[1].payloads(lines, args.size * MIB, event)
            loads.append((label, event, max(args.size * MIB // event, 1), lines))
            for machine in builds:
                home = machine.folder / f"source-{event}"
                machine.measured(machine.sluice, "append", "local:source", "--key", "key", "--home", home, stdin=lines)
        beside = Beside(builds, args.only)
        for number in range(args.rounds):
            print(f"round {number + 1} of {args.rounds}", file=sys.stderr, flush=True)
            beside.round(loads, (0, 1) if number % 2 == 0 else (1, 0))
    finally:
        shutil.rmtree(folder)
    if not beside.rows:
        sys.exit(f"no row's name holds '{args.only}'")
    print("\n".join(beside.told()))


if __name__ == "__main__":
    main()

"""A source that is trimmed while its export is paused: a gap that is named, never a silent loss.

The resume ends with 4, the manifest names the gap with its exact range, `verify` and an import of it end with 4, and
everything outside of the gap is there.
"""

import json
import shutil
import time

from lib import MIB, Sized, check, scenario

EVENTS = 4 * MIB
RATE = 600_000
GAP = 1_234


def kept(events, start, end):
    """What an event is apart from its number, which the target gives anew; without those of the gap."""
    left = [event for event in events if not start <= int(event["sequence"]) < end]
    return [{name: value for name, value in event.items() if name != "sequence"} for event in left]


def elsewhere(stage):
    """Another home that has the same streams, and no records of the exports that need them."""
    home = stage.folder / "elsewhere"
    if not home.exists():
        home.mkdir()
        shutil.copy(stage.folder / "home" / "home.json", home)
        (home / "streams").symlink_to(stage.folder / "home" / "streams")
    return home


def trimmed(stage, form, sized):
    source, out = f"local:source-{form}", f"out-{form}"
    stage.append(source, sized.lines(sized.bytes + EVENTS, 2_000), "--key", "k")
    before = stage.events(source)
    small = ["--object-size", "300KiB", "--part-size", "40KiB"]
    export = ["export", source, "dir:bucket", "--format", form, *small, "--rate", RATE, "--id", out]
    child = stage.start(*export)
    deadline = time.monotonic() + 60
    while stage.start("status", out).wait().code != 0 or stage.json("status", out)["bytes"] < MIB:
        check(time.monotonic() < deadline, f"{out} does not move")
    stage.run("pause", out)
    done = child.wait()
    check(done.code == 3, f"{done.line} exits with {done.code}, not 3: {done.err}")
    check(stage.open_uploads("bucket") == 0, "a paused export has an open upload")
    report = stage.json("status", out)
    check(report["state"] == "PAUSED", f"{out} is {report['state']}")
    start = int(report["cut"].split("@")[1])
    check(0 < start < len(before) - GAP, f"paused at event {start} of {len(before)}")
    stage.run("trim", source, "--before", f"0@{start + GAP}", code=1)
    stage.run("--home", elsewhere(stage), "trim", source, "--before", f"0@{start + GAP}")
    done = stage.run("resume", out, "--output", "json", code=4)
    check(done.json()["state"] == "COMPLETED_WITH_GAPS", f"{out} ends as {done.json()}")
    manifest = json.loads((stage.folder / "bucket" / out / "manifest.json").read_text())["body"]
    named = {"from": f"after:{start - 1}", "until": f"after:{start + GAP - 1}"}
    gaps = manifest["shards"][0]["gaps"]
    check(gaps == [named], f"the manifest names {gaps}, not {named}")
    check(manifest["state"] == "COMPLETED_WITH_GAPS", manifest["state"])
    check(manifest["counts"]["events"] == len(before) - GAP, f"{manifest['counts']} of {len(before)} events")
    verdict = stage.json("verify", out, code=4)["verdict"]
    check(verdict == "GAPS", f"verify says {verdict}")
    target = f"local:back-{form}"
    stage.run("import", f"dir:bucket/{out}", target, "--id", f"back-{form}", code=4)
    if form == "avro":
        check(stage.events(target) and kept(before, start, start + GAP) == kept(stage.events(target), 0, 0), "other events")
    else:
        there = "".join(event["payload"] for event in kept(before, start, start + GAP)).encode()
        with stage.reading(target, "--payload") as out:
            check(out.read() == there, "other bytes")
    print(f"  {form}: paused at event {start} of {len(before)}, gap {named['from']} to {named['until']}", flush=True)


class Letters(Sized):
    """Payloads that are text, so that they can be compared as they are printed."""

    def one(self, longest):
        length = min(int(longest ** self.random.random()), longest)
        return self.note((b"%012d" % self.events * (length // 12 + 1))[:length])


def run(stage, args):
    """A trim during a pause."""
    for form in ("avro", "raw"):
        trimmed(stage, form, Letters(args.seed))


if __name__ == "__main__":
    scenario(run, "trim")

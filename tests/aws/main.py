"""Tries the stack in an AWS account, under a prefix of its own, and takes everything down again.

It asks before it begins, unless --yes, and says what it will cost. It leaves a dated report. Credentials and region
are those of the AWS command line. With AWS_ENDPOINT_URL set it runs against an emulator instead, as in

    bin/python tests/cloud/cloud.py -- tests/aws/run --yes --size 16
"""

import argparse
import datetime
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import traceback

from account import ROOT, Account, Teardown
from prices import estimate
from steps import MIB, STEPS, LeftOut, Run

# Of the small steps: stopped, forgotten, throttled, denied, arrives, idle, split there and back.
SMALL_SHARDS = 1 + 1 + 1 + 1 + 1 + 2 + 3 + 2


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", action="store_true", help="prints the steps and the cost, and ends")
    parser.add_argument("--yes", action="store_true", help="does not ask")
    parser.add_argument("--size", type=int, default=1024, metavar="MIB", help="of the large transfer")
    parser.add_argument("--region", default=os.environ.get("AWS_REGION", os.environ.get("AWS_DEFAULT_REGION")))
    parser.add_argument("--prefix", help="of all names; by default sluice-try-, the day and four letters")
    parser.add_argument("--built", default=ROOT / ".aws-sam" / "build", help="the folder that `sam build` built into")
    parser.add_argument("--parameter", action="append", default=[], metavar="NAME=VALUE", help="more of the stack")
    parser.add_argument("--report", default=".", metavar="FOLDER", help="where the report is written")
    parser.add_argument("--only", action="append", metavar="STEP", help="that step, behind deploy")
    parser.add_argument("--keep", action="store_true", help="leaves all that it made, which goes on costing")
    parser.add_argument("--teardown", metavar="PREFIX", help="only deletes what an earlier run left")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "little"))
    args = parser.parse_args()
    if args.size < 8:
        parser.error("--size: at least 8 MiB, so that there is a middle")
    day = datetime.datetime.now(datetime.timezone.utc).strftime("%y%m%d")
    args.prefix = args.teardown or args.prefix or f"sluice-try-{day}-{os.urandom(2).hex()}"
    # Names that CloudFormation makes of it are cut if it is longer, and teardown finds all by it.
    if not re.fullmatch(r"sluice-try-[a-z0-9-]{1,13}", args.prefix):
        parser.error("--prefix: sluice-try- and up to 13 small letters, digits and hyphens")
    return args


def chosen(args):
    names = {step.__name__ for step in STEPS}
    unknown = set(args.only or []) - names
    if unknown:
        sys.exit(f"--only {', '.join(sorted(unknown))}: there are {', '.join(sorted(names))}")
    return [step for step in STEPS if not args.only or step.__name__ in ("deploy", *args.only)]


def plan(args):
    """What will be done and what it will cost, as lines."""
    large = 8 if args.size >= 256 else 2
    costs = estimate(args.size * MIB, 2 * large + SMALL_SHARDS)
    lines = [f"In an hour at most, under the prefix {args.prefix}, {args.size} MiB:"]
    lines += [f"  {step.__name__:15} {step.__doc__.splitlines()[0]}" for step in chosen(args)]
    lines += ["  teardown        deletes all of it, and looks for what is left", "It costs about, in US dollars:"]
    lines += [f"  {dollars:6.2f}  {what}" for what, dollars in costs]
    return [*lines, f"  {sum(dollars for _, dollars in costs):6.2f}  in all (list prices of us-east-1, arithmetic)"]


def agreed(args, account):
    if args.yes:
        return True
    where = "the emulator"
    if not account.emulated:
        where = f"account {account.number}, {account.region}, as {account.identity['Arn']}"
    return input(f"Run this in {where}? [y/N] ").strip().lower() in ("y", "yes")


def steps(run, args, rows):
    """Adds rows of the report: step, result, seconds, what was seen."""
    for step in chosen(args):
        began, result = time.monotonic(), "passed"
        try:
            said = step(run)
        except LeftOut as why:
            result, said = "left out", str(why)
        except Exception as error:  # noqa: BLE001  (whatever it is, the others are tried, and all is taken down)
            result, said = "FAILED", f"{type(error).__name__}: {error}"
            traceback.print_exc()
        rows.append((step.__name__, result, time.monotonic() - began, said))
        print(f"  {rows[-1][2]:6.1f} s  {step.__name__}: {result}: {said}", flush=True)
        if step.__name__ == "deploy" and result == "FAILED":
            break


def report(args, account, rows, left, began):
    """The report's text."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    where = f"account …{account.number[-4:]}, {account.region}"
    if account.emulated:
        where = "an emulator (AWS_ENDPOINT_URL)"
    lines = [
        f"# Sluice in {where}, {began:%Y-%m-%d %H:%M} UTC",
        "",
        f"Commit {commit or 'unknown'}, {args.size} MiB, seed {args.seed}, prefix {args.prefix}.",
        "",
        "| step | result | seconds | seen |",
        "|---|---|---:|---|",
        *(f"| {name} | {result} | {seconds:.0f} | {in_a_cell(said)} |" for name, result, seconds, said in rows),
        "",
        f"Left behind: {in_a_cell('; '.join(left)) if left else 'nothing'}.",
        "",
        "```text",
        *plan(args),
        "```",
    ]
    return "\n".join(lines) + "\n"


def in_a_cell(text):
    return " ".join(str(text).split()).replace("|", "\\|")[:600]


def main():
    args = arguments()
    # So that what was begun is taken down.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if args.plan:
        print("\n".join(plan(args)))
        return 0
    if not args.region:
        sys.exit("no region: set AWS_REGION, or give --region")
    account = Account(args.region, args.prefix)
    if args.teardown:
        left = Teardown(account).all()
        print(f"left: {', '.join(left) or 'nothing'}")
        return 1 if left else 0
    if not (pathlib.Path(args.built) / "template.yaml").is_file():
        sys.exit(f"{args.built} has no template.yaml: run `sam build` first, or give --built")
    print("\n".join(plan(args)), flush=True)
    if not agreed(args, account):
        return 2
    began, rows, left = datetime.datetime.now(datetime.timezone.utc), [], []
    try:
        steps(Run(account, args), args, rows)
    finally:
        # Also where it is broken off: whatever is left costs.
        if args.keep:
            left = [f"all that begins with {args.prefix} (--keep); later: tests/aws/run --teardown {args.prefix}"]
        else:
            left = Teardown(account).all()
        path = pathlib.Path(args.report) / f"aws-{began:%Y-%m-%d-%H%M}.md"
        path.write_text(report(args, account, rows, left, began))
        print(f"left: {', '.join(left) or 'nothing'}\nreport: {path}", flush=True)
    failed = [name for name, result, _, _ in rows if result == "FAILED"]
    return 1 if failed or not rows or (left and not args.keep) else 0


if __name__ == "__main__":
    sys.exit(main())

"""What each transfer moved, from the logs alone: a watcher of somebody else's, with the rights of the role that only
reads. It imports nothing of ours and opens no manifest, object or record.

    python reporter.py --role ARN --log-group /sluice/sluice/functions

Two accounts of the same: an export's sealed objects added up, and the totals that settling and finishing say. They are
absolute, so the last line of a transfer holds, whatever was logged twice or lost before.
"""

import argparse
import dataclasses
import json

import boto3

TOTALS = ("settled", "finishing")
SEALED = "an object is sealed"
# Of FilterLogEvents.
LARGEST_PAGE = 10_000
PATTERN = " || ".join(f'($.message = "{message}")' for message in (SEALED, *TOTALS))


@dataclasses.dataclass
class Moved:
    """One transfer."""

    kind: str = ""
    state: str = ""
    events: int = 0
    bytes: int = 0
    objects: int = 0
    gaps: int = 0
    # What one line said of each sealed object, by shard and number: it may be sealed again after a crash.
    sealed: dict = dataclasses.field(default_factory=dict)

    def sum_of_sealed(self):
        lines = self.sealed.values()
        return sum(line["events"] for line in lines), sum(line["bytes"] for line in lines), len(lines)


def lines_of(logs, group):
    """The lines that matter, in the order of the functions' clocks."""
    lines, asked = [], {"logGroupName": group, "filterPattern": "{ " + PATTERN + " }"}
    while True:
        page = logs.filter_log_events(**asked)
        lines += filter(None, (wanted(event["message"]) for event in page["events"]))
        if page.get("nextToken"):
            asked["nextToken"] = page["nextToken"]
        elif len(page["events"]) < LARGEST_PAGE or page["events"][-1]["timestamp"] == asked.get("startTime"):
            return sorted(lines, key=lambda line: line["timestamp"])
        else:
            # An emulator has no tokens. What is read twice is the same.
            asked["startTime"] = page["events"][-1]["timestamp"]


def wanted(message):
    """A line that matters; an emulator takes no patterns, and hands out lines of Lambda itself, too."""
    if not message.startswith("{"):
        return None
    line = json.loads(message)
    return line if line.get("message") in (SEALED, *TOTALS) else None


def rebuild(lines):
    """Each transfer, by its id."""
    transfers = {}
    for line in lines:
        moved = transfers.setdefault(line["transfer"], Moved())
        if line["message"] == SEALED:
            moved.sealed[(line["shard"], line["object"])] = line
            continue
        for name in ("kind", "state", "events", "bytes", "objects", "gaps"):
            setattr(moved, name, line[name])
    return transfers


def assume(sts, role, **where):
    """A session with the role's rights, and no others."""
    keys = sts.assume_role(RoleArn=role, RoleSessionName="sluice-reporter")["Credentials"]
    return boto3.Session(
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
        **where,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--role", required=True, help="the output ReaderRoleArn of infra/monitoring.yaml")
    parser.add_argument("--log-group", required=True, help="the output FunctionsLogGroupName of infra/template.yaml")
    args = parser.parse_args()
    session = assume(boto3.client("sts"), args.role)
    for identity, moved in sorted(rebuild(lines_of(session.client("logs"), args.log_group)).items()):
        said = f"{moved.events} events, {moved.bytes} bytes, {moved.objects} objects, {moved.gaps} gaps"
        print(f"{identity}: {moved.kind} {moved.state}, {said}")


if __name__ == "__main__":
    main()

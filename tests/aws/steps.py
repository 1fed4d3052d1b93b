"""What is tried, one step after the other. Each answers a sentence for the report, or raises what is wrong; one that
cannot be tried on an emulator says so."""

import json
import random
import time

from account import ROOT, Deployed, Shards

import reporter
import yaml
from cloud import check, until
from watching import outputs_of

MIB = 1 << 20
RECORD = 32 * 1024
# Events that wait for each other have the same key, and of a key one is in flight at a time.
KEYS = 4096
# MiB. At the slow rate they take longer than two slices.
SMALL = 48


class LeftOut(Exception):
    """What cannot be tried here, and why."""


class Run:
    """What the steps share."""

    def __init__(self, account, args):
        self.account, self.args = account, args
        self.random = random.Random(args.seed)
        # Bytes of the large transfer, and of each small one.
        self.size, self.small = args.size * MIB, min(args.size, SMALL) * MIB
        self.shards = 8 if self.size >= 256 * MIB else 2
        self.stack = None

    def records(self, total, keys=KEYS):
        for number in range(total // RECORD):
            yield f"key-{number % keys}", self.random.randbytes(RECORD)

    def export(self, stream, bucket, identity, **more):
        return {"export": {"stream": stream.uri, "to": f"s3://{bucket}/exports", "id": identity, **more}}

    def restore(self, identity, bucket, stream, back):
        source = f"s3://{bucket}/exports/{identity}/manifest.json"
        return {"import": {"source": source, "stream": stream.uri, "id": back}}

    def slow(self):
        """Options of an export that has a middle."""
        return {"rate": "1MB/s", "partSize": "5MiB", "objectSize": "64MiB"}

    def begun(self, what):
        """A slow export that has an upload open: stream, bucket, id, execution."""
        source, bucket = Shards(self.account, f"{what}-source", 1), self.stack.bucket(self.account.named(what))
        source.put(self.records(self.small))
        execution = self.stack.start(self.export(source, bucket, what, **self.slow()))
        until("an open upload", lambda: self.stack.open_uploads(bucket) or ended(execution), patience=600)
        return source, bucket, execution


def ended(execution):
    described = execution.describe()
    check(described["status"] == "RUNNING", f"it ended before its middle: {described}")


def completed(report, counts):
    check(report["state"] == "COMPLETED" and report["error"] is None, f"{report}")
    check([report["events"], report["bytes"]] == counts, f"{counts} were put, the report says {report}")


def proved(run, identity):
    verification = run.stack.run({"verify": identity})["verification"]
    check(verification["verdict"] == "PROVED" and not verification["findings"], f"{identity}: {verification}")


def deploy(run):
    """The stack, and the one that watches it."""
    began = time.monotonic()
    run.stack = Deployed(run.account, run.args.built, dict(pair.split("=", 1) for pair in run.args.parameter))
    said = f"the stack in {time.monotonic() - began:.0f} s"
    if run.account.emulated:
        return f"{said}; the one that watches it is left out: the emulator knows neither its queries nor all its alarms"
    formation, name = run.stack.formation, run.account.named("watch")
    text = (ROOT / "infra" / "monitoring.yaml").read_text()
    known = yaml.safe_load(text.split("\nRules:")[0])["Parameters"]
    given = {key: value for key, value in run.stack.outputs.items() if key in known}
    given["Readers"] = f"arn:{run.account.partition}:iam::{run.account.number}:root"
    parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()]
    formation.create_stack(StackName=name, TemplateBody=text, Parameters=parameters, Capabilities=["CAPABILITY_IAM"])
    formation.get_waiter("stack_create_complete").wait(StackName=name)
    return f"{said}, and the one that watches it"


def there_and_back(run):
    """Everything to objects and back into a stream: proved by Sluice, and compared key by key by boto3."""
    source, copy = Shards(run.account, "source", run.shards), Shards(run.account, "copy", run.shards)
    bucket = run.stack.bucket(run.account.named("archive"))
    began = time.monotonic()
    source.put_side_by_side(run.records(run.size))
    said = [f"put at {rate(run.size, began)}"]
    counts = [run.size // RECORD, run.size // RECORD * RECORD]
    for what, asked in (
        ("export", run.export(source, bucket, "large")),
        ("import", run.restore("large", bucket, copy, "large-back")),
    ):
        began = time.monotonic()
        completed(run.stack.run(asked), counts)
        said.append(f"{what} at {rate(run.size, began)}")
    for identity in ("large", "large-back"):
        proved(run, identity)
    (there, read), (back, read_back) = source.digests(), copy.digests()
    check(read == read_back == counts, f"{counts} were put, {read} are there, {read_back} came back")
    check(there == back, "the copy is not the source")
    return f"{counts[0]} events of {run.size // MIB} MiB: {', '.join(said)}; both proved; equal as boto3 reads them"


def rate(size, began):
    return f"{size / 1e6 / (time.monotonic() - began):.1f} MB/s"


def stopped(run):
    """StopExecution in the middle: the stack's rule brings the transfer to rest, and resume ends it."""
    source, bucket, execution = run.begun("stopped")
    run.stack.states.stop_execution(executionArn=execution.arn, error="Tried", cause="tests/aws stops it")
    began = time.monotonic()
    until("rest", lambda: state(run, "stopped") == "PAUSED", patience=1200, pause=1)
    check(not run.stack.open_uploads(bucket), f"uploads are open: {run.stack.open_uploads(bucket)}")
    waited = time.monotonic() - began
    completed(run.stack.run({"resume": "stopped"}), source.digests()[1])
    proved(run, "stopped")
    return f"at rest after {waited:.0f} s, nothing open, then resumed and proved"


def forgotten(run):
    """StopExecution of which nobody is told: the sweep brings the transfer to rest, and resume ends it."""
    events, rule = run.account.client("events"), run.stack.function("Stopped")
    events.disable_rule(Name=rule)
    try:
        source, bucket, execution = run.begun("forgotten")
        run.stack.states.stop_execution(executionArn=execution.arn, error="Tried", cause="tests/aws stops it")
        began = time.monotonic()
        if run.account.emulated:
            # Its clock starts nothing.
            run.stack.invoke("SweepFunction", {})
        until("rest", lambda: state(run, "forgotten") == "PAUSED", patience=1800, pause=1)
        waited = time.monotonic() - began
    finally:
        events.enable_rule(Name=rule)
    check(not run.stack.open_uploads(bucket), f"uploads are open: {run.stack.open_uploads(bucket)}")
    completed(run.stack.run({"resume": "forgotten"}), source.digests()[1])
    proved(run, "forgotten")
    return f"found and at rest after {waited:.0f} s, then resumed and proved"


def arrives(run):
    """Objects that arrive, by EventBridge, become an import of their own, each once."""
    target, bucket = Shards(run.account, "arrives-target", 1), run.stack.bucket(run.account.named("arrives"))
    run.stack.s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    rule = {"name": "arrives", "on": {"bucket": bucket, "prefix": "in/"}, "gather": 10}
    rule["import"] = {"stream": target.uri, "format": "lines"}
    run.stack.run({"rule": rule})
    for number in range(20):
        run.stack.s3.put_object(Bucket=bucket, Key=f"in/{number:02}.txt", Body=f"line {number}\n".encode())
    began = time.monotonic()

    def all_there():
        (found,) = [one for one in run.stack.run({"rules": {}})["rules"] if one["name"] == "arrives"]
        return found if found["taken"] == 20 and found["execution"] is None else None

    found = until("all objects", all_there, patience=900, pause=5)
    (records,) = target.read().values()
    check(sorted(record.data for record in records) == sorted(f"line {n}".encode() for n in range(20)), f"{records}")
    run.stack.run({"removeRule": "arrives"})
    return f"20 objects in {found['runs']} imports, {time.monotonic() - began:.0f} s behind the last one"


def state(run, identity):
    return run.stack.transfer(identity)["state"]


def throttled(run):
    """No concurrency at all for a while: nothing fails, and it goes on."""
    source, _, execution = run.begun("throttled")
    function = run.stack.function("ExportFunction")
    seconds = 15 if run.account.emulated else 60
    run.stack.functions.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
    try:
        time.sleep(seconds)
    finally:
        run.stack.functions.delete_function_concurrency(FunctionName=function)
    completed(execution.output(), source.digests()[1])
    proved(run, "throttled")
    return f"no concurrency for {seconds} s, completed and proved"


def split(run):
    """A source that is split between its records, and an import of it."""
    if run.account.emulated:
        raise LeftOut("the emulator deletes a shard that is split, with its records")
    source, copy = Shards(run.account, "split-source", 1), Shards(run.account, "split-copy", 2)
    bucket = run.stack.bucket(run.account.named("split"))
    source.put(run.records(run.small // 2))
    (shard,) = source.kinesis.list_shards(StreamName=source.name)["Shards"]
    middle = str(int(shard["HashKeyRange"]["EndingHashKey"]) // 2)
    source.kinesis.split_shard(StreamName=source.name, ShardToSplit=shard["ShardId"], NewStartingHashKey=middle)
    until("the split", source.is_active, patience=300)
    source.put(run.records(run.small // 2))
    counts = source.digests()[1]
    completed(run.stack.run(run.export(source, bucket, "split")), counts)
    completed(run.stack.run(run.restore("split", bucket, copy, "split-back")), counts)
    proved(run, "split-back")
    check(source.digests()[0] == copy.digests()[0], "the copy is not the source: keys are not in their order")
    return f"{counts[0]} events of a shard and its two children, in the order of their keys"


def denied(run):
    """IAM itself denies writing, in the middle: the transfer says so, and goes on once it may."""
    if run.account.emulated:
        raise LeftOut("the emulator checks no rights")
    source, bucket, execution = run.begun("denied")
    function = run.stack.functions.get_function_configuration(FunctionName=run.stack.function("ExportFunction"))
    role = function["Role"].rpartition("/")[2]
    iam, resource = run.account.client("iam"), run.account.object_arn(f"{bucket}/*")
    statement = {"Effect": "Deny", "Action": "s3:PutObject", "Resource": resource}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName=role, PolicyName="tried", PolicyDocument=document)
    try:
        execution.refused("Denied", bucket)
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="tried")
    # Rights take a while to be everywhere.
    time.sleep(30)
    completed(run.stack.run({"resume": "denied"}), source.digests()[1])
    proved(run, "denied")
    return "failed as Denied, named the bucket; resumed once allowed, and proved"


def outside(run):
    """A stream that is in no list is refused before anything is done."""
    asked = {"export": {"stream": "kinesis:nobodys", "to": f"s3://{run.account.named('archive')}/exports"}}
    run.stack.start(asked).refused("Denied", "nobodys")
    return "refused as Denied"


def idle(run):
    """A shard without a record: the export does not wait for one."""
    source, bucket = Shards(run.account, "idle-source", 2), run.stack.bucket(run.account.named("idle"))
    shards = source.kinesis.list_shards(StreamName=source.name)["Shards"]
    first = shards[0]["HashKeyRange"]["StartingHashKey"]
    for number in range(100):
        source.kinesis.put_record(
            StreamName=source.name, PartitionKey=f"key-{number}", Data=b"x" * 1000, ExplicitHashKey=first
        )
    began = time.monotonic()
    completed(run.stack.run(run.export(source, bucket, "idle")), [100, 100_000])
    return f"100 events beside an idle shard in {time.monotonic() - began:.0f} s"


def watched(run):
    """The logs alone, read with the role that only reads, hold the totals of all transfers."""
    group = run.stack.outputs["FunctionsLogGroupName"]
    session = run.account.session
    if not run.account.emulated:
        role = outputs_of(run.stack.formation, run.account.named("watch"))["ReaderRoleArn"]
        session = until("the role", lambda: assumed(run, role), patience=60, pause=5)
    transfers, wrong = {}, []

    def all_there():
        # Logs arrive a little later.
        nonlocal transfers, wrong
        transfers = reporter.rebuild(reporter.lines_of(run.account.client("logs", session), group))
        wrong = [found for found in map(lambda pair: differs(run, *pair), transfers.items()) if found]
        return transfers and not wrong

    try:
        until("all lines", all_there, patience=10 if run.account.emulated else 180, pause=5)
    except Exception as late:
        raise AssertionError(f"the logs differ: {wrong}") from late
    return f"the logs of {len(transfers)} transfers come to what their records say"


def assumed(run, role):
    try:
        return reporter.assume(run.account.client("sts"), role)
    except run.account.client("sts").exceptions.ClientError:
        return None


def differs(run, identity, moved):
    record = run.stack.transfer(identity)
    there = [record["totals"]["moved"]["events"], record["totals"]["moved"]["bytes"]]
    return None if there == [moved.events, moved.bytes] else f"{identity}: {there}, {moved.events}, {moved.bytes}"


# In their order; the first line of each doc is what --plan says.
STEPS = [deploy, there_and_back, idle, stopped, forgotten, throttled, arrives, split, denied, outside, watched]

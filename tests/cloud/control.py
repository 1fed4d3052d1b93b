"""Transfers that are paused, stopped, cancelled and asked about, by the inputs that a person types at the console."""

import json

from cloud import PREFIX, check, until
from transfers import completed, nothing_open, same_as_fastavro
from world import MIB, arn, export, manifest, restore

# So slow that there is a middle: 32 MiB take 16 s, longer than a slice, which sees a pause at its beginning at last.
SLOW = {"rate": "2MB/s", "partSize": "5MiB", "objectSize": "64MiB"}


def slow_export(world, identity, total=32 * MIB, shards=1):
    """Starts one and waits until it has an upload open; answers stream, bucket and execution."""
    source, bucket = world.filled("source", shards, world.mixed(total)), world.bucket()
    execution = world.stack.start(export(source, bucket, id=identity, **SLOW))
    halfway(world, bucket, execution)
    return source, bucket, execution


def halfway(world, bucket, execution):
    """Waits until an execution's transfer has an upload open."""
    until("an open upload", lambda: world.stack.open_uploads(bucket, PREFIX) or ended_early(execution))


def ended_early(execution):
    described = execution.describe()
    check(described["status"] == "RUNNING", f"it ended before its middle: {described}")


def pause_and_resume(world):
    """A pause in the middle leaves nothing open, and what comes after it joins without a seam."""
    out = world.identity("out")
    source, bucket, first = slow_export(world, out)
    paused = world.stack.run({"pause": out})
    check(paused["state"] == "PAUSED" and paused["error"] is None, f"the pausing execution ends with {paused}")
    check(first.output()["state"] == "PAUSED", "the paused execution ends with something else")
    check(0 < paused["progress"] < 1 and 0 < paused["events"], f"not in the middle: {paused}")
    nothing_open(world, bucket)
    resumed = world.stack.run({"resume": out})
    completed(resumed, out, source)
    check(resumed["slices"] > paused["slices"], "resuming took no slice")
    nothing_open(world, bucket)
    same_as_fastavro(world, bucket, out, source)
    return f"paused at {paused['progress']:.0%}"


def pause_of_an_import(world):
    """The same of an import: no record is written twice, none is left out."""
    out, back = world.identity("out"), world.identity("in")
    source, bucket, target = world.filled("source", 2, world.mixed(12 * MIB)), world.bucket(), world.stream("copy", 2)
    world.stack.run(export(source, bucket, id=out))
    first = world.stack.start(restore(manifest(bucket, out), target, id=back, rate="1MB/s"))
    until("a record in the copy", lambda: target.by_key() or ended_early(first))
    paused = world.stack.run({"pause": back})
    check(paused["state"] == first.output()["state"] == "PAUSED", f"the pausing execution ends with {paused}")
    completed(world.stack.run({"resume": back}), back, target)
    check(target.by_key() == source.by_key(), "the copy is not the source")
    return f"paused at {paused['progress']:.0%}"


def goes_on_under_another_spelling(world):
    """The same id with the same request, its stream spelt otherwise, goes on with the same transfer."""
    out = world.identity("out")
    source, bucket, _ = slow_export(world, out)
    world.stack.run({"pause": out})
    spelt = [f"kinesis://{source.name}", arn(source), f"kinesis:{arn(source)}"]
    again = world.stack.run(export(spelt[0], bucket, id=out, **SLOW))
    completed(again, out, source)
    for spelling in spelt[1:]:
        told = world.stack.run(export(spelling, bucket, id=out, **SLOW))
        check(told == again, f"{spelling} does not mean the same: {told}")


def cancel_in_the_middle(world):
    """A cancelled export leaves nothing open and cannot be resumed."""
    out = world.identity("out")
    source, bucket, first = slow_export(world, out)
    told = world.stack.run({"cancel": out})
    check(told["state"] == "CANCELLED" and told["manifest"] is None, f"the cancelling execution ends with {told}")
    check(first.output()["state"] == "CANCELLED", "the cancelled execution ends with something else")
    nothing_open(world, bucket)
    world.stack.start({"resume": out}).refused("IllegalState", out, "CANCELLED")


def cancel_of_an_import(world):
    """A cancelled import gives its target back: another one may have it."""
    out, back, other = (world.identity(what) for what in ("out", "in", "other"))
    source, bucket, target = world.filled("source", 1, world.mixed(8 * MIB)), world.bucket(), world.stream("copy")
    world.stack.run(export(source, bucket, id=out))
    first = world.stack.start(restore(manifest(bucket, out), target, id=back, rate="1MB/s"))
    until("a record in the copy", lambda: target.by_key() or ended_early(first))
    told = world.stack.run({"cancel": back})
    check(told["state"] == first.output()["state"] == "CANCELLED", f"the cancelling execution ends with {told}")
    behind = world.stack.run(restore(manifest(bucket, out), target, id=other, append=True))
    check(behind["state"] == "COMPLETED", f"the target is not free: {behind}")


def cancel_behind_objects(world):
    """A cancelled export lists the objects that are complete, under a name of its own."""
    out = world.identity("out")
    source, bucket = world.filled("source", 1, world.mixed(48 * MIB)), world.bucket()
    sizes = {"rate": "8MB/s", "partSize": "5MiB", "objectSize": "27MiB"}
    first = world.stack.start(export(source, bucket, id=out, **sizes))
    has_object = lambda: [key for key in world.stack.keys(bucket, PREFIX) if "/data/" in key]  # noqa: E731
    until("a complete object", lambda: has_object() or ended_early(first))
    told = world.stack.run({"cancel": out})
    check(told["state"] == first.output()["state"] == "CANCELLED", f"the cancelling execution ends with {told}")
    check(told["manifest"] and told["manifest"].endswith("cancelled.json"), f"it lists nothing: {told}")
    check(has_object(), "what was complete is gone")
    nothing_open(world, bucket)


def upload_that_nobody_remembers(world):
    """What a function left that died between beginning an upload and recording it: the end aborts it."""
    out = world.identity("out")
    source, bucket, first = slow_export(world, out, 16 * MIB)
    world.stack.s3.create_multipart_upload(Bucket=bucket, Key=f"{PREFIX}/{out}/data/shard=0/99999999-0.avro")
    completed(first.output(), out, source)
    nothing_open(world, bucket)


def describe_and_verify(world):
    """What is asked after the end: the transfer as it ended, and its proof; damage is found."""
    out, back = world.identity("out"), world.identity("in")
    source, bucket, target = world.filled("source", 2, world.mixed(2 * MIB)), world.bucket(), world.stream("copy", 2)
    ended = world.stack.run(export(source, bucket, id=out))
    check(world.stack.run({"describe": out}) == ended, "described otherwise than it ended")
    world.stack.run(restore(f"s3://{bucket}/{manifest(bucket, out).split('/', 3)[3]}", target, id=back))
    for identity in (out, back):
        told = world.stack.run({"verify": identity})["verification"]
        check(told["verdict"] == "PROVED" and told["findings"] == [], f"{identity}: {told}")
        check(told["counts"] == {"events": ended["events"], "bytes": ended["bytes"]}, f"{identity}: {told}")
    key = next(key for key in world.stack.keys(bucket) if "/data/" in key)
    body = bytearray(world.stack.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    body[len(body) // 2] ^= 1
    world.stack.s3.put_object(Bucket=bucket, Key=key, Body=bytes(body))
    world.stack.start({"verify": out}).refused("VerificationFailed", key.rpartition("/")[2])


def stopped_from_outside(world):
    """StopExecution in the middle: the stack's own rule brings the transfer to rest, and it can be resumed."""
    out = world.identity("out")
    source, bucket, first = slow_export(world, out)
    world.stack.states.stop_execution(executionArn=first.arn, error="Tired", cause="somebody stopped it")
    follower = until("an execution of the rule", lambda: by_the_rule(world, first))
    rested = follower.output()
    check(rested["state"] == "PAUSED" and rested["error"]["code"] == "ExecutionStopped", f"at rest: {rested}")
    check(first.arn in rested["error"]["message"], f"the message names no execution: {rested}")
    nothing_open(world, bucket)
    resumed = world.stack.run({"resume": out})
    completed(resumed, out, source)
    same_as_fastavro(world, bucket, out, source)
    return f"stopped at {rested['progress']:.0%}"


def by_the_rule(world, stopped):
    """The execution that the template's rule starts of one that was stopped, by what its input says."""
    for execution in world.stack.executions():
        asked = json.loads(execution.describe()["input"])
        if asked.get("stopped", {}).get("executionArn") == stopped.arn:
            return execution
    return None


def stopped_at_rest(world):
    """The rule says nothing new of an execution whose transfer is through, or run by another."""
    out = world.identity("out")
    source, bucket, first = slow_export(world, out, 48 * MIB)
    world.stack.run({"pause": out})
    second = world.stack.start({"resume": out})
    halfway(world, bucket, second)
    late = {"executionArn": first.arn, "name": "x", "status": "TIMED_OUT", "input": json.dumps({"resume": out})}
    check(world.stack.run({"stopped": late}) is None, "something is said of a stop that is no news")
    # Nor does it begin a second time: who asks again is shown the transfer.
    for asked in ({"describe": out}, export(source, bucket, id=out, **SLOW)):
        told = world.stack.run(asked)
        check(told["state"] == "TRANSFERRING" and told["error"] is None, f"it changes: {told}")
    completed(second.output(), out, source)

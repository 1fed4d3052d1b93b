"""What a stack lives through: events that are lost, calls that are throttled, an update under running transfers."""

import os
import time

from cloud import SLICE_SECONDS, check, until
from control import SLOW, halfway, slow_export
from transfers import completed, nothing_open, same_as_fastavro
from world import MIB, export, manifest, restore

# How long no function can be called; more by hand, since nobody waits for ten minutes at each run.
THROTTLED_SECONDS = int(os.environ.get("SLUICE_TEST_THROTTLED_SECONDS", "20"))


def stopped_and_nobody_told(world):
    """StopExecution whose event is lost: the sweep brings the transfer to rest, and it can be resumed."""
    out = world.identity("out")
    events, rule = world.cloud.client("events"), world.stack.function("Stopped")
    events.disable_rule(Name=rule)
    try:
        source, bucket, first = slow_export(world, out)
        check(world.stack.invoke("SweepFunction", {})["lost"] == 0, "an execution that runs is lost")
        world.stack.states.stop_execution(executionArn=first.arn)
        swept = world.stack.invoke("SweepFunction", {})
        check((swept["lost"], swept["started"]) == (1, 1), f"the sweep did not find it: {swept}")
        again = world.stack.invoke("SweepFunction", {})
        check(again["started"] == 0, f"two executions settle it: {again}")
        rested = lambda: world.stack.transfer(out)["state"] == "PAUSED"  # noqa: E731
        until("the transfer at rest", rested)
    finally:
        events.enable_rule(Name=rule)
    failure = world.stack.transfer(out)["failure"]
    check(failure["code"] == "ExecutionStopped" and first.arn in failure["message"], f"it rests with {failure}")
    nothing_open(world, bucket)
    check(world.stack.invoke("SweepFunction", {})["active"] == 0, "something looks alive")
    resumed = world.stack.run({"resume": out})
    completed(resumed, out, source)
    same_as_fastavro(world, bucket, out, source)
    return "its execution " + first.describe()["status"]


def no_concurrency(world):
    """No function that moves events can be called for a while: the transfer waits, and then ends well."""
    out = world.identity("out")
    source, bucket, first = slow_export(world, out)
    name = world.stack.function("ExportFunction")
    world.stack.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    # The slice that runs goes on; the next one cannot begin.
    time.sleep(SLICE_SECONDS + THROTTLED_SECONDS)
    refused = [call for lane in first.lanes() for call in lane.calls() if call.error == "Lambda.TooManyRequestsException"]
    world.stack.functions.delete_function_concurrency(FunctionName=name)
    check(refused, "no call was throttled")
    completed(first.output(), out, source)
    nothing_open(world, bucket)
    same_as_fastavro(world, bucket, out, source)
    return f"{len(refused)} calls refused in {SLICE_SECONDS + THROTTLED_SECONDS} s"


def updated_in_the_middle(world):
    """The stack is updated under an export and an import, and rolled back under them: neither of them notices."""
    out, small, back = world.identity("out"), world.identity("small"), world.identity("in")
    other, target = world.filled("other", 2, world.mixed(12 * MIB)), world.stream("copy", 2)
    place = world.bucket("second")
    world.stack.run(export(other, place, id=small))
    source, bucket = world.filled("source", 1, world.mixed(48 * MIB)), world.bucket()
    exports = world.stack.start(export(source, bucket, id=out, **SLOW))
    imports = world.stack.start(restore(manifest(place, small), target, id=back, rate="500kB/s"))
    halfway(world, bucket, exports)
    until("a record in the copy", target.by_key)
    before = version(world)
    world.stack.update(SliceSeconds=SLICE_SECONDS - 3, SliceMemory=512, ReadShare=0.4)
    check(version(world) > before, "no newer version is called")
    halfway(world, bucket, exports)
    world.stack.update()
    check(exports.describe()["status"] == imports.describe()["status"] == "RUNNING", "both are through already")
    completed(exports.output(), out, source)
    completed(imports.output(), back, target)
    nothing_open(world, bucket)
    same_as_fastavro(world, bucket, out, source)
    check(target.by_key() == other.by_key(), "the copy is not the source")
    for identity in (out, back):
        told = world.stack.run({"verify": identity})["verification"]
        check(told["verdict"] == "PROVED", f"{identity}: {told}")
    return f"version {before} at the beginning, {version(world)} at the end"


def version(world):
    """The version of the exporting function that is called."""
    name = world.stack.function("ExportFunction")
    return int(world.stack.functions.get_alias(FunctionName=name, Name="live")["FunctionVersion"])

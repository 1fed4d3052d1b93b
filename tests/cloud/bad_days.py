"""What a stack lives through: events that are lost, calls that are throttled, an update under running transfers."""

import io
import os
import time
import zipfile

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


# What stands in for a function that cannot be called: the emulator calls functions whatever their concurrency is. The
# workflow sees the error under the name that Lambda's refusal has.
REFUSES = """#!/usr/bin/env python3
import json, os, urllib.request
api = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"
error = {"errorType": "Lambda.TooManyRequestsException", "errorMessage": "Rate exceeded"}
while True:
    with urllib.request.urlopen(f"{api}/next") as event:
        invocation = event.headers["Lambda-Runtime-Aws-Request-Id"]
    kind = {"Lambda-Runtime-Function-Error-Type": error["errorType"]}
    body = json.dumps(error).encode()
    urllib.request.urlopen(urllib.request.Request(f"{api}/{invocation}/error", data=body, headers=kind)).close()
"""


def refusing(world, logical):
    """Puts that in a function's place; answers how it comes back."""
    functions, name = world.stack.functions, world.stack.function(logical)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        bootstrap = zipfile.ZipInfo("bootstrap")
        bootstrap.external_attr = 0o755 << 16
        archive.writestr(bootstrap, REFUSES)
    before = functions.get_alias(FunctionName=name, Name="live")["FunctionVersion"]
    functions.update_function_code(FunctionName=name, ZipFile=packed.getvalue())
    refuses = functions.publish_version(FunctionName=name)["Version"]
    functions.update_alias(FunctionName=name, Name="live", FunctionVersion=refuses)
    return lambda: functions.update_alias(FunctionName=name, Name="live", FunctionVersion=before)


def calls_are_throttled(world):
    """The function that moves events cannot be called for a while: the transfer waits, and then ends well."""
    out = world.identity("out")
    source, bucket, first = slow_export(world, out)
    back = refusing(world, "ExportFunction")
    try:
        # The slice that runs goes on; the next one cannot begin.
        time.sleep(SLICE_SECONDS + THROTTLED_SECONDS)
        calls = [call for lane in first.lanes() for call in lane.calls()]
        refused = [call for call in calls if call.error == "Lambda.TooManyRequestsException"]
        check(refused, f"no call was throttled: {[call.error for call in calls]}")
        check(first.describe()["status"] == "RUNNING", f"it ended: {first.describe()}")
    finally:
        back()
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
    # Once both are under way they are as good as stopped, so that an update may take its time.
    exports = world.stack.start(export(source, bucket, id=out, **SLOW))
    imports = world.stack.start(restore(manifest(place, small), target, id=back, rate="100kB/s"))
    halfway(world, bucket, exports)
    world.stack.run({"rate": {"id": out, "rate": "20kB/s"}})
    until("a record in the copy", target.by_key)
    world.stack.run({"rate": {"id": back, "rate": "20kB/s"}})
    before = version(world)
    world.stack.update(SliceSeconds=SLICE_SECONDS - 3, SliceMemory=512, ReadShare=0.4)
    check(version(world) > before, "no newer version is called")
    world.stack.update()
    check(exports.describe()["status"] == imports.describe()["status"] == "RUNNING", "they are through already")
    for identity in (out, back):
        world.stack.run({"rate": {"id": identity, "rate": None}})
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

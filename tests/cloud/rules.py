"""Rules: objects that arrive start imports by themselves, each once and in order."""

import collections
import concurrent.futures
import json
import random

from cloud import PREFIX, check, until
from world import export

# Objects that arrive together, and lines in each.
OBJECTS, LINES = 100, 3
SUFFIX = ".lines"
# Seconds that a rule gathers objects in these scenarios.
GATHER = 3


def make(world, name, bucket, target, **more):
    on = {"bucket": bucket, "prefix": f"{PREFIX}/", "suffix": SUFFIX}
    rule = {"name": name, "on": on, "import": {"stream": target.uri, "format": "lines"}, "gather": GATHER, **more}
    made = world.stack.run({"rule": rule})["rule"]
    check(made["name"] == name and made["waiting"] == 0, f"the rule: {made}")
    again = world.stack.run({"rule": rule})["rule"]
    check(again["changedAt"] == made["changedAt"], f"the same rule again changes it: {again}")


def report(world, name):
    found = [rule for rule in world.stack.run({"rules": {}})["rules"] if rule["name"] == name]
    return found[0] if found else None


def told_by_eventbridge(world, bucket):
    """The bucket tells of its objects, as infra/README.md says."""
    configuration = {"EventBridgeConfiguration": {}}
    world.stack.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)


def notified(world, bucket, key, etag, sequencer, size, time):
    """Calls the function as S3 does: with a key that is encoded as in a form."""
    record = {
        **{"eventVersion": "2.6", "eventSource": "aws:s3", "awsRegion": "us-east-1", "eventTime": time},
        **{"eventName": "ObjectCreated:Put", "userIdentity": {"principalId": "A"}, "responseElements": {}},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "all",
            "bucket": {"name": bucket, "ownerIdentity": {"principalId": "A"}, "arn": f"arn:aws:s3:::{bucket}"},
            "object": {"key": key, "size": size, "eTag": etag, "sequencer": sequencer},
        },
    }
    return world.stack.invoke("TriggerFunction", {"Records": [record]})


def settled(world, name, runs):
    """The rule, once that many runs are at their end and nobody works for it."""

    def idle():
        rule = report(world, name)
        return rule if rule["runs"] >= runs and rule["execution"] is None and rule["run"] is None else None

    return until(f"the end of {runs} runs of {name}", idle)


def payloads(stream):
    """The data of all records of a stream of one shard, in order."""
    (records,) = stream.read().values()
    return [record.data for record in records]


def put(world, bucket, number):
    key, body = f"{PREFIX}/in put/{number:03}{SUFFIX}", "".join(f"{number}-{line}\n" for line in range(LINES))
    answer = world.stack.s3.put_object(Bucket=bucket, Key=key, Body=body.encode())
    return key, answer["ETag"].strip('"'), len(body)


def many_at_once(world):
    """A hundred objects that are told of at once, some of them twice: one import, each once, in the events' order."""
    name, bucket, target = world.named("at-once"), world.bucket(), world.stream("target")
    # The functions of this cloud take their time.
    make(world, name, bucket, target, gather=30)
    order = list(range(OBJECTS))
    told = [number for number in order for _ in range(2 if number % 5 == 0 else 1)]
    random.Random(world.name).shuffle(told)
    objects = {number: put(world, bucket, number) for number in order}

    def tell(number):
        key, etag, size = objects[number]
        # Ten of them have the same time, and stand by their keys.
        time = f"2026-11-30T03:00:{number // 10:02}.000Z"
        return notified(world, bucket, key.replace(" ", "+"), etag, f"{number:016X}", size, time)

    said = collections.Counter()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for answer in pool.map(tell, told):
            said.update({what: count for what, count in answer.items() if what != "launched"})
    check((said["waiting"], said["repeated"]) == (OBJECTS, len(told) - OBJECTS), f"the function says {said}")
    rule = settled(world, name, 1)
    check(rule["runs"] == 1, f"not one import: {rule}")
    expected = [f"{number}-{line}".encode() for number in order for line in range(LINES)]
    found = payloads(target)
    check(sorted(found) == sorted(expected), f"{len(found)} records arrived, {len(expected)} were told of")
    check(found == expected, "the records are in another order than the events")
    check((rule["taken"], rule["waiting"], rule["repeated"]) == (OBJECTS, 0, len(told) - OBJECTS), f"the rule: {rule}")
    again = objects[7]
    answer = notified(world, bucket, again[0].replace(" ", "+"), again[1], f"{7:016X}", again[2], "2026-11-30T03:00:00.000Z")
    check(answer["repeated"] == 1 and answer["waiting"] == 0, f"one that was taken is told of again: {answer}")
    return f"{len(told)} events, {rule['taken']} objects, {len(found)} records"


def told_by_the_bus(world):
    """A bucket that tells EventBridge: the rule on the default bus calls the function, and runs follow each other."""
    name, bucket, target = world.named("bus"), world.bucket(), world.stream("target")
    make(world, name, bucket, target, gather=0)
    told_by_eventbridge(world, bucket)
    for number in range(3):
        put(world, bucket, number)
        settled(world, name, number + 1)
    expected = [f"{number}-{line}".encode() for number in range(3) for line in range(LINES)]
    check(payloads(target) == expected, "the records are not those of the objects")


def an_export_arrives(world):
    """All objects of an export are told of: its root starts one import, and the others nothing. Never in a circle."""
    name, out, bucket = world.named("export"), world.identity("out"), world.bucket()
    source, target = world.filled("source", 1, world.even(50, 100)), world.stream("target")
    make(world, name, bucket, target)
    told_by_eventbridge(world, bucket)
    world.stack.run(export(source, bucket, id=out))
    rule = settled(world, name, 1)
    check(target.by_key() == source.by_key(), "the copy is not the source")
    check((rule["runs"], rule["taken"]) == (1, 1), f"the rule: {rule}")
    world.stack.run(export(target, bucket, id=f"{out}-back"))
    rule = until("a refusal", lambda: (rule := report(world, name)) and rule["refused"] and rule)
    check((rule["runs"], rule["waiting"]) == (1, 0), f"the target's own export is taken: {rule}")


def removed(world):
    """A rule that was removed takes nothing, and says what it gives up; its name goes on counting."""
    name, bucket, target = world.named("removed"), world.bucket(), world.stream("target")
    make(world, name, bucket, target, gather=60)
    key, etag, size = put(world, bucket, 1)
    notified(world, bucket, key.replace(" ", "+"), etag, "01", size, "2026-11-30T03:00:00.000Z")
    gone = world.stack.run({"removeRule": name})
    check(gone == {"removed": name, "waiting": 1, "run": None}, f"the removal says {gone}")
    check(report(world, name) is None, "the rule is still listed")
    answer = notified(world, bucket, key.replace(" ", "+"), etag, "02", size, "2026-11-30T03:00:01.000Z")
    check(answer["unasked"] == 1, f"an object behind the removal: {answer}")
    world.stack.start({"fire": name}).refused("NotFound", name)
    check(payloads(target) == [], "something was imported")


def a_run_dies(world):
    """An execution that is stopped in the middle of a run: the next object takes the rule up, and all arrive once."""
    name, bucket, target = world.named("dies"), world.bucket(), world.stream("target")
    make(world, name, bucket, target, gather=2)
    first = put(world, bucket, 1)
    notified(world, bucket, first[0].replace(" ", "+"), first[1], "01", first[2], "2026-11-30T03:00:00.000Z")

    def fired():
        found = [one for one in world.stack.executions() if json.loads(one.describe()["input"]).get("fire") == name]
        return found[0] if found else None

    execution = until("an execution", fired)
    world.stack.states.stop_execution(executionArn=execution.arn)
    execution.end()
    second = put(world, bucket, 2)
    notified(world, bucket, second[0].replace(" ", "+"), second[1], "02", second[2], "2026-11-30T03:00:01.000Z")
    rule = settled(world, name, 1)
    check(rule["taken"] == 2, f"the rule: {rule}")
    check(payloads(target) == [f"{number}-{line}".encode() for number in (1, 2) for line in range(LINES)], "not each once")


def a_run_fails(world):
    """A run that cannot be planned stops the rule with its error, is given up by hand, and the next one goes on."""
    name, bucket, target = world.named("fails"), world.bucket(), world.stream("target")
    more = {"import": {"stream": target.uri, "format": "jsonl", "payloadField": "p"}}
    make(world, name, bucket, target, gather=0, **more)
    key = f"{PREFIX}/bad{SUFFIX}"
    etag = world.stack.s3.put_object(Bucket=bucket, Key=key, Body=b"no json\n")["ETag"].strip('"')
    notified(world, bucket, key, etag, "01", 8, "2026-11-30T03:00:00.000Z")

    def stopped():
        rule = report(world, name)
        return rule if rule["run"] and rule["run"]["error"] and not rule["running"] else None

    run = until("an error", stopped)["run"]
    check(run["error"]["code"] == "ObjectUnreadable", f"the run: {run}")
    check(world.stack.run({"cancel": run["id"]}) == {"cancelled": run["id"]}, "it is not given up")
    world.stack.run({"fire": name})
    check(report(world, name)["waiting"] == 0, "it still waits")


def started_from_outside(world):
    """A rule that holds an export of a series: each start makes the next run."""
    name, bucket = world.named("out"), world.bucket()
    source = world.filled("source", 1, world.even(10, 100))
    starts = export(source, bucket, series=world.identity("series"))["export"]
    world.stack.run({"rule": {"name": name, "export": starts}})
    for number in (1, 2):
        last = world.stack.run({"fire": name})["rule"]["last"]
        check(last["state"] == "COMPLETED", f"start {number}: {last}")
    check(report(world, name)["runs"] == 2, "not a run for each start")

"""Aggregates as AWS's own library writes them (aws-kinesis-agg): an export counts them, and what it takes out of them is
what the same library takes out, event by event, in many slices. Imported again they are events like all others.
"""

import base64
import json
import random

import fastavro
from aws_kinesis_agg.aggregator import RecordAggregator
from aws_kinesis_agg.deaggregator import deaggregate_records

import exported
from events import of_sluice
from lib import check, scenario

SCHEMA = {
    "type": "record",
    "name": "Put",
    "fields": [{"name": "key", "type": "string"}, {"name": "data", "type": "bytes"}],
}
RECORDS = 400


def aggregate(chance, number):
    """Key and data of a record that holds up to 60 events."""
    records = RecordAggregator()
    for index in range(chance.randrange(1, 60)):
        # Hashes that producers choose, and keys of more than one byte a letter.
        chosen = str(chance.randrange(2**128)) if chance.randrange(4) == 0 else None
        records.add_user_record(f"käufer-{chance.randrange(9)}", b"%d.%d " % (number, index) * chance.randrange(9), chosen)
    key, _, data = records.clear_and_get().get_contents()
    return key, bytes(data)


def records(chance):
    for number in range(RECORDS):
        key, data = aggregate(chance, number)
        kind = chance.randrange(4)
        if kind == 0:
            yield f"plain-{number}", b"ordinary %d" % number
        elif kind == 1:
            # Of an aggregate that was damaged on its way nothing may be lost.
            at = chance.randrange(4, len(data))
            yield key, data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        else:
            yield key, data


def apart(key, data):
    """Keys and data of the events in a record, by the library, which says of each whether it came out of an aggregate."""
    record = {"kinesis": {"partitionKey": key, "sequenceNumber": "1", "data": base64.b64encode(data).decode()}}
    record["kinesis"] |= {"kinesisSchemaVersion": "1.0", "approximateArrivalTimestamp": 1.0}
    record |= dict.fromkeys(("eventSource", "eventVersion", "eventID", "eventName", "invokeIdentityArn"), "")
    record |= dict.fromkeys(("awsRegion", "eventSourceARN"), "")
    for event in deaggregate_records([record]):
        event = event["kinesis"]
        yield event["partitionKey"].encode(), base64.b64decode(event["data"]), event.get("aggregated", False)


def lines(root):
    for _, path, _ in exported.objects(root):
        for line in path.read_text().splitlines():
            yield of_sluice(json.loads(line))


def keyed(events):
    return [(event["key"], event["payload"]) for event in events]


def run(stage, args):
    """Aggregates."""
    chance = random.Random(args.seed)
    put = list(records(chance))
    with open(stage.folder / "put.avro", "wb") as file:
        fastavro.writer(file, SCHEMA, [{"key": key, "data": data} for key, data in put])
    fields = ["--format", "avro", "--payload-field", "data", "--key-field", "key"]
    stage.run("import", "dir:put.avro", "local:put", *fields)
    wanted = [list(apart(key, data)) for key, data in put]
    aggregates = sum(events[0][2] for events in wanted)
    events = [event[:2] for record in wanted for event in record]
    check(100 < aggregates < RECORDS and len(events) > 10 * RECORDS, f"{aggregates} aggregates of {len(events)} events")

    whole = stage.run("export", "local:put", "dir:whole", "--id", "whole", "--output", "json").json()
    inside = sum(len(record) for record in wanted if record[0][2])
    check(whole["aggregates"] == {"records": aggregates, "userRecords": inside}, f"counted: {whole['aggregates']}")
    status = stage.run("status", "whole").out.decode()
    check("--deaggregate" in status, f"the status does not name --deaggregate: {status}")

    words = ["--format", "jsonl", "--part-size", "20000", "--object-size", "60000", "--slice-events", "777"]
    done = stage.run("export", "local:put", "dir:apart", "--id", "apart", "--deaggregate", *words, "--output", "json").json()
    check(done["events"] == len(events) and done["slices"] > 5 and done["objects"] > 5, f"taken apart: {done}")
    found = list(lines(stage.folder / "apart" / "apart"))
    check(keyed(found) == events, "an export holds other events than the library takes out")
    numbers = [event["sequence"] for event in found]
    check(len(set(numbers)) == len(numbers), "two events have one number")
    print(f"  {aggregates} aggregates among {RECORDS} records: the same {len(events)} events", flush=True)

    stage.run("import", "dir:apart/apart", "local:again", "--id", "again", "--slice-events", "777")
    with stage.reading("local:again") as out:
        check(keyed(of_sluice(json.loads(line)) for line in out) == events, "what was imported again differs")
    for name in ("whole", "apart", "again"):
        verdict = stage.run("verify", name, "--output", "json").json()["verdict"]
        check(verdict == "PROVED", f"{name} is {verdict}")


if __name__ == "__main__":
    scenario(run, "aggregates")

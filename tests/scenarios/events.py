"""Events as one dictionary each, whoever read them."""

import base64
import datetime

from lib import check

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
ABSENT, NULL = "absent", "null"


def state(value, is_null):
    """A value of three states, from the two fields that the schema has for it."""
    check(not (is_null and value is not None), "bytes that are marked as null")
    if is_null:
        return NULL
    return ABSENT if value is None else value


def printed(record, name):
    """The same, as `sluice read` and lines of JSON have it."""
    if name + "Base64" in record:
        return base64.b64decode(record[name + "Base64"], validate=True)
    if name not in record:
        return ABSENT
    return NULL if record[name] is None else record[name].encode()


def micros(time):
    """Microseconds of an RFC 3339 time in UTC, with as many digits as it has."""
    whole, _, fraction = time.rstrip("Z").partition(".")
    seconds = datetime.datetime.fromisoformat(whole + "+00:00") - EPOCH
    return seconds // datetime.timedelta(microseconds=1) + int((fraction or "0").ljust(6, "0"))


def of_fastavro(event):
    return {
        "sequence": event["sequence"],
        "time": (event["time"] - EPOCH) // datetime.timedelta(microseconds=1),
        "key": state(event["key"], event["key_null"]),
        "headers": [(header["name"], state(header["value"], header["value_null"])) for header in event["headers"]],
        "payload": state(event["payload"], event["payload_null"]),
    }


def of_sluice(event):
    return {
        "sequence": event["sequence"],
        "time": micros(event["time"]),
        "key": printed(event, "key"),
        "headers": [(header["name"], printed(header, "value")) for header in event.get("headers", [])],
        "payload": printed(event, "payload"),
    }

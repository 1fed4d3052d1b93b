"""The reporter's own arithmetic: python -m unittest tests/cloud/test_reporter.py"""

import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import reporter  # noqa: E402  (the path to it has just been set)


def sealed(number, events, at):
    fields = {"shard": "0", "object": number, "events": events, "bytes": 10 * events, "size": 7}
    return {"timestamp": at, "transfer": "a", "message": reporter.SEALED, **fields}


def settled(state, events, at, message="settled"):
    totals = {"events": events, "bytes": 10 * events, "objects": 2, "gaps": 0}
    return {"timestamp": at, "transfer": "a", "message": message, "kind": "export", "state": state, **totals}


class Logs:
    """Hands out pages of lines, as FilterLogEvents does."""

    def __init__(self, pages):
        self.pages = pages

    def filter_log_events(self, nextToken="0", **_):
        page, more = int(nextToken), int(nextToken) + 1 < len(self.pages)
        events = [{"message": text, "timestamp": 0} for text in self.pages[page]]
        return {"events": events, **({"nextToken": str(page + 1)} if more else {})}


class Reporter(unittest.TestCase):
    def test_an_object_that_is_sealed_again_counts_once(self):
        moved = reporter.rebuild([sealed(0, 5, "1"), sealed(0, 5, "2"), sealed(1, 3, "3")])["a"]
        self.assertEqual(moved.sum_of_sealed(), (8, 80, 2))

    def test_the_last_line_holds_in_whatever_order_they_come(self):
        lines = [settled("COMPLETED", 8, "3", "finishing"), settled("TRANSFERRING", 5, "1"), sealed(0, 5, "2")]
        other = ["START RequestId: 1", json.dumps({"message": "metrics"})]
        pages = [[*other, json.dumps(lines[0])], [json.dumps(line) for line in lines[1:]]]
        moved = reporter.rebuild(reporter.lines_of(Logs(pages), "group"))["a"]
        self.assertEqual((moved.state, moved.events, moved.bytes), ("COMPLETED", 8, 80))
        self.assertEqual(moved.sum_of_sealed(), (5, 50, 1))


if __name__ == "__main__":
    unittest.main()

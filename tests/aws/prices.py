"""What a run costs: list prices of us-east-1 of November 2026 in US dollars, times what the steps use. Arithmetic."""

SHARD_HOUR = 0.015
PUT_UNIT = 0.014 / 1e6  # of 25 KiB
GB_SECOND = 0.0000166667
S3_PUT = 0.005 / 1e3
TABLE_WRITE = 0.625 / 1e6
TRANSITION = 0.025 / 1e3
OUT_OF_AWS = 0.09  # a GB that is read from outside
LOGS = 0.50  # a GB
# A month's price is paid by the hour: 30 metrics, 15 alarms, a dashboard.
WATCHING_HOUR = (30 * 0.30 + 15 * 0.10 + 3.00) / 730
PART = 8 << 20


def estimate(size, shards, hours=1.0):
    """Pairs of what and dollars, for so many bytes there and back and so many shards of all streams."""
    gib = size / (1 << 30)
    return [
        (f"{shards} shards of Kinesis for {hours:g} hour", shards * hours * SHARD_HOUR),
        ("records put, by this machine and by the import", 2 * size / 25_600 * PUT_UNIT),
        ("records read back by this machine, out of AWS", 2 * gib * OUT_OF_AWS),
        ("functions, 1 GB for as long as all lanes run", 1800 * GB_SECOND * max(gib, 0.1)),
        ("requests of S3", (size / PART + 200) * S3_PUT),
        ("writes of the table", (2 * size / PART * 3 + 500) * TABLE_WRITE),
        ("steps of the workflow", 2000 * TRANSITION),
        ("logs, and an hour of metrics, alarms and the dashboard", 0.02 * LOGS + hours * WATCHING_HOUR),
    ]

"""All scenarios of the deployed stack, one after the other, against one deployment."""

import argparse
import importlib.metadata
import os
import sys
import time

import bad_days
import control
import deployments
import dying
import older
import refusals
import rights
import rules
import series
import transfers
import watching
from cloud import ROOT, Cloud, Stack, check, working_in
from world import World


def every_request_names_the_owner(world):
    """Of all that the functions asked S3 for, in all scenarios before."""
    proxy = world.cloud.s3
    check(proxy.requests > 0, "the functions do not go through the proxy")
    check(not proxy.unguarded, f"requests without the owner: {proxy.unguarded[:5]}")
    return f"{proxy.requests} requests"


SCENARIOS = [
    transfers.round_trip_avro,
    transfers.round_trip_raw,
    transfers.range_by_numbers,
    transfers.range_by_times,
    transfers.several_lanes,
    transfers.tells_the_bus,
    transfers.makes_its_target,
    control.pause_and_resume,
    control.pause_of_an_import,
    control.goes_on_under_another_spelling,
    control.cancel_in_the_middle,
    control.cancel_of_an_import,
    control.cancel_behind_objects,
    control.upload_that_nobody_remembers,
    control.describe_and_verify,
    control.stopped_from_outside,
    control.stopped_at_rest,
    series.nightly,
    series.taken_by_another_host,
    bad_days.stopped_and_nobody_told,
    bad_days.updated_in_the_middle,
    # It leaves another code behind the alias, which an update would publish.
    bad_days.calls_are_throttled,
    rules.many_at_once,
    rules.told_by_the_bus,
    rules.an_export_arrives,
    rules.removed,
    rules.a_run_dies,
    rules.a_run_fails,
    rules.started_from_outside,
    dying.export_dies,
    dying.dies_with_its_execution,
    dying.import_dies,
    dying.two_slices_at_once,
    dying.slice_of_an_older_generation,
    older.resumes_what_the_version_before_left,
    refusals.second_import_into_a_stream,
    refusals.inputs_that_say_nothing,
    refusals.outside_of_the_lists,
    refusals.another_request_under_the_id,
    refusals.somebody_elses_bucket,
    # Of all that was moved in the scenarios before.
    watching.metrics_and_alarms,
    watching.logs_hold_all_totals,
    every_request_names_the_owner,
    rights.as_they_are_used,
]


def way(args):
    """How the stack is deployed, if not by `sam deploy`."""
    if args.cdk is not None:
        return deployments.by_construct(args.cdk)
    return deployments.by_module(args.sam) if args.module else None


def run(args, folder):
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("ministack", "boto3", "fastavro")]
    print(f"cloud: seed {args.seed}, {', '.join(versions)}, in {folder}", flush=True)
    failed = []
    with Cloud(folder) as cloud:
        began = time.monotonic()
        stack = Stack(cloud, args.sam, args.built, way(args))
        print(f"  {time.monotonic() - began:5.1f} s  deployed", flush=True)
        for scenario in SCENARIOS:
            name = scenario.__name__
            if args.only and name not in args.only:
                continue
            began = time.monotonic()
            said = ""
            try:
                world = World(name, cloud, stack, args.seed, folder)
                said = scenario(world) or ""
            except Exception as error:  # noqa: BLE001  (whatever it is, the others are run)
                failed.append(name)
                said = f"FAILED: {type(error).__name__}: {error}"
            print(f"  {time.monotonic() - began:5.1f} s  {name}{': ' if said else ''}{said}", flush=True)
    print("  left out: a trimmed source, since ministack drops no record that is younger than a day", flush=True)
    if failed:
        print(f"cloud FAILED: {', '.join(failed)}; again with --seed {args.seed}; {folder} has the logs", flush=True)
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sam", default="sam", help="the command of aws-sam-cli")
    parser.add_argument("--built", default=ROOT / ".aws-sam" / "build", help="the folder that `sam build` built into")
    parser.add_argument("--cdk", help="deploys the construct by the CDK: infra/cdk, compiled, with its packages")
    parser.add_argument("--module", action="store_true", help="deploys as the Terraform module has the provider do")
    parser.add_argument("--only", action="append", help="a scenario's name; can be given several times")
    parser.add_argument("--seed", type=int, help="repeats the random choices of a run; it prints them")
    parser.add_argument("--folder", help="where to work instead of the temporary folder")
    args = parser.parse_args()
    if args.seed is None:
        args.seed = int.from_bytes(os.urandom(4), "little")
    sys.exit(working_in("sluice-cloud-", args.folder, lambda folder: run(args, folder)))


if __name__ == "__main__":
    main()

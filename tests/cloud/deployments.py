"""Two more ways to deploy the stack than `sam deploy`: the construct of infra/cdk, by the CDK's own command, and what the
module of infra/terraform has the provider of AWS do. Each takes the cloud, what `sam build` built, a name and parameters.
"""

import functools
import hashlib
import json
import pathlib
import re
import subprocess

from lib import check

MODULE = pathlib.Path(__file__).resolve().parent.parent.parent / "infra" / "terraform"


def by_construct(folder):
    """Synthesises one stack and deploys it. `folder` is infra/cdk, compiled and with its packages."""
    return functools.partial(construct, pathlib.Path(folder).resolve())


def construct(folder, cloud, built, name, parameters):
    sets, assembly = cloud.folder / "sets.json", cloud.folder / "cdk.out"
    sets.write_text(json.dumps({name: {key: str(value) for key, value in parameters.items()}}))
    built = pathlib.Path(built).resolve()
    run(cloud, "node", folder / "dist/test/synth.js", "--sets", sets, "--built", built, "--out", assembly)
    cdk = (folder / "node_modules/.bin/cdk", "--app", assembly, "--no-notices")
    run(cloud, *cdk, "bootstrap")
    run(cloud, *cdk, "deploy", name, "--require-approval", "never", "--progress", "events")


def by_module(sam):
    """`sam package`, the template into the same bucket, and a stack of its URL with the capabilities of main.tf."""
    return functools.partial(module, sam)


def module(sam, cloud, built, name, parameters):
    bucket, packaged, s3 = "packages", cloud.folder / "packaged.yaml", cloud.client("s3")
    s3.create_bucket(Bucket=bucket)
    template = pathlib.Path(built).resolve() / "template.yaml"
    region = s3.meta.region_name
    where = ("--template-file", template, "--output-template-file", packaged, "--region", region)
    run(cloud, sam, "package", "--s3-bucket", bucket, *where)
    body = packaged.read_bytes()
    key = f"{name}/{hashlib.sha256(body).hexdigest()}.template"
    s3.put_object(Bucket=bucket, Key=key, Body=body)
    capabilities = re.search(r"capabilities\s*=\s*(\[.*\])", (MODULE / "main.tf").read_text())
    formation = cloud.client("cloudformation")
    formation.create_stack(
        StackName=name,
        TemplateURL=f"{cloud.url}/{bucket}/{key}",
        Capabilities=json.loads(capabilities[1]),
        Parameters=[{"ParameterKey": key, "ParameterValue": str(value)} for key, value in parameters.items()],
    )
    formation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})


def run(cloud, *line):
    done = subprocess.run(
        [str(word) for word in line],
        cwd=cloud.folder,
        env=dict(cloud.environment(), CDK_DISABLE_CLI_TELEMETRY="true", CI="true"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    name = " ".join(str(word) for word in line[:4])
    check(done.returncode == 0, f"{name}: {done.stdout[-3000:]}{done.stderr[-3000:]}")

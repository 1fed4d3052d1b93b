"""The stack as the construct of infra/cdk makes it, deployed by the CDK's own command."""

import json
import pathlib
import subprocess

from lib import check


def deploy(cloud, folder, built, name, parameters):
    """Synthesises and deploys one stack. `folder` is infra/cdk, compiled and with its packages."""
    folder, assembly = pathlib.Path(folder).resolve(), cloud.folder / "cdk.out"
    sets = cloud.folder / "sets.json"
    sets.write_text(json.dumps({name: {key: str(value) for key, value in parameters.items()}}))
    built = pathlib.Path(built).resolve()
    run(cloud, "node", folder / "dist/test/synth.js", "--sets", sets, "--built", built, "--out", assembly)
    cdk = (folder / "node_modules/.bin/cdk", "--app", assembly, "--no-notices")
    run(cloud, *cdk, "bootstrap")
    run(cloud, *cdk, "deploy", name, "--require-approval", "never", "--progress", "events")


def run(cloud, *line):
    done = subprocess.run(
        [str(word) for word in line],
        cwd=cloud.folder,
        env=dict(cloud.environment(), CDK_DISABLE_CLI_TELEMETRY="true", CI="true"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    name = " ".join(str(word) for word in line[:4])
    check(done.returncode == 0, f"{name}: {done.stdout[-3000:]}{done.stderr[-3000:]}")

"""Runs what the READMEs show: every block that is marked `sh`, in order, in a copy of the checkout.

A block that cannot run here is marked `sh no-run`; blocks of other kinds (`json`, `text`, none) are for reading. All
blocks of one file share a shell, so that a variable or a folder that one sets is there in the next, and the first
command that fails ends it. They find `sluice` and the tools of AWS on their path, and a cloud with nothing in it.
"""

import argparse
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE / "cloud"))

from cloud import Broken, Cloud, check, working_in  # noqa: E402  (the path to it has just been set)

FILES = ["README.md", "infra/README.md", "infra/local/README.md"]
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)
# All blocks of one file.
PATIENCE = 1200


def blocks(markdown):
    """Line number and text of each block that is to be run."""
    for found in FENCE.finditer(markdown):
        words = found["info"].split()
        if words[:1] == ["sh"] and "no-run" not in words:
            yield markdown.count("\n", 0, found.start()) + 1, found["text"]


def script(name, markdown):
    """One script of all blocks, which says where it is."""
    lines = ["set -euo pipefail"]
    for number, text in blocks(markdown):
        check("$ " not in {line[:2] for line in text.splitlines()}, f"{name}:{number}: a block to run has prompts")
        lines += [f"echo '== {name}:{number}'", text]
    return "\n".join(lines)


def copy_of_checkout(folder):
    """The files that git knows or would take, and what `sam build` made of them."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    shutil.copytree(ROOT / ".aws-sam" / "build", folder / ".aws-sam" / "build")


def run_blocks(name, folder, environment):
    """Answers the exit code of a file's blocks."""
    text = script(name, (ROOT / name).read_text())
    shell = subprocess.Popen(
        ["bash", "-c", text], cwd=folder, env=environment, stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        return shell.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        raise Broken(f"the blocks of {name} took more than {PATIENCE} seconds") from None
    finally:
        # With what it left in the background.
        try:
            os.killpg(shell.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        shell.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sluice", required=True, help="the built command")
    parser.add_argument("--folder", help="where to work instead of the temporary folder")
    args = parser.parse_args()

    def work(given):
        folder = pathlib.Path(given)
        checkout = folder / "sluice"
        copy_of_checkout(checkout)
        with Cloud(folder) as cloud:
            path = f"{pathlib.Path(args.sluice).resolve().parent}:{os.environ['PATH']}"
            environment = dict(cloud.environment(), PATH=path, AWS_PAGER="", SLUICE_HOME=str(folder / "home"))
            there = [name for name in FILES if (ROOT / name).exists() and any(blocks((ROOT / name).read_text()))]
            check(there, "no README has a block that is marked to be run")
            for name in there:
                code = run_blocks(name, checkout, environment)
                check(code == 0, f"the blocks of {name} end with exit code {code}; the last one is named above")
        return 0

    sys.exit(working_in("sluice-readme-", args.folder, work))


if __name__ == "__main__":
    main()

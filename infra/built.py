#!/usr/bin/env python3
"""Ties what `sam build` built to the processor that it was built for. To be run between `sam build` and `sam deploy`.

Reads the header of each built `bootstrap` (ELF, field e_machine), and leaves that processor as the only value of the
parameter Architecture in the built template. CloudFormation then refuses any other: functions that cannot run are not
deployed.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# ELF's numbers of processors, by Lambda's names.
MACHINES = {62: "x86_64", 183: "arm64"}
PARAMETER = re.compile(r"(?m)^  Architecture:\n(?:    .*\n)+")


def machine(path):
    """The processor that a program is for."""
    with open(path, "rb") as file:
        head = file.read(20)
    # 64 bits, little-endian: both of Lambda's processors are.
    if len(head) < 20 or head[:6] != b"\x7fELF\x02\x01":
        sys.exit(f"{path} is no program for Linux on 64 bits: build again, with `sam build`")
    number = int.from_bytes(head[18:20], "little")
    if number not in MACHINES:
        sys.exit(f"{path} is for a processor that Lambda does not have (ELF machine {number})")
    return MACHINES[number]


def tie(built):
    """Answers the processor of all functions below that folder, once its template allows no other."""
    programs = sorted(built.glob("*/bootstrap"))
    if not programs:
        sys.exit(f"{built} has no built function: run `sam build` first")
    found = {machine(path) for path in programs}
    if len(found) > 1:
        sys.exit(f"the functions in {built} are for several processors, {sorted(found)}: build again, all of them")
    (architecture,) = found
    template = built / "template.yaml"
    text, ties = PARAMETER.subn(
        f"  Architecture:\n    Type: String\n    Default: {architecture}\n    AllowedValues:\n    - {architecture}\n",
        template.read_text(),
    )
    if ties != 1:
        sys.exit(f"{template} has no parameter Architecture: is it this stack's?")
    template.write_text(text)
    return architecture


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / ".aws-sam" / "build"
    print(f"{folder}: for {tie(folder)}")

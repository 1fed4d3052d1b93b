"""Renews the kept advisories from a clone of RustSec's database: those of crates in Cargo.lock. Needs Python 3.11."""

import datetime
import json
import pathlib
import shutil
import sys
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
FIRST = "2023"
WHOLE = {"libsqlite3-sys", "rusqlite"}


def parsed(file):
    """An advisory's facts, and its title."""
    text = file.read_text()
    head, rest = text.removeprefix("```toml\n").split("\n```", 1)
    title = next(line for line in rest.splitlines() if line.startswith("# "))
    return tomllib.loads(head), title


def written(facts, title):
    advisory, versions = facts["advisory"], facts["versions"]
    lines = ["```toml", "[advisory]"]
    for name in ("id", "package", "date", "informational"):
        if name in advisory:
            lines.append(f"{name} = {json.dumps(str(advisory[name]))}")
    lines += ["", "[versions]"]
    for name in ("patched", "unaffected"):
        if name == "patched" or versions.get(name):
            lines.append(f"{name} = {json.dumps(versions.get(name, []))}")
    return "\n".join([*lines, "```", "", title, ""])


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    source = pathlib.Path(sys.argv[1]) / "crates"
    if not source.is_dir():
        sys.exit(f"{source} is not there: it takes a clone of RustSec's database")
    lock = tomllib.loads((HERE.parent.parent / "Cargo.lock").read_text())
    target, newest, count = HERE / "crates", "", 0
    shutil.rmtree(target, ignore_errors=True)
    # The newest of the whole database tells how far it was looked at.
    for file in source.glob("*/RUSTSEC-*.md"):
        newest = max(newest, str(parsed(file)[0]["advisory"]["date"]))
    for crate in sorted({package["name"] for package in lock["package"]}):
        for file in sorted((source / crate).glob("RUSTSEC-*.md")):
            facts, title = parsed(file)
            if "withdrawn" in facts["advisory"] or (file.stem[8:] < FIRST and crate not in WHOLE):
                continue
            kept = target / crate / file.name
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(written(facts, title))
            count += 1
    datetime.date.fromisoformat(newest)
    (HERE / "DATE").write_text(newest + "\n")
    print(f"{count} advisories, of up to {newest}")


if __name__ == "__main__":
    main()

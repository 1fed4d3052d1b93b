"""An export as its manifest tells it, read by nothing of ours."""

import hashlib
import json

from lib import check


def document(path, kind):
    """A manifest's document, whose checksum covers its body's exact bytes."""
    text = path.read_bytes()
    parsed = json.loads(text)
    check(parsed["sluice"] == kind and parsed["version"] in (1, 2, 4), f"{path}: {parsed['sluice']} {parsed['version']}")
    body = text[text.index(b'"body":') + len(b'"body":') : text.rindex(b"}")]
    check(hashlib.sha256(body).hexdigest() == parsed["sha256"], f"{path}: its checksum is wrong")
    return parsed["body"], hashlib.sha256(text).hexdigest()


def objects(root):
    """Shard and path of every object that a manifest names, in order, found as any reader would."""
    manifest, _ = document(root / "manifest.json", "export-manifest")
    for shard in manifest["shards"]:
        digest, count = "", 0
        for number in range(1, shard["segments"]["count"] + 1):
            segment, sha256 = document(
                root / "manifest" / f"shard={shard['shard']}" / f"{number:06}.json", "export-segment"
            )
            digest = hashlib.sha256((digest + sha256).encode()).hexdigest()
            for entry in segment["entries"]:
                count += 1
                yield shard["shard"], root / entry["key"], entry["counts"]
        check(digest == shard["segments"]["digest"], f"shard {shard['shard']}: other segments than the root names")
        check(count == shard["objects"], f"shard {shard['shard']}: {count} objects, not {shard['objects']}")

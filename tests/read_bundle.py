#!/usr/bin/env python3
"""Lists and verifies an nbpack bundle, written from docs/FORMAT.md alone.

    read_bundle.py FILE.nbpack

Prints `LAYER KIND MODE SIZE MTIME PATH` for every entry. Exit code 1 and a line on stderr when something is wrong.
Needs only the standard library, and for zstd layers the `zstd` program (or the module `zstandard`).
"""

import gzip
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile

FORMAT = "1"
CLAMP = 315619200


class Wrong(Exception):
    pass


def need(condition, message):
    if not condition:
        raise Wrong(message)


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def decompress(data, media_type):
    if media_type.endswith("+gzip"):
        return gzip.decompress(data)
    need(media_type.endswith("+zstd"), f"unknown media type {media_type}")
    if shutil.which("zstd"):
        return subprocess.run(["zstd", "-dc"], input=data, stdout=subprocess.PIPE, check=True).stdout
    import zstandard

    return zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()


def blob(members, descriptor):
    name = "blobs/" + descriptor["digest"].replace(":", "/")
    need(name in members, f"{name} is missing")
    data = members[name]
    need(len(data) == descriptor["size"], f"{name} has {len(data)} bytes, not {descriptor['size']}")
    need(digest_of(data) == descriptor["digest"], f"{name} is damaged")
    return data


def read_layer(number, data, expected, seen, files):
    need(data.endswith(bytes(1024)), f"layer {number} has no end")
    names, known = [], set()
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        for entry in tar:
            kind = "d" if entry.isdir() else "l" if entry.issym() else "f" if entry.isreg() else None
            need(kind, f"{entry.name}: type {entry.type}")
            need((entry.uid, entry.gid, entry.uname, entry.gname) == (0, 0, "", ""), f"{entry.name}: owner")
            need(kind != "d" or entry.mtime == CLAMP, f"{entry.name}: time of a directory")
            path = entry.name
            parts = path.split("/")
            need("" not in parts and "." not in parts and ".." not in parts, f"{path}: path")
            name = path.encode("utf-8", "surrogateescape") + (b"/" if kind == "d" else b"")
            names.append(name)
            known.add(name)
            need("/" not in path or name[: name.rstrip(b"/").rindex(b"/") + 1] in known, f"{path}: no directory before it")
            need(seen.setdefault(path, kind) == kind and (kind == "d" or path not in files), f"{path}: twice")
            if kind != "d":
                files.add(path)
            print(number, kind, f"{entry.mode:04o}", entry.size, entry.mtime, json.dumps(path), sep=" ")
    need(names == sorted(set(names)), f"layer {number} is out of order")
    need(len(names) == expected, f"layer {number} has {len(names)} entries, not {expected}")


def main(path):
    members = {}
    with tarfile.open(path, mode="r:") as outer:
        for entry in outer:
            if entry.isdir():
                continue
            need(entry.isreg() and entry.name not in members, f"{entry.name}: twice, or no file")
            members[entry.name] = outer.extractfile(entry).read()
    need(json.loads(members["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}, "oci-layout")
    (descriptor,) = json.loads(members["index.json"])["manifests"]
    manifest = json.loads(blob(members, descriptor))
    need(manifest["annotations"]["dev.nbpack.format"] == FORMAT, "another format")
    config = json.loads(blob(members, manifest["config"]))
    labels = config["config"]["Labels"]
    run = labels["dev.nbpack.run"]
    need(digest_of(run.encode()) == labels["dev.nbpack.run.digest"], "the run configuration is damaged")
    diff_ids = config["rootfs"]["diff_ids"]
    need(len(diff_ids) == len(manifest["layers"]), "diff_ids and layers")
    need(diff_ids[-1] == manifest["annotations"]["dev.nbpack.record"], "the record is not the last layer")
    seen, files = {}, set()
    for number, (layer, diff_id) in enumerate(zip(manifest["layers"], diff_ids)):
        tar = decompress(blob(members, layer), layer["mediaType"])
        notes = layer["annotations"]
        need(len(tar) == int(notes["dev.nbpack.layer.size"]), f"layer {number}: size")
        need(digest_of(tar) == diff_id, f"layer {number}: diff_id")
        read_layer(number, tar, int(notes["dev.nbpack.layer.entries"]), seen, files)
    print(f"sound: {descriptor['digest']}, {len(diff_ids)} layers, name {json.loads(run)['name']}")


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (Wrong, KeyError, ValueError, OSError, tarfile.TarError, subprocess.CalledProcessError) as error:
        sys.exit(f"{sys.argv[1]}: {type(error).__name__}: {error}")

"""Makes a channel of conda packages and lets a conda installer (rattler, which pixi is made of) install from it: no network.

    conda_environment.py PREFIX[:PREFIX...] SITE-PACKAGES NAME...

The packages are this interpreter, as `python`, and the named distributions of a site-packages with what they need: pure
ones as `noarch: python`, which the installer puts into `site-packages` and compiles, others for this platform. What names
the interpreter's prefix is told to the installer, which writes the new prefix there, into text and into programs.
"""

import asyncio
import bz2
import hashlib
import importlib.metadata
import io
import json
import os
import pathlib
import re
import sys
import sysconfig
import tarfile
import tempfile

import rattler
import rattler.index

prefixes, site, *wanted = sys.argv[1:]
prefixes, site = [pathlib.Path(prefix) for prefix in prefixes.split(":")], pathlib.Path(site)
version = ".".join(map(str, sys.version_info[:3]))
python = f"python{sys.version_info[0]}.{sys.version_info[1]}"
base = pathlib.Path(sys.base_prefix)
# Debian's own interpreter finds its prefix by itself, and `/usr` stands everywhere.
placeholder = str(base) if all(len(str(base)) >= len(str(prefix)) for prefix in prefixes) else None


def package(channel, subdir, name, number, depends, files, more=None):
    """`files`: path in the package -> path here."""
    entries, contents = [], []
    for path, source in sorted(files.items()):
        if source.is_symlink() and not os.path.isabs(os.readlink(source)):
            entries.append({"_path": path, "path_type": "softlink", "sha256": hashlib.sha256(b"").hexdigest(), "size_in_bytes": 0})
            contents.append((path, source, None))
            continue
        data = source.read_bytes()
        entry = {"_path": path, "path_type": "hardlink", "sha256": hashlib.sha256(data).hexdigest(), "size_in_bytes": len(data)}
        binary = b"\0" in data
        # In a library the linker may have laid the version "3.11.7" into the end of ".../versions/3.11.7"; conda's own
        # builds have a prefix that nothing ends with.
        if placeholder and subdir != "noarch" and placeholder.encode() in data and (not binary or path.startswith("bin/")):
            entry |= {"prefix_placeholder": placeholder, "file_mode": "binary" if binary else "text"}
        entries.append(entry)
        contents.append((path, source, data))
    index = {
        "name": name, "version": number, "build": "0", "build_number": 0, "depends": depends, "license": "MIT",
        "subdir": subdir, "arch": None if subdir == "noarch" else "x86_64", "platform": None if subdir == "noarch" else "linux",
    } | ({"noarch": "python"} if subdir == "noarch" else {})
    about = {
        "info/index.json": index, "info/paths.json": {"paths": entries, "paths_version": 1},
        "info/files": "".join(f"{entry['_path']}\n" for entry in entries), "info/about.json": {"license": "MIT"}, **(more or {}),
    }
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w") as archive:
        for path, text in about.items():
            data = (text if isinstance(text, str) else json.dumps(text)).encode()
            info = tarfile.TarInfo(path)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for path, source, data in contents:
            info = tarfile.TarInfo(path)
            info.mode = source.lstat().st_mode & 0o777
            if data is None:
                info.type, info.linkname = tarfile.SYMTYPE, os.readlink(source)
                archive.addfile(info)
            else:
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    target = channel / subdir / f"{name}-{number}-0.tar.bz2"
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(bz2.compress(memory.getvalue(), 1))


def interpreter(channel):
    library = pathlib.Path(sysconfig.get_path("stdlib"))
    files = {f"bin/{python}": pathlib.Path(os.path.realpath(sys.executable))}
    for file in sorted(library.rglob("*")):
        inside = file.relative_to(library)
        if inside.parts[0] in ("test", "site-packages", "dist-packages", "idlelib", "ensurepip", "lib2to3", "turtledemo") or "__pycache__" in inside.parts:
            continue
        if file.is_file() and not inside.parts[0].startswith("config-"):
            files[f"lib/{python}/{inside}"] = file
    shared = sysconfig.get_config_var("INSTSONAME") if sysconfig.get_config_var("Py_ENABLE_SHARED") else None
    if shared and (base / "lib" / shared).is_file():
        files[f"lib/{shared}"] = base / "lib" / shared
    link = scratch / "python"
    link.symlink_to(python)
    files["bin/python"] = link
    package(channel, "linux-64", "python", version, [], files)


def distributions(channel):
    installed = {re.sub("[-_.]+", "-", one.name).lower(): one for one in importlib.metadata.distributions(path=[str(site)])}
    names, taken = list(wanted), set()
    while names:
        name = re.sub("[-_.]+", "-", names.pop()).lower()
        one = installed.get(name)
        if name in taken or one is None:  # for another platform
            continue
        taken.add(name)
        needs = [re.match(r"[\w.-]+", line).group() for line in one.requires or [] if "extra ==" not in line]
        names += needs
        depends = sorted({need for need in (re.sub("[-_.]+", "-", need).lower() for need in needs) if need in installed})
        inside = [pathlib.PurePosixPath(str(file)) for file in one.files or [] if "__pycache__" not in file.parts and ".." not in file.parts and file.name != "REQUESTED"]
        pure = not any(re.search(r"\.so(\.|$)", file.name) for file in inside)
        root = "site-packages" if pure else f"lib/{python}/site-packages"
        # With the wheel's RECORD, as packages that were built by pip have it.
        files = {f"{root}/{file}": site / file for file in inside}
        link = {"info/link.json": {"noarch": {"type": "python"}, "package_metadata_version": 1}} if pure else None
        package(channel, "noarch" if pure else "linux-64", name, one.version, [f"python >={sys.version_info[0]}.{sys.version_info[1]}", *depends], files, link)


async def main():
    channel = scratch / "channel"
    for subdir in ("linux-64", "noarch"):
        (channel / subdir).mkdir(parents=True)
    interpreter(channel)
    distributions(channel)
    await rattler.index.index_fs(channel)
    records = await rattler.solve([channel.as_uri()], ["python", *wanted], platforms=["linux-64", "noarch"])
    for prefix in prefixes:
        await rattler.install(records, prefix, cache_dir=scratch / "cache", show_progress=False)


with tempfile.TemporaryDirectory() as scratch:
    scratch = pathlib.Path(scratch)
    asyncio.run(main())

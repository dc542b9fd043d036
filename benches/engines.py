"""From a bundle's file to the first output of `import pandas`: nbpack, `tar`, and the engines that take the same file.

umoci, and Docker where it knows no zstd, are given the bundle with gzip layers. Each begins without the image in its store; removing it
again is not timed. The commands run without a network. A tool that is not there is named and left out.
"""

import shutil
import statistics
import subprocess

from peers import Docker, cost, ratios

USE = "import pandas; print(pandas.__version__)"


def podman(scratch, shell, bundle, python):
    """`podman load`, then `podman run`, in a mount namespace and a storage of its own."""
    place = scratch / "podman"
    base = f"podman --root {place}/root --runroot {place}/run --storage-driver overlay --cgroup-manager cgroupfs --runtime runc"
    inside = (f"mount -t tmpfs tmpfs /run; open=$(ulimit -Hn); {base} load -q -i {bundle} >/dev/null; "
              f"{base} run --rm --network none --ulimit nofile=$open:$open --ulimit nproc=4096:4096 --entrypoint {python} "
              f"$({base} images -q --no-trunc) -c '{USE}'")
    work = lambda: shell(f"unshare --mount --propagation private bash -ec '{inside.replace(chr(39), chr(39) + chr(92) + chr(39) + chr(39))}'")
    return lambda: shutil.rmtree(place, ignore_errors=True), work


def umoci(scratch, shell, layout, python):
    place = scratch / "unpacked"
    work = lambda: shell(f"umoci unpack --image {layout}:bench {place} >/dev/null; chroot {place}/rootfs {python} -c '{USE}'")
    return lambda: shutil.rmtree(place, ignore_errors=True), work


def docker(daemon, shell, bundle, python):
    engine = daemon.docker
    remove = lambda: subprocess.run(f"{engine} system prune -af >/dev/null", shell=True, check=False)
    work = lambda: shell(f"image=$({engine} load -q -i {bundle} | sed 's/.*: //'); "
                         f"{engine} run --rm --network none --entrypoint {python} $image -c '{USE}'")
    return remove, work


def measure(scratch, program, files, python, empty_store, shell, cpu_of_tree, rounds):
    """Prints CPU and wall of each against `tar --zstd -x`; `files` are the bundle, the same with gzip, and the peer's tar."""
    bundle, gzip, peer = files
    plain = scratch / "plain"
    extract = lambda: shell(f"mkdir {plain}; tar --zstd -C {plain} -xf {peer}; chroot {plain} {python} -c '{USE}'")
    ours = lambda: shell(f"{program} run {bundle} -- {python} -c '{USE}'")
    work = [("tar --zstd -x, then chroot", lambda: shutil.rmtree(plain, ignore_errors=True), extract), ("nbpack run", empty_store, ours)]
    daemon = None
    if shutil.which("dockerd"):
        try:
            daemon = Docker(scratch, None, shell)
            # Before 23 it knows no zstd.
            takes = subprocess.run(f"{daemon.docker} load -q -i {bundle} >/dev/null 2>&1", shell=True, check=False).returncode == 0
            name, file = ("docker load, docker run", bundle) if takes else ("docker load, docker run (gzip)", gzip)
            work.append((name, *docker(daemon, shell, file, python)))
        except RuntimeError as error:
            print(f"  docker: its daemon does not start here, left out: {error}")
    if shutil.which("podman") and shutil.which("runc"):
        work.append(("podman load, podman run", *podman(scratch, shell, bundle, python)))
    if shutil.which("umoci") and shutil.which("skopeo"):
        layout = scratch / "layout"
        shell(f"skopeo copy -q oci-archive:{gzip} oci:{layout}:bench")
        work.append(("umoci unpack, chroot (gzip)", *umoci(scratch, shell, layout, python)))
    samples = {name: [] for name, _, _ in work}
    try:
        for number in range(rounds):
            for name, before, one in work if number % 2 == 0 else work[::-1]:
                before()
                samples[name].append(cost(one, daemon and daemon.daemon.pid, cpu_of_tree))
    finally:
        for _, before, _ in work:
            before()
        if daemon:
            daemon.end()
    print(f"\nfrom a file to the first output of `import pandas`  ({rounds} alternated rounds, medians)")
    for name, mine in samples.items():
        base = samples[work[0][0]]
        cpu, wall = ratios(mine, base)
        middle = [statistics.median(one[at] for one in mine) for at in (0, 1)]
        print(f"  {name:30} CPU {middle[0]:7.2f} s   ratio {cpu:5.2f}   wall {middle[1]:7.2f} s   ratio {wall:5.2f}")

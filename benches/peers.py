"""What other tools take to make one file of the environment that a bundle holds.

buildah and umoci pack the root that the bundle restores, as an image of one layer; `docker save` writes an image of that root
out of a running daemon, not compressed, so that its size is that of the tar; `reprozip pack` packs what a traced run of the
same imports touched, and no more: its own files are fewer. A tool that is not there is named and left out.
"""

import os
import resource
import shutil
import statistics
import subprocess
import time


def peers(scratch, root, imports, shell):
    """(name, file it writes, work) of each tool that is there."""
    found, out = [], scratch / "peers"
    out.mkdir(exist_ok=True)

    def missing(name):
        print(f"  {name}: not here, left out")

    if shutil.which("buildah"):
        buildah = f"buildah --root {out}/store --runroot {out}/run"
        shell(f"{buildah} from --name base scratch >/dev/null")

        def with_buildah():
            shell(f"rm -f {out}/buildah.tar; {buildah} rm -a >/dev/null; c=$({buildah} from scratch); {buildah} copy -q $c {root} / >/dev/null; "
                  f"{buildah} commit -q $c oci-archive:{out}/buildah.tar >/dev/null")
        found.append(("buildah copy, commit (tar)", out / "buildah.tar", with_buildah))
    else:
        missing("buildah")
    if shutil.which("umoci"):
        def with_umoci():
            shell(f"rm -rf {out}/umoci; umoci init --layout {out}/umoci; umoci new --image {out}/umoci:a; umoci insert --image {out}/umoci:a {root} / >/dev/null; "
                  f"tar -C {out}/umoci -cf {out}/umoci.tar .")
        found.append(("umoci insert (gzip)", out / "umoci.tar", with_umoci))
    else:
        missing("umoci")
    if shutil.which("reprozip"):
        shell(f"cd {out} && reprozip trace -w -d {out}/trace --dont-identify-packages python -c '{imports}' >/dev/null 2>&1")

        def with_reprozip():
            shell(f"rm -f {out}/a.rpz; reprozip pack -d {out}/trace {out}/a.rpz >/dev/null 2>&1")
        found.append(("reprozip pack (gzip)", out / "a.rpz", with_reprozip))
    else:
        missing("reprozip")
    return found


class Docker:
    """A daemon of our own, in a mount namespace and without a network, with an image of `root` in it unless that is `None`."""

    def __init__(self, scratch, root, shell):
        self.place = scratch / "docker"
        self.place.mkdir()
        daemon = (f"mount -t tmpfs tmpfs /run; exec dockerd --iptables=false --ip6tables=false --bridge=none --data-root {self.place}/data "
                  f"--exec-root /run/docker-exec --pidfile /run/docker.pid -H unix://{self.place}/docker.sock")
        self.log = open(self.place / "log", "w")
        self.daemon = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "bash", "-c", daemon], stdout=self.log, stderr=self.log)
        self.docker = f"docker -H unix://{self.place}/docker.sock"
        deadline = time.monotonic() + 60
        while subprocess.run(f"{self.docker} info >/dev/null 2>&1", shell=True, check=False).returncode:
            if time.monotonic() > deadline or self.daemon.poll() is not None:
                self.end()
                raise RuntimeError((self.place / "log").read_text()[-2000:])
            time.sleep(0.2)
        if root:
            shell(f"tar -C {root} -c . | {self.docker} import - peer:1 >/dev/null")

    def save(self, shell):
        shell(f"{self.docker} save -o {self.place}/saved.tar peer:1")

    def end(self):
        self.daemon.terminate()
        self.daemon.wait()


def measure(scratch, root, imports, ours, shell, cpu_of_tree, rounds):
    """Prints CPU and wall of each, against `tar | zstd -3 -T0` of the same root; a daemon's CPU counts as its client's."""
    peer = scratch / "peer.tar.zst"
    work = [("tar | zstd -3 -T0", peer, lambda: shell(f"tar -C {root} -c . | zstd -q -3 -T0 -f -o {peer}")), ours]
    work += peers(scratch, root, imports, shell)
    docker = None
    if shutil.which("dockerd") and os.geteuid() == 0:
        try:
            docker = Docker(scratch, root, shell)
            work.append(("docker save (no compression)", docker.place / "saved.tar", lambda: docker.save(shell)))
        except RuntimeError as error:
            print(f"  docker: its daemon does not start here, left out: {error}")
    samples = {name: [] for name, _, _ in work}
    try:
        for number in range(rounds):
            for name, file, one in work if number % 2 == 0 else work[::-1]:
                file.unlink(missing_ok=True)
                samples[name].append((*cost(one, docker and docker.daemon.pid, cpu_of_tree), file.stat().st_size))
    finally:
        if docker:
            docker.end()
    print(f"\none file of an environment  ({rounds} alternated rounds, medians)")
    for name, mine in samples.items():
        base = samples[work[0][0]]
        cpu, wall = ratios(mine, base)
        print(f"  {name:30} CPU {statistics.median(one[0] for one in mine):7.2f} s   ratio {cpu:5.2f}   wall ratio {wall:5.2f}   {mine[-1][2] / 1e6:8.1f} MB")


def ratios(mine, base):
    """Medians of the pairwise ratios of CPU and of wall time."""
    return (statistics.median(one[at] / other[at] for one, other in zip(mine, base)) for at in (0, 1))


def cost(work, daemon, cpu_of_tree):
    """(CPU seconds of all children and of the daemon, wall seconds) of calling work."""
    spent = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) + (cpu_of_tree(daemon) if daemon else 0)
    before, began = spent(), time.monotonic()
    work()
    return spent() - before, time.monotonic() - began

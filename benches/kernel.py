"""The recording kernel beside the bare one: latency, throughput, start, memory.

Both kernels live at the same time and take turns, execution by execution, so what else the machine does hits both.
A ratio is the median of the ratios of neighbours; the quartiles stand behind it.
"""

import contextlib
import glob
import statistics
import subprocess
import sys
import time

import zmq
from jupyter_client.manager import KernelManager

BARE, OURS = "python3", "python3-nbpack"
COMM = "from comm import create_comm\nc = create_comm(target_name='bench')\n"
DISPLAYS = "for i in range({}): display({{'text/plain': 'x' * {}}}, raw=True)"


class Kernel:
    """A running kernel and a client of it."""

    def __init__(self, name, cwd):
        self.manager = KernelManager(kernel_name=name)
        began = time.monotonic()
        self.manager.start_kernel(cwd=str(cwd))
        self.client = self.manager.client()
        self.client.start_channels()
        # The client must not drop anything itself.
        self.client.iopub_channel.socket.setsockopt(zmq.RCVHWM, 0)
        self.client.wait_for_ready(timeout=120)
        self.start = time.monotonic() - began
        self.pid = self.manager.provisioner.process.pid

    def run(self, code, want=0):
        """Seconds until reply and idle; what is counted must be `want`."""
        seen = 0

        def count(message):
            nonlocal seen
            content, kind = message["content"], message["msg_type"]
            if kind == "stream":
                seen += content["text"].count("\n")
            elif kind == "display_data":
                seen += 1
            elif kind == "comm_msg":
                seen += sum(len(buffer) for buffer in message["buffers"])
            elif kind == "error":
                sys.exit(f"{code}: {content['evalue']}")

        began = time.monotonic()
        self.client.execute_interactive(code, timeout=900, output_hook=count)
        took = time.monotonic() - began
        if seen != want:
            sys.exit(f"{code}: {seen} of {want} arrived")
        return took

    def cpu(self):
        """CPU seconds of this process and its threads (of the recording kernel: of proxy, importer and hashing)."""
        total = 0
        for path in glob.glob(f"/proc/{self.pid}/task/*/schedstat"):
            with contextlib.suppress(OSError):
                total += int(open(path).read().split()[0])
        return total / 1e9

    def memory(self, what="VmRSS"):
        """MB."""
        for line in open(f"/proc/{self.pid}/status"):
            if line.startswith(what + ":"):
                return int(line.split()[1]) / 1024

    def end(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel()


@contextlib.contextmanager
def both(cwd):
    kernels = []
    try:
        for name in (BARE, OURS):
            kernels.append(Kernel(name, cwd))
        yield kernels
    finally:
        for kernel in kernels:
            kernel.end()


def alternate(kernels, times, code, want=0):
    """Seconds of each kernel, pair by pair, who is first changing."""
    took = ([], [])
    for number in range(times):
        for index in (0, 1) if number % 2 == 0 else (1, 0):
            took[index].append(kernels[index].run(code, want))
    return took


def say(title, bare, ours, goal, met, unit=1000, name="ms"):
    ratios = [b / a for a, b in zip(bare, ours)]
    low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    more = statistics.median(b - a for a, b in zip(bare, ours)) * unit
    a, b = statistics.median(bare) * unit, statistics.median(ours) * unit
    verdict = "met" if met(middle, more) else "MISSED"
    print(f"{title:42} bare {a:9.2f} {name}  nbpack {b:9.2f} {name}  ratio {middle:5.2f} ({low:.2f}-{high:.2f})  {more:+8.2f} {name}"
          f"   goal {goal}: {verdict}", flush=True)


def tell(title, text, goal, met):
    print(f"{title:42} {text}   goal {goal}: {'met' if met else 'MISSED'}", flush=True)


def measure(scratch, rounds):
    print(f"\nkernel: two kernels taking turns, {rounds} rounds of the long ones")
    with both(scratch) as kernels:
        bare, ours = kernels
        alternate(kernels, 30, "")
        used = ours.cpu()
        pairs = 100 * rounds
        took = alternate(kernels, pairs, "")
        say("round trip of an empty execute", *took, "<= 1.10 and +1 ms", lambda ratio, more: ratio <= 1.1 and more <= 1)
        print(f"{'':42} of it CPU of the proxy, in its recording thread too: {(ours.cpu() - used) / pairs * 1000:.2f} ms")
        code = "for i in range(100_000): print(i)"
        say("100,000 printed lines", *alternate(kernels, rounds, code, 100_000), "<= 1/0.95", lambda ratio, _: ratio <= 1 / 0.95)
        say("10,000 displays of 1 kB", *alternate(kernels, rounds, DISPLAYS.format(10_000, 1000), 10_000), "<= 1/0.9",
            lambda ratio, _: ratio <= 1 / 0.9)
        code = COMM + "c.send({}, buffers=[bytes(200_000_000)])"
        say("comm buffer of 200 MB", *alternate(kernels, rounds, code, 200_000_000), "<= 1/0.8", lambda ratio, _: ratio <= 1 / 0.8)
        time.sleep(3)
        tell("proxy's memory after the comm", f"{ours.memory():.1f} MB, at most {ours.memory('VmHWM'):.1f} MB", "< 30 MB", ours.memory() < 30)
    starts = ([], [])
    for number in range(2 * rounds + 1):
        for index in (0, 1) if number % 2 == 0 else (1, 0):
            kernel = Kernel((BARE, OURS)[index], scratch)
            kernel.end()
            if number:  # the first warms the disk's cache
                starts[index].append(kernel.start)
    say("start to the first reply", *starts, "+100 ms", lambda _, more: more <= 100)
    executions(scratch)
    many_files(scratch)
    deaf(scratch)


READ_AND_WORK = """
import hashlib, threading
def read(path):
    with open(path, 'rb') as file:
        while file.read(1 << 20): pass
def work(times):
    # Lets go of the interpreter's lock: as many run as there are processors.
    for _ in range(times): hashlib.pbkdf2_hmac('sha256', b'x', b'y', 100_000)
def work_in(number):
    threads = [threading.Thread(target=work, args=(40 // number,)) for _ in range(number)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""


def hashing(scratch, rounds):
    """Cells that read a gigabyte, and cells after them, while it is hashed."""
    print(f"\nhashing: a file of 1 GB, new in each of {rounds} rounds, read, and cells that compute after it")
    path = scratch / "large.bin"
    with both(scratch) as kernels:
        for kernel in kernels:
            kernel.run(READ_AND_WORK)
        titles = ("the cell that reads it", "work on one processor after it", "work on two processors after it")
        took = {title: ([], []) for title in titles}
        for number in range(rounds):
            for index in (0, 1) if number % 2 == 0 else (1, 0):
                for title, code in zip(titles, (f"read({str(path)!r})", "work_in(1)", "work_in(2)")):
                    if title != titles[1]:  # what comes after the reading and what comes after that have a file each
                        quiet(kernels[1])
                        subprocess.run(["dd", "if=/dev/urandom", f"of={path}", "bs=1M", "count=1000", "status=none"], check=True)
                    if title == titles[2]:
                        kernels[index].run(f"read({str(path)!r})")
                    took[title][index].append(kernels[index].run(code))
        quiet(kernels[1])
        for title in titles:
            say(title, *took[title], "<= 1.05", lambda ratio, _: ratio <= 1.05)
    path.unlink()


def quiet(kernel):
    """Returns when the recording does nothing any more."""
    while True:
        before = kernel.cpu()
        time.sleep(1)
        if kernel.cpu() - before < 0.02:
            return


def many_files(scratch):
    """The proxy's memory for 100,000 files, each read once, in one cell."""
    kernel = Kernel(OURS, scratch)
    try:
        folder = scratch / "many"
        for number in range(100_000):
            path = folder / f"{number // 1000:03}" / f"measurement-{number:06}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{number}\n")
        kernel.run("")
        before = kernel.memory()
        kernel.run(f"import pathlib\nfor path in pathlib.Path({str(folder)!r}).rglob('*.csv'): path.read_text()")
        quiet(kernel)
        most, after = kernel.memory("VmHWM") - before, kernel.memory() - before
        tell("proxy's memory for 100,000 files", f"{before:.1f} MB, at most {most:+.1f} MB, then {after:+.1f} MB", "+50 MB", most <= 50)
    finally:
        kernel.end()


def executions(scratch):
    """The proxy's memory over 10,000 executions."""
    kernel = Kernel(OURS, scratch)
    try:
        seen = []
        for number in range(10_000):
            kernel.run("x = 1")
            if number % 1000 == 999:
                seen.append(kernel.memory())
        tell("proxy's memory over 10,000 executions", " ".join(f"{mb:.1f}" for mb in seen) + " MB", "flat",
             seen[-1] - seen[1] < 2)
    finally:
        kernel.end()


def deaf(scratch):
    """A second client that subscribes and never reads, while 300 MB pass."""
    kernel = Kernel(OURS, scratch)
    other = kernel.manager.client()
    other.start_channels(shell=False, stdin=False, hb=False, control=False)
    try:
        time.sleep(0.5)
        kernel.run("")
        before = kernel.memory()
        kernel.run(DISPLAYS.format(3000, 100_000), 3000)
        grown = kernel.memory("VmHWM") - before
        tell("beside a client that never reads", f"the other got 3,000 of 3,000, the proxy grew by {grown:.0f} MB", "bounded", grown < 330)
    finally:
        other.stop_channels()
        kernel.end()

"""The recording kernel beside the bare one: latency, throughput, start, memory.

Both kernels live at the same time and take turns, execution by execution, so what else the machine does hits both.
A ratio is the median of the ratios of neighbours; the quartiles stand behind it.
"""

import contextlib
import glob
import statistics
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
    deaf(scratch)


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

"""What a case of the ground truth is."""


from dataclasses import dataclass, field


@dataclass
class Cell:
    code: str
    truth: str  # "same", "varies" (by itself, so `--twice` shows it) or "differs"
    cause: frozenset = frozenset()


@dataclass
class Case:
    name: str
    cells: list
    kernel: str = "python3"
    files: dict = field(default_factory=dict)
    environment: dict = field(default_factory=dict)  # while recording
    data: dict = field(default_factory=dict)  # file of the notebook -> its new bytes at the replay
    patch: tuple = ()  # (module file in site-packages, old text, new text) at the replay
    given: dict = field(default_factory=dict)  # environment at the replay
    cpus: int = 0  # the replay may use only so many
    order: list = None  # a second session runs the cells in this order
    edited: dict = None  # a second session has this code instead in some cells
    moved: bool = False  # a second session runs in another directory
    upgrade: tuple = ()  # a second session has this distribution in another version: (now, then)
    twice: bool = False
    server: bool = False  # while recording, a server answers on the port that {port} names


def same(code):
    return Cell(code, "same")


def varies(code):
    return Cell(code, "varies", frozenset({"random"}))


def differs(code, *cause):
    return Cell(code, "differs", frozenset(cause))


CSV = "city,year,rain\nOslo,2019,763.2\nOslo,2020,814.9\nBergen,2019,2250.4\nBergen,2020,2391.7\nVardo,2019,563.0\n"
BYTE = CSV.replace("814.9", "815.9")

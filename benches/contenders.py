"""Who takes part in `compare.py`, in what, and with which data and probes."""

import importlib.util
import os
import random
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
MTASK = os.path.abspath(os.environ.get("MTASK", "target/release/mtask"))
PYTHON = sys.executable
PEERS = os.path.join(HERE, "peers.py")


class Contender:
    """One way to do a workload. `check` says in which order its output must be the input."""

    def __init__(
        self, name, command, *, records=None, check="ordered", feed=None, reader=None, ideal=None
    ):
        self.name, self.command, self.check = name, command, check
        self.records, self.feed, self.reader, self.ideal = records, feed, reader, ideal


class Workload:
    def __init__(self, name, title, source, records, contenders, rounds=None, at_least=1):
        self.name, self.title, self.source, self.records = name, title, source, records
        self.contenders = [each for each in contenders if each]
        self.reference = self.contenders[0]
        self.rounds, self.at_least = rounds, at_least


class Place:
    """The data, the probes, and who is there."""

    def __init__(self, folder, scale):
        self.folder, self.scale = folder, scale
        self.fresh_names = 0
        self.probes = {}
        compiler = shutil.which("cc")
        for name in "relay", "ping", "sleeper":
            if compiler:
                probe = os.path.join(folder, name)
                source = os.path.join(HERE, "probes", name + ".c")
                subprocess.run([compiler, "-O3", "-o", probe, source], check=True)
                self.probes[name] = probe
        if not compiler:
            print("no C compiler: without the probes\n", file=sys.stderr)

    def count(self, records):
        return max(10, int(records * self.scale))

    def file(self, name, lines):
        path = os.path.join(self.folder, name)
        if not os.path.exists(path):
            with open(path, "w") as file:
                file.writelines(lines)
        return path

    def records(self, count):
        """Always the same JSON records of 96 bytes."""
        numbers = random.Random(7)
        lines = (
            '{"id": %7d, "text": "%060x", "n": %d}\n' % (i, numbers.getrandbits(240), i % 10)
            for i in range(count)
        )
        return self.file(f"records-{count}", lines)

    def fresh(self):
        self.fresh_names += 1
        return os.path.join(self.folder, f"fresh-{self.fresh_names}")

    def relay(self, name, settings, worker, **options):
        if "relay" in self.probes:
            return Contender(name, [self.probes["relay"], *settings.split(), *worker], **options)

    def tool(self, name, command, **options):
        if shutil.which(command.split()[0]):
            return Contender(name, command.split(), **options)

    def pool(self, library, task, workers, chunk, **options):
        if importlib.util.find_spec(library):
            size = f"chunks of {chunk}" if chunk else "default"
            command = [PYTHON, PEERS, library, task, str(workers), str(chunk)]
            return Contender(f"{library}, {size}", command, **options)

    def one_by_one(self, task, workers, worker):
        """Pools as they come, and parallel with a record at a time."""
        libraries = "multiprocessing", "concurrent.futures", "mpire", "mtasklite"
        name = "parallel --pipe --round-robin -N1"
        return [
            *(self.pool(library, task, workers, 0) for library in libraries),
            self.tool(name, f"{name} -j{workers} {' '.join(worker)}", check="any"),
        ]

    def sleeper(self):
        probe = self.probes.get("sleeper")
        return [probe] if probe else [PYTHON, PEERS, "worker", "sleep"]


def mtask(name, options, worker, **more):
    return Contender(name, [MTASK, *options.split(), "--", *worker], **more)

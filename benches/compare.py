#!/usr/bin/env python3
"""mtask against its peers, and against what is possible at all.

    cargo build --release && python3 benches/compare.py [--rounds N] [--quick] [WORKLOAD...]

Takes part who is installed: GNU parallel, rust-parallel, mpire, mtasklite, pqdm. With a C compiler
the probes of `benches/probes` show what is possible. Contenders take turns, round by round, because
machines are noisy; a ratio is always to the reference of the same round, and above 1 is faster.
Shown are medians, and the least and the most of the ratios. CPU time is that of the contender and
all its children, peak memory that of the contender alone (sampled, on Linux).

`--quick` has a hundredth of the records and one round: it shows that all works, and no speed.
`--json FILE` keeps the figures, for `benches/plot.py`.
"""

import argparse
import collections
import filecmp
import importlib.util
import json
import os
import platform
import select
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from contenders import MTASK, Place
from workloads import WORKLOADS

# The least time between two looks at the memory.
SAMPLE = 0.01


def peak_memory(pid):
    """Bytes so far, 0 where that is not to be had."""
    try:
        with open(f"/proc/{pid}/status") as file:
            return next(
                (int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:")), 0
            )
    except OSError:
        return 0


def wait(process):
    """Waits, and looks at the memory from time to time."""
    peak = 0
    if hasattr(os, "pidfd_open"):
        handle = os.pidfd_open(process.pid)
        pause = 0.001
        while not select.select([handle], [], [], pause)[0]:
            peak = max(peak, peak_memory(process.pid))
            pause = SAMPLE
        os.close(handle)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return peak, usage.ru_utime + usage.ru_stime


def measure(place, workload, contender):
    """Seconds, CPU seconds, bytes of memory."""
    if contender.ideal:
        return contender.ideal(), 0, 0
    command = [place.fresh() if word == "FRESH" else word for word in contender.command]
    source, feeder, reader = workload.source, None, None
    if contender.records and not contender.feed:
        source = place.records(contender.records)
    if contender.feed:
        feeder = subprocess.Popen(["sh", "-c", contender.feed], stdout=subprocess.PIPE)
        stdin = feeder.stdout
    else:
        stdin = open(source, "rb")
    output = os.path.join(place.folder, "output")
    if contender.reader:
        reader = subprocess.Popen(
            ["sh", "-c", contender.reader], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        stdout = reader.stdin
    else:
        stdout = open(output if contender.check else os.devnull, "wb")
    with stdin, stdout:
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE)
        stdin.close()
        stdout.close()
        errors = []
        collector = threading.Thread(target=lambda: errors.append(process.stderr.read()))
        collector.start()
        peak, cpu = wait(process)
        seconds = time.perf_counter() - begin
        collector.join()
    for other in feeder, reader:
        if other:
            other.wait()
    if process.returncode:
        raise SystemExit(
            f"{' '.join(command)}: {process.returncode}\n{errors[0].decode(errors='replace')}"
        )
    if contender.check and not contender.is_checked:
        check(contender, source, output)
    return seconds, cpu, peak


def check(contender, source, output):
    if contender.check == "ordered":
        same = filecmp.cmp(source, output, shallow=False)
    else:
        with open(source, "rb") as one, open(output, "rb") as other:
            same = collections.Counter(map(hash, one)) == collections.Counter(map(hash, other))
    if not same:
        raise SystemExit(f"{contender.name} wrote something else")
    contender.is_checked = True


def run(place, workload, rounds):
    """The figures of each contender."""
    got = {contender: [] for contender in workload.contenders}
    for contender in workload.contenders:
        contender.is_checked = False
    for number in range(rounds):
        for contender in workload.contenders:
            print(
                f"\r{workload.name} {number + 1}/{rounds} {contender.name}\033[K",
                end="",
                file=sys.stderr,
            )
            got[contender].append(measure(place, workload, contender))
    print("\r\033[K", end="", file=sys.stderr)

    def speed(contender, seconds):
        """Without records: how often all of it could be done."""
        return (
            (contender.records or workload.records or 1) / seconds
            if workload.records
            else 1 / seconds
        )

    rows = []
    base = got[workload.reference]
    for contender, figures in got.items():
        ratios = [
            speed(contender, mine[0]) / speed(workload.reference, theirs[0])
            for mine, theirs in zip(figures, base)
        ]
        seconds, cpu, peak = (statistics.median(column) for column in zip(*figures))
        rows.append(
            {
                "name": contender.name,
                "seconds": seconds,
                "rate": (contender.records or workload.records or 0) / seconds,
                "ratio": statistics.median(ratios),
                "least": min(ratios),
                "most": max(ratios),
                "cpu": cpu,
                "peak": peak,
                "is_computed": contender.ideal is not None,
            }
        )
    return rows


def table(workload, rows, rounds):
    lines = [
        f"### {workload.name}: {workload.title}",
        "",
        "| | seconds | records/s | ratio | least..most | CPU s | peak MB |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        rate = f"{row['rate']:,.0f}" if row["rate"] else ""
        cpu = "" if row["is_computed"] else f"{row['cpu']:.2f}"
        peak = f"{row['peak'] / 1e6:.1f}" if row["peak"] else ""
        spread = f"{row['least']:.2f}..{row['most']:.2f}"
        digits = 4 if row["seconds"] < 0.1 else 3
        lines.append(
            f"| {row['name']} | {row['seconds']:.{digits}f} | {rate} | {row['ratio']:.2f} | {spread} "
            f"| {cpu} | {peak} |"
        )
    lines += ["", f"Medians of {rounds} round{'s' if rounds > 1 else ''}.", ""]
    return "\n".join(lines)


def version(command):
    try:
        text = subprocess.run(command, capture_output=True, text=True).stdout
    except OSError:
        return None
    return text.splitlines()[0] if text else None


def machine():
    """What ran, and on what."""
    found = [
        version(command)
        for command in (
            [MTASK, "--version"],
            ["parallel", "--version"],
            ["rust-parallel", "--version"],
        )
    ]
    found.append(f"Python {platform.python_version()}")
    from importlib import metadata

    for library in "mpire", "mtasklite", "pqdm":
        if importlib.util.find_spec(library):
            found.append(f"{library} {metadata.version(library)}")
    model = "unknown CPU"
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            model = next(
                (line.split(":")[1].strip() for line in file if line.startswith("model name")),
                model,
            )
    load = "%.1f" % os.getloadavg()[0]
    return (
        f"{time.strftime('%Y-%m-%d')}: {os.cpu_count()} × {model}, "
        f"{platform.system()} {platform.release()}, "
        f"load {load} before. {', '.join(filter(None, found))}."
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [workload.__name__.replace("_", "-") for workload in WORKLOADS]
    parser.add_argument(
        "workload", nargs="*", choices=[[], *names], metavar="WORKLOAD", help=", ".join(names)
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument(
        "--gigabytes", type=float, default=1, help="of the stream whose memory is measured"
    )
    parser.add_argument(
        "--millions",
        type=int,
        nargs="+",
        default=[1, 10],
        help="records of growth, the first is the reference",
    )
    parser.add_argument(
        "--only", default="", help="only contenders whose name has this, and the reference"
    )
    parser.add_argument("--json", help="also write the figures there")
    arguments = parser.parse_args()
    if not os.access(MTASK, os.X_OK):
        raise SystemExit(
            f"{MTASK} is not there: cargo build --release, or say where it is with MTASK=..."
        )
    rounds = 1 if arguments.quick else arguments.rounds
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    kept = {}
    print(machine(), "\n")
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        place = Place(folder, 0.01 if arguments.quick else 1)
        place.gigabytes, place.millions = arguments.gigabytes, arguments.millions
        for group, name in zip(WORKLOADS, names):
            if arguments.workload and name not in arguments.workload:
                continue
            for workload in group(place):
                workload.contenders = [
                    each
                    for each in workload.contenders
                    if arguments.only in each.name or each is workload.reference
                ]
                turns = workload.rounds or (
                    rounds if arguments.quick else max(rounds, workload.at_least)
                )
                rows = run(place, workload, turns)
                kept[workload.name] = {"title": workload.title, "rounds": turns, "rows": rows}
                print(table(workload, rows, turns), flush=True)
                if arguments.json:
                    with open(arguments.json, "w") as file:
                        json.dump(kept, file, indent=1)


if __name__ == "__main__":
    main()

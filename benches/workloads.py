"""What `compare.py` measures: each function gives workloads, with those who take part in them."""

import heapq
import importlib.util
import os
import random
import shutil
import subprocess
import sys
import time

from contenders import MTASK, PEERS, PYTHON, Contender, Workload, mtask


def echo(place):
    count = place.count(2_000_000)
    source = place.records(count)
    cat = ["cat"]
    yield Workload(
        "echo",
        f"{count:,} records of 96 bytes through two `cat`",
        source,
        count,
        [
            Contender("`cat \\| cat`", ["sh", "-c", "cat | cat"]),
            place.relay("relay", "2 0 2 ordered", cat),
            place.relay("relay, any order", "2 0 2 any", cat, check="any"),
            mtask("**mtask**", "-j2", cat),
            mtask("**mtask -u**", "-j2 -u", cat, check="any"),
            place.tool(
                "parallel --pipepart -k", f"parallel --pipepart -k -a {source} -j2 --block -4 cat"
            ),
            place.tool("parallel --pipe -k --block 10M", "parallel --pipe -k --block 10M -j2 cat"),
            place.tool(
                "parallel --pipe --round-robin",
                "parallel --pipe --round-robin -j2 cat",
                check="any",
            ),
            place.tool("rust-parallel --pipe -k", "rust-parallel --pipe -k -j2 cat", check=None),
        ],
    )


def python(place):
    count = place.count(200_000)
    worker = [PYTHON, PEERS, "worker", "echo"]
    few = {"records": place.count(20_000)}
    batch = f"-j2 --format lines --python {PEERS}:echo_all --batch 500"
    yield Workload(
        "python",
        f"{count:,} records of 96 bytes through two Python workers",
        place.records(count),
        count,
        [
            place.relay("relay", "2 0 2 ordered", worker),
            mtask("**mtask**, the same worker", "-j2", worker),
            mtask("**mtask --python**", f"-j2 --format lines --python {PEERS}:echo", [PYTHON]),
            mtask("**mtask --python --batch 500**", batch, [PYTHON]),
            place.pool("multiprocessing", "echo", 2, 10000),
            place.pool("multiprocessing", "echo", 2, 1000),
            place.pool("multiprocessing", "echo", 2, 0, **few),
            place.pool("concurrent.futures", "echo", 2, 1000),
            place.pool("mpire", "echo", 2, 1000),
            place.pool("mpire", "echo", 2, 0, **few),
            place.pool("mtasklite", "echo", 2, 1000, **few),
            place.pool("mtasklite", "echo", 2, 0, **few),
            place.pool("pqdm", "echo", 2, 0, records=place.count(5_000)),
        ],
    )


def calls(place):
    count = place.count(10_000)
    options = f"-j1 --format lines --concurrency 1000 --python {PEERS}:ask"
    yield Workload(
        "calls",
        f"{count:,} calls of 0.1 s, 1,000 under way at a time",
        place.records(count),
        count,
        [
            Contender("asyncio.gather", [PYTHON, PEERS, "gather"]),
            mtask("**mtask --concurrency 1000**", options, [PYTHON]),
            mtask("**the same, --timeout 10s**", f"{options} --timeout 10s", [PYTHON]),
        ],
    )


def failed_batches(place):
    count = place.count(2_000)
    batch = f"-j1 --format lines --on-error ignore --batch 64 --python {PEERS}:"
    calls = count / 64 + count // 1000 * 64
    yield Workload(
        "batches",
        f"{count:,} records in batches of 64, 0.1 s a call, two of them bad",
        place.records(count),
        count,
        [
            mtask("**mtask --python --batch 64**, none bad", f"{batch}call_all", [PYTHON]),
            mtask("**mtask --python --batch 64**", f"{batch}call_most", [PYTHON], check=None),
            Contender("failed batches one by one (computed)", None, ideal=lambda: calls * 0.1),
        ],
    )


def single(place):
    if not shutil.which("taskset"):
        print("no taskset: without one at a time\n", file=sys.stderr)
        return
    count = place.count(50_000)
    few = {"records": place.count(5_000)}
    one = "taskset -c 0"
    ping = place.probes.get("ping")
    round_trips = [place.tool("ping-pong", f"{one} {ping} cat")] if ping else []
    pool = [PYTHON, PEERS, "multiprocessing", "echo", "1", "1"]
    yield Workload(
        "single",
        f"{count:,} records one at a time, on one CPU",
        place.records(count),
        count,
        [
            *round_trips,
            place.tool("**mtask -j1 --window 1**", f"{one} {MTASK} -j1 --window 1 -- cat"),
            Contender("multiprocessing, chunks of 1", [*one.split(), *pool]),
            place.tool(
                "parallel --pipe --round-robin -N1",
                f"{one} parallel --pipe --round-robin -N1 -j1 cat",
                **few,
            ),
        ],
    )


def uneven(place):
    count = place.count(2_000)
    numbers = random.Random(11)
    sleeps = [numbers.expovariate(500) for _ in range(count)]
    source = place.file(f"sleeps-{count}", (f"{seconds:.6f}\n" for seconds in sleeps))
    worker = place.sleeper()
    yield Workload(
        "uneven",
        f"{count:,} sleeps, 2 ms in the mean, 8 workers",
        source,
        count,
        [
            place.relay("relay, a line at a time, two in flight", "8 1 2 ordered", worker),
            Contender("all workers always busy (computed)", None, ideal=lambda: sum(sleeps) / 8),
            mtask("**mtask**", "-j8", worker),
            place.relay("relay", "8 0 2 ordered", worker),
            place.pool("multiprocessing", "sleep", 8, 10),
            *place.one_by_one("sleep", 8, worker),
            place.tool("xargs -n1", "xargs -P8 -n1 sleep", check=None),
        ],
    )


def soonest(sleeps, workers):
    """When all are done, if whoever is free takes the next."""
    free = [0.0] * workers
    for seconds in sleeps:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def last(place):
    """Few records that take long: how long workers wait for the last ones."""
    numbers = random.Random(5)
    equal = [(1 + i / 1e5) * place.scale for i in range(8)]
    unequal = [numbers.uniform(0.5, 3) * place.scale for _ in range(24)]
    for name, title, sleeps, workers in (
        ("last", "8 sleeps of 1 s, 4 workers", equal, 4),
        ("last-uneven", "24 sleeps of 0.5 to 3 s, 8 workers", unequal, 8),
    ):
        yield Workload(
            name,
            title,
            place.file(name, (f"{seconds:.6f}\n" for seconds in sleeps)),
            len(sleeps),
            [
                Contender(
                    "whoever is free takes the next (computed)",
                    None,
                    ideal=lambda sleeps=sleeps, workers=workers: soonest(sleeps, workers),
                ),
                mtask("**mtask**", f"-j{workers}", place.sleeper()),
                mtask(
                    "**mtask --python**",
                    f"-j{workers} --format lines --python {PEERS}:sleep",
                    [PYTHON],
                ),
                *place.one_by_one("sleep", workers, place.sleeper()),
                place.tool("xargs -n1", f"xargs -P{workers} -n1 sleep", check=None),
                place.tool("parallel", f"parallel -j{workers} sleep", check=None),
            ],
        )


def batches(place):
    """Few records that are done in calls of up to 32, however many are in one."""
    for count in 64, 128, 160:
        source = place.file(
            f"batches-{count}", (f"{place.scale:.3f}{i:03}\n" for i in range(count))
        )
        calls = -(-count // (4 * 32))
        yield Workload(
            f"batches-{count}",
            f"{count} records in calls of 1 s over up to 32, 4 workers that take 0.3 s to start",
            source,
            count,
            [
                Contender(
                    "best schedule (computed)",
                    None,
                    ideal=lambda calls=calls: 0.3 + calls * place.scale,
                ),
                mtask(
                    "**mtask --python --batch 32**",
                    f"-j4 --format lines --python {PEERS}:SleepTogether --batch 32",
                    [PYTHON],
                ),
            ],
        )


def start(place):
    count = place.count(1_000)
    source = place.file(f"numbers-{count}", (f"{i}\n" for i in range(count)))
    worker = [PYTHON, PEERS, "worker", "spin", "0.5"]
    yield Workload(
        "start",
        f"{count:,} records of 1 ms, two workers that take 0.5 s to start",
        source,
        count,
        [
            place.relay("relay, a line at a time, two in flight", "2 1 2 ordered", worker),
            mtask("**mtask**", "-j2", worker),
            place.relay("relay", "2 0 2 ordered", worker),
            *place.one_by_one("spin", 2, worker),
            place.tool(
                "parallel --pipe -k -N100", f"parallel --pipe -k -N100 -j2 {' '.join(worker)}"
            ),
        ],
    )


def threads(place):
    """Numeric libraries that start a thread for each CPU, in each worker."""
    if not importlib.util.find_spec("numpy"):
        print("no numpy: without threads\n", file=sys.stderr)
        return
    count = place.count(100)
    jobs = os.cpu_count()
    worker = [PYTHON, PEERS, "worker", "eigen"]
    alone = ["env", "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1", "MKL_NUM_THREADS=1", *worker]
    yield Workload(
        "threads",
        f"{count} eigenvalue problems of 300 × 300 in numpy, {jobs} workers",
        place.file(f"problems-{count}", (f"{i}\n" for i in range(count))),
        count,
        [
            mtask("mtask, OMP_NUM_THREADS=1 by hand", f"-j{jobs}", alone),
            mtask("**mtask**", f"-j{jobs}", worker),
            mtask("mtask --threads keep", f"-j{jobs} --threads keep", worker),
            place.pool("multiprocessing", "eigen", jobs, 1),
        ],
    )


def memory(place):
    line = "x" * 95
    for name, size in ("memory", place.gigabytes * 1_000_000_000), ("stalled", 48_000_000):
        count = max(1000, int(size * place.scale)) // 96
        feed = f"yes {line} | head -c {count * 96}"
        title = f"{count * 96 / 1e9:.2f} GB through two `cat`: peak memory"
        options = {"feed": feed, "check": None}
        if name == "stalled":
            title = f"{count * 96 / 1e6:.0f} MB, a reader that stalls for 2 s: peak memory"
            options["reader"] = "head -c 1000000; sleep 2; cat"
        yield Workload(
            name,
            title,
            None,
            count,
            [
                place.relay("relay", "2 0 2 ordered", ["cat"], **options),
                mtask("**mtask**", "-j2", ["cat"], **options),
                mtask("**mtask -u**", "-j2 -u", ["cat"], **options),
                place.tool(
                    "parallel --pipe --round-robin",
                    "parallel --pipe --round-robin -j2 cat",
                    **options,
                ),
                (
                    place.tool(
                        "parallel --pipe -k --block 10M",
                        "parallel --pipe -k --block 10M -j2 cat",
                        **options,
                    )
                    if name == "stalled"
                    else None
                ),
            ],
            rounds=1,
        )
    # The first record takes 2 s; what follows is answered meanwhile, and has to wait.
    count = place.count(500_000)
    slow = [
        "sh",
        "-c",
        'read -r line; case $line in first*) sleep 2;; esac; echo "$line"; exec cat',
    ]
    feed = f"echo first; yes {line} | head -c {count * 96}"
    yield Workload(
        "slow-first",
        f"{count:,} records, the first takes 2 s: peak memory",
        None,
        count,
        [
            mtask("**mtask**", "-j2", slow, feed=feed, check=None),
            mtask("**mtask -u**", "-j2 -u", slow, feed=feed, check=None),
        ],
        rounds=1,
    )


def small(place):
    source = place.records(10)
    yield Workload(
        "small",
        "10 records, start to end",
        source,
        10,
        [
            place.relay("relay", "2 0 2 ordered", ["cat"]),
            Contender("`cat`", ["cat"]),
            mtask("**mtask**", "-j2", ["cat"]),
            place.tool("xargs -n1", "xargs -P2 -d\\n -n1 echo", check=None),
            place.tool("rust-parallel --pipe", "rust-parallel --pipe -j2 cat", check=None),
            place.tool(
                "parallel --pipe --round-robin -N1",
                "parallel --pipe --round-robin -N1 -j2 cat",
                check="any",
            ),
            place.pool("multiprocessing", "echo", 2, 0),
        ],
        at_least=11,
    )


def growth(place):
    contenders = []
    for millions in place.millions:
        count = place.count(millions * 1_000_000)
        feed = f"yes 12345678 | head -n {count}"
        contenders.append(
            mtask(
                f"**mtask**, {count:,} records",
                "-j2",
                ["cat"],
                records=count,
                feed=feed,
                check=None,
            )
        )
    yield Workload(
        "growth", "more records: rate, and peak memory", None, contenders[0].records, contenders
    )
    worker = place.sleeper()
    contenders = []
    for jobs in 8, 64:
        count = max(1, int(100 * place.scale)) * jobs
        feed = f"yes 0.02 | head -n {count}"
        options = {"records": count, "feed": feed, "check": None}
        contenders.append(
            mtask(f"**mtask -j{jobs}**, {count:,} sleeps of 20 ms", f"-j{jobs}", worker, **options)
        )
    # The same work for each worker: the ratio is that of the times.
    yield Workload("workers", "more workers, 100 sleeps of 20 ms each", None, None, contenders)


def slow_fellow(place):
    if "sleeper" not in place.probes:
        return
    count = place.count(600)
    source = place.file(f"kilobytes-{count}", (f"{i:<1023}\n" for i in range(count)))
    worker = [place.probes["sleeper"], "0.001", "25", "FRESH"]

    def best():
        """Two workers at the pace of one alone, measured; one 25 times slower."""
        begin = time.perf_counter()
        with open(source, "rb") as lines:
            subprocess.run(
                [place.probes["sleeper"], "0.001"],
                stdin=lines,
                stdout=subprocess.DEVNULL,
                check=True,
            )
        pace = (time.perf_counter() - begin) / count
        slots = 0
        while 2 * slots + slots // 25 < count:
            slots += 1
        return slots * pace

    yield Workload(
        "slow-fellow",
        f"{count} records of 1 KB and 1 ms, one of three workers is 25 times slower",
        source,
        count,
        [
            Contender("best schedule (computed)", None, ideal=best),
            mtask("**mtask**", "-j3", worker),
            place.relay("relay, a line at a time, two in flight", "3 1 2 ordered", worker),
            place.relay("relay, a line at a time", "3 1 1 ordered", worker),
            place.tool(
                "parallel --pipe --round-robin -N1",
                f"parallel --pipe --round-robin -N1 -j3 {' '.join(worker)}",
                check="any",
            ),
        ],
    )


WORKLOADS = [
    echo,
    python,
    calls,
    failed_batches,
    single,
    uneven,
    last,
    batches,
    start,
    threads,
    memory,
    small,
    growth,
    slow_fellow,
]

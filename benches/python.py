"""`mtask --python` against Python's own pools: the identity function over 200,000 lines of 96 bytes.

    cargo build --release && python3 benches/python.py [ROUNDS]

All start from nothing, read the same file and write the same lines. They take turns, round by round,
for machines are noisy; shown are medians of 5 rounds, and the median of each round's ratio to
`multiprocessing.Pool.imap` with its best chunk size. mpire and mtasklite join in where they are
installed; they and small chunks are given a tenth of the records.
"""

import itertools
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

WORKERS = 2
MTASK = os.environ.get("MTASK", "target/release/mtask")


def identity(line):
    return line


def identity_of_all(lines):
    return lines


def run_pool(library, chunk):
    """Runs as a process of its own: stdin to stdout through a pool."""
    chunk = int(chunk)
    if library == "multiprocessing":
        import multiprocessing

        with multiprocessing.Pool(WORKERS) as pool:
            sys.stdout.writelines(pool.imap(identity, sys.stdin, chunk or 1))
    elif library == "mpire":
        from mpire import WorkerPool

        options = {"chunk_size": chunk} if chunk else {}
        with WorkerPool(n_jobs=WORKERS) as pool:
            sys.stdout.writelines(pool.imap(identity, list(sys.stdin), **options))
    elif library == "mtasklite":
        from mtasklite import Pool

        options = {"chunk_size": chunk} if chunk else {}
        with Pool(identity, WORKERS, **options)(sys.stdin) as results:
            sys.stdout.writelines(results)


def contenders():
    """Name, command, and whether it is given all records."""
    mtask = [MTASK, f"-j{WORKERS}", "--format", "lines", "--python"]
    interpreter = ["--", sys.executable]
    yield "mtask --python", [*mtask, f"{__file__}:identity", *interpreter], True
    batch = [f"{__file__}:identity_of_all", "--batch", "500", *interpreter]
    yield "mtask --python --batch 500", [*mtask, *batch], True
    pool = [sys.executable, __file__, "--pool"]
    for chunk in 10000, 1000:
        yield f"multiprocessing, chunks of {chunk}", [*pool, "multiprocessing", str(chunk)], True
    yield "multiprocessing, default", [*pool, "multiprocessing", "0"], False
    for library in "mpire", "mtasklite":
        if subprocess.run(
            [sys.executable, "-c", f"import {library}"], capture_output=True
        ).returncode:
            print(f"{library} is not installed")
            continue
        yield f"{library}, chunks of 1000", [*pool, library, "1000"], True
        yield f"{library}, default", [*pool, library, "0"], False


def measure(command, source, records):
    """Records a second."""
    with open(source, "rb") as stdin, tempfile.TemporaryFile() as stdout:
        begin = time.perf_counter()
        subprocess.run(command, stdin=stdin, stdout=stdout, check=True)
        taken = time.perf_counter() - begin
        stdin.seek(0)
        stdout.seek(0)
        assert stdin.read() == stdout.read(), f"{command} wrote something else"
    return records / taken


def main(rounds=5):
    numbers = random.Random(7)
    lines = ["%095x\n" % numbers.getrandbits(376) for _ in range(200_000)]
    with tempfile.TemporaryDirectory() as folder:
        sources = {}
        for is_all, count in (True, len(lines)), (False, len(lines) // 10):
            path = sources[is_all] = os.path.join(folder, str(count))
            with open(path, "w") as file:
                file.writelines(itertools.islice(lines, count))
        all_contenders = list(contenders())
        rates = {name: [] for name, _, _ in all_contenders}
        for _ in range(int(rounds)):
            for name, command, is_all in all_contenders:
                count = len(lines) if is_all else len(lines) // 10
                rates[name].append(measure(command, sources[is_all], count))
    chunked = [name for name in rates if name.startswith("multiprocessing, chunks")]
    best = max(chunked, key=lambda name: statistics.median(rates[name]))
    print(f"{'':36}{'records/s':>12}{'ratio':>8}")
    for name, measured in rates.items():
        ratio = statistics.median(rate / base for rate, base in zip(measured, rates[best]))
        print(f"{name:36}{statistics.median(measured):12,.0f}{ratio:8.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--pool"]:
        run_pool(*sys.argv[2:])
    else:
        main(*sys.argv[1:])

"""What `compare.py` runs besides mtask that is written in Python: lines from stdin to stdout.

    peers.py worker TASK [SECONDS]            one worker, which takes so long to start
    peers.py gather                           calls of 0.1 s, 1,000 at a time, by asyncio.gather
    peers.py POOL TASK WORKERS CHUNK          a pool of a library; CHUNK 0 is the library's default

What a pool needs is imported where it is used, so that the workers start quickly.
"""

import sys
import time


def echo(line):
    return line


def echo_all(lines):
    return lines


def call_all(lines):
    """A call that takes as long for many as for one."""
    time.sleep(0.1)
    return lines


def call_most(lines):
    """The same, which two of 2,000 records fail."""
    if any(int(line[7:14]) % 1000 == 500 for line in call_all(lines)):
        raise ValueError("a bad record")
    return lines


def sleep(line):
    time.sleep(float(line))
    return line


async def ask(line):
    """A service that takes its time."""
    import asyncio

    await asyncio.sleep(0.1)
    return line


def gather():
    import asyncio

    async def all_answers():
        places = asyncio.Semaphore(1000)

        async def one(line):
            async with places:
                return await ask(line)

        return await asyncio.gather(*map(one, sys.stdin))

    sys.stdout.writelines(asyncio.run(all_answers()))


class SleepTogether:
    """Calls that take as long however many lines they are about, and a start of 0.3 s."""

    def __init__(self):
        time.sleep(0.3)

    def __call__(self, lines):
        time.sleep(max(map(float, lines)))
        return lines


def spin(line):
    """A millisecond of work."""
    end = time.thread_time() + 0.001
    while time.thread_time() < end:
        pass
    return line


def eigen(line):
    """An eigenvalue problem, for which a numeric library starts threads."""
    import numpy

    numpy.linalg.eigvals(numpy.random.default_rng(int(line)).random((300, 300)))
    return line


TASKS = {"echo": echo, "sleep": sleep, "spin": spin, "eigen": eigen}


def work(task, seconds=0):
    time.sleep(float(seconds))
    write, flush = sys.stdout.write, sys.stdout.flush
    for line in sys.stdin:
        write(task(line))
        flush()


def start():
    """What makes a worker of `--workload start` expensive."""
    time.sleep(0.5)


def run_pool(library, task, workers, chunk):
    initializer = start if task is spin else None
    if library == "multiprocessing":
        import multiprocessing

        with multiprocessing.Pool(workers, initializer) as pool:
            sys.stdout.writelines(pool.imap(task, sys.stdin, chunk or 1))
    elif library == "concurrent.futures":
        from concurrent.futures import ProcessPoolExecutor

        with ProcessPoolExecutor(workers, initializer=initializer) as pool:
            sys.stdout.writelines(pool.map(task, sys.stdin, chunksize=chunk or 1))
    elif library == "mpire":
        from mpire import WorkerPool

        options = {"chunk_size": chunk} if chunk else {}
        with WorkerPool(n_jobs=workers) as pool:
            lines = pool.imap(task, list(sys.stdin), worker_init=initializer, **options)
            sys.stdout.writelines(lines)
    elif library == "mtasklite":
        from mtasklite import Pool, delayed_init

        class Started:
            def __init__(self):
                start()

            def __call__(self, line):
                return task(line)

        tasks = [delayed_init(Started)() for _ in range(workers)] if initializer else task
        options = {"chunk_size": chunk} if chunk else {}
        with Pool(tasks, workers, **options)(sys.stdin) as results:
            sys.stdout.writelines(results)
    elif library == "pqdm":
        from pqdm.processes import pqdm

        sys.stdout.writelines(pqdm(list(sys.stdin), task, n_jobs=workers, disable=True))


if __name__ == "__main__":
    if sys.argv[1] == "gather":
        gather()
    elif sys.argv[1] == "worker":
        work(TASKS[sys.argv[2]], *sys.argv[3:])
    else:
        run_pool(sys.argv[1], TASKS[sys.argv[2]], int(sys.argv[3]), int(sys.argv[4]))

"""From the beginning of a worker's process to its end."""

import contextvars
import json
import os
import signal
import sys

import _mtask
from _mtask.answers import encode
from _mtask.channel import Channel, Gone, people
from _mtask.library import library
from _mtask.worker import Unusable, Worker

# The record that a call is for, as it was sent: the module `mtask` looks there.
_mtask.current = contextvars.ContextVar("mtask.current")


def main():
    task = json.loads(sys.argv[1])
    people.name = task.get("callable") or " ".join(task["expression"].split())
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # mtask judges a worker that is ended by a signal, and it has to see that it was.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    channel = Channel()
    try:
        worker = Worker(task)
    except Unusable as unusable:
        # Said in full once, not for each process that fails in the same way.
        is_first = os.environ.get("MTASK_PROCESS", "0") == "0"
        people.tell(f"{unusable}{unusable.place}", unusable.traceback if is_first else "")
        sys.exit(unusable.status)
    try:
        serve(channel, worker, task)
        if channel.spoilt:
            channel.resign()
        worker.close(channel)
    except Gone:
        pass  # nobody is left to tell


def serve(channel, worker, task):
    """Answers records until there are no more."""
    if task["batch"]:
        with library:
            from _mtask.batches import answer_in_batches

        say_ready(channel, ["start"], concurrency=2 * task["batch"])
        answer_in_batches(channel, worker.call, task["batch"])
    elif task["concurrency"] and worker.loop:
        with library:
            from _mtask.tasks import Tasks

        say_ready(channel, ["cancel"], concurrency=task["concurrency"])
        Tasks(channel, worker.function, worker.loop).answer_all()
    elif task["concurrency"]:
        with library:
            from _mtask.threads import answer_in_threads

        say_ready(channel, [], concurrency=task["concurrency"])
        answer_in_threads(channel, worker.call, task["concurrency"])
    else:
        with library:
            from _mtask.calls import answer_one_by_one

        say_ready(channel, [])
        answer_one_by_one(channel, worker.call)


def say_ready(channel, can, **more):
    channel.say(encode({"ready": True, "can": [*can, "base64"], **more}))

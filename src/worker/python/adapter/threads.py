"""Calls with one record each, several at a time, in threads."""

import contextvars
import queue
import threading

import _mtask
from _mtask.answers import answer, decode, failure
from _mtask.channel import Gone


def answer_in_threads(channel, call, most):
    threads = Threads(channel, call, most)
    while True:
        lines = channel.read_lines()
        if lines is None or channel.spoilt:
            return threads.end()
        for record in decode(lines, channel.gathered):
            threads.take(record)
        channel.write_if_free()


class Threads:
    """As many threads as there are calls at a time, up to `most`, and what is on its way to them.

    A call has a context of its own, a copy of the one in which the worker was made: what it sets there
    is not seen by others.
    """

    def __init__(self, channel, call, most):
        self.channel = channel
        self.call = call
        self.most = most
        self.context = contextvars.copy_context()
        self.records = queue.SimpleQueue()
        self.idle = []  # an item for each thread that waits or is about to
        self.threads = []

    def take(self, record):
        try:
            self.idle.pop()
        except IndexError:
            if len(self.threads) < self.most:
                name = f"mtask-{len(self.threads)}"
                # None of them is waited for where mtask is gone.
                thread = threading.Thread(target=self.answer_all, name=name, daemon=True)
                self.threads.append(thread)
                thread.start()
        self.records.put(record)

    def end(self):
        for _ in self.threads:
            self.records.put(None)
        for thread in self.threads:
            thread.join()

    def answer_all(self):
        channel = self.channel
        try:
            while True:
                record = self.records.get()
                if record is None:
                    return
                try:
                    text = self.context.copy().run(self.answer, record)
                except BaseException as error:
                    channel.end_child(error)  # for nowhere else is anything raised
                if channel.is_forked():
                    channel.end_child()
                channel.gathered.append(text)
                channel.write_if_free()
                self.idle.append(None)
        except Gone:
            pass  # the main thread will find that out by itself

    def answer(self, record):
        _mtask.current.set(record)
        try:
            output = self.call(record["input"])
        except BaseException as error:
            return failure(record["id"], error, self.channel)
        return answer(record["id"], output, self.channel)

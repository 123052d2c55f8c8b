"""The way to mtask and to the people who read stderr."""

import os
import select
import sys
import threading
import time

BLOCK = 1 << 16  # what a pipe holds
GATHER = 0.001  # seconds: an answer older than this is written before the next call
LAG = 0.003  # seconds: how often it is looked whether a call keeps answers waiting


class People:
    """Those who read stderr."""

    name = ""  # of the callable

    def tell(self, message, traceback=""):
        sys.stderr.write(f"{traceback}mtask: --python {self.name}: {message}\n")
        sys.stderr.flush()


people = People()


class Gone(Exception):
    """mtask reads no more."""


class Channel:
    """The two pipes to mtask, out of everybody else's reach, and answers on their way.

    Answers are gathered while more records are at hand, and written together. None waits for long:
    not for a record that has not come, and not behind a slow call either, as a thread looks after
    those. The lock keeps that thread and the main one from writing at once.
    """

    def __init__(self):
        # Programs started by this process do not inherit what os.dup makes.
        self.source = os.dup(0)
        self.sink = os.dup(1)
        os.set_blocking(self.source, True)
        os.set_blocking(self.sink, True)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        os.dup2(2, 1)
        # What is printed is seen at once, and no character in it is an error.
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
        self.unfinished = [b""]  # the beginning of a line
        self.records = []  # at hand
        self.gathered = []  # answers, as text
        self.written = 0  # how often answers were
        self.spoilt = None  # what has made this process useless, if anything has
        self.lock = threading.Lock()
        self.busy = None
        os.register_at_fork(after_in_child=self.forget)

    def forget(self):
        """In a forked child, which must neither read records nor answer any."""
        os.close(self.source)
        os.close(self.sink)
        self.source = self.sink = None
        self.records.clear()
        self.gathered.clear()

    def is_forked(self):
        return self.sink is None

    def end_child(self, error=None):
        """Ends a forked child that came back from the call it was born in, where nothing but that ends
        it."""
        status = 0
        if issubclass(type(error), SystemExit):
            status = error.code if type(error.code) is int else int(error.code is not None)
        elif error is not None:
            sys.excepthook(type(error), error, error.__traceback__)
            status = 1
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)

    def read_lines(self):
        """Waits for at least one line; None at the end."""
        while True:
            lines = self.read_once()
            if lines != "":
                return lines

    def read_once(self):
        """The lines of one read, which may be none; None at the end."""
        data = os.read(self.source, BLOCK)
        if not data:
            return None
        end = data.rfind(b"\n")
        if end < 0:
            self.unfinished.append(data)
            return ""
        self.unfinished.append(data[:end])
        text = b"".join(self.unfinished).decode()
        self.unfinished = [data[end + 1 :]]
        return text

    def has_more(self):
        """Whether reading would not wait."""
        poll = select.poll()
        poll.register(self.source, select.POLLIN)
        return bool(poll.poll(0))

    def say(self, line):
        self.gathered.append(line + "\n")
        self.write()

    def write(self):
        """Writes what has been gathered, all of it."""
        if self.is_forked():
            sys.exit(0)  # a forked child that came back from the call it was born in
        with self.lock:
            self._write()

    def write_if_free(self):
        """The same, but not where another thread is about to do so."""
        while self.gathered and self.lock.acquire(blocking=False):
            try:
                self._write()
            finally:
                self.lock.release()

    def _write(self):
        self.written += 1
        rest = memoryview(self.take_gathered())
        try:
            while rest:
                rest = rest[os.write(self.sink, rest) :]
        except BrokenPipeError:
            raise Gone from None

    def take_gathered(self):
        """What has been gathered, as bytes."""
        answers = self.gathered[:]
        del self.gathered[: len(answers)]
        # A surrogate can stand in a string alone; its replacement is JSON's way to write it.
        return "".join(answers).encode("utf-8", "backslashreplace")

    def resign(self):
        """Has mtask replace this process. What has not been begun goes elsewhere."""
        people.tell(f"the process is replaced: {self.spoilt}")
        self.say('{"restart":true}')

    def look_after_gathered(self):
        """Call it before answers are gathered."""
        if self.busy is None:
            self.busy = threading.Event()
            threading.Thread(target=self._write_late, name="mtask", daemon=True).start()
        self.busy.set()

    def _write_late(self):
        try:
            while True:
                self.busy.wait()
                self.busy.clear()
                # For a while no event is needed: setting one that is waited for takes a switch of
                # threads.
                for _ in range(30):
                    written = self.written
                    time.sleep(LAG)
                    if self.gathered and written == self.written:
                        self.write()
        except Gone:
            pass  # the main thread will find that out by itself

"""Calls with one record each, several at a time, on one event loop."""

import functools
import os
import time

import _mtask
from _mtask.answers import answer, decode, failed, failure
from _mtask.channel import GATHER, Gone, people
from _mtask.errors import what_was_raised


class Tasks:
    """A task for each call under way.

    mtask sends no more records than may be under way, so each begins when it comes. It also says
    which calls have taken too long: those are cancelled. So no call has a timer of its own.

    Nothing here waits but the loop: where mtask does not listen for a while, calls go on.
    """

    def __init__(self, channel, call, loop):
        self.channel = channel
        self.call = call
        self.loop = loop
        self.under_way = {}  # tasks, by their records' ids
        self.cancelled = set()  # ids
        self.unwritten = memoryview(b"")
        self.is_to_write = False
        self.is_full = False  # what writes waits for mtask
        self.due = 0  # when what is gathered is written, whatever else is to be done
        self.is_over = False  # no record will come
        self.has_ended = False
        self.error = None

    def answer_all(self):
        channel = self.channel
        os.set_blocking(channel.sink, False)
        self.loop.add_reader(channel.source, self.take)
        while not self.has_ended:  # a call may stop the loop, too
            try:
                self.loop.run_forever()
            except (SystemExit, KeyboardInterrupt) as error:
                # Not in a call, but in what one has left on the loop.
                people.tell(f"a task or callback raised {what_was_raised(error)}: calls go on")
        if self.error:
            raise self.error

    def guard(method):
        """The loop would only note an error, and go on."""

        @functools.wraps(method)
        def guarded(self):
            try:
                method(self)
            except BaseException as error:
                self.error = error
                self.end()

        return guarded

    @guard
    def take(self):
        lines = self.channel.read_once()
        if lines is None:
            self.take_no_more()
            return self.write_soon()
        if not lines:
            return
        for record in decode(lines, self.channel.gathered):
            if "id" in record:
                self.begin(record["id"], record)
            else:
                self.cancel(record.get("cancel"))
        if self.channel.gathered:
            self.write_soon()

    def take_no_more(self):
        self.loop.remove_reader(self.channel.source)
        self.is_over = True

    def begin(self, number, record):
        task = self.loop.create_task(self.answer(number, record), name=f"mtask record {number}")
        if not task.done():  # as one may be that begins at once
            self.under_way[number] = task

    async def answer(self, number, record):
        _mtask.current.set(record)
        try:
            output = await self.call(record["input"])
            if number not in self.cancelled:
                text = answer(number, output, self.channel)
        except BaseException as error:
            if self.channel.is_forked():
                self.channel.end_child(error)
            if number not in self.cancelled:
                text = failure(number, error, self.channel)
        if self.channel.is_forked():
            self.channel.end_child()
        self.settle(number, cancelled_answer(number) if number in self.cancelled else text)

    def settle(self, number, text):
        self.under_way.pop(number, None)
        self.cancelled.discard(number)
        if self.channel.spoilt and not self.is_over:
            self.take_no_more()
        gathered = self.channel.gathered
        gathered.append(text)
        if len(gathered) == 1:
            self.due = time.monotonic() + GATHER
            self.write_soon()
        elif not self.is_full and time.monotonic() > self.due:
            self.write()

    def cancel(self, number):
        task = self.under_way.get(number)
        if task is None or not task.cancel():
            return  # its answer is on its way
        self.cancelled.add(number)
        task.add_done_callback(functools.partial(self.was_cancelled, number))

    def was_cancelled(self, number, task):
        if number in self.under_way:  # it had not begun
            self.settle(number, cancelled_answer(number))

    def write_soon(self):
        if not self.is_to_write:
            self.is_to_write = True
            self.loop.call_soon(self.write)

    @guard
    def write(self):
        self.is_to_write = False
        if self.channel.is_forked():
            self.channel.end_child()
        if self.channel.gathered and not self.unwritten:
            self.unwritten = memoryview(self.channel.take_gathered())
        try:
            while self.unwritten:
                self.unwritten = self.unwritten[os.write(self.channel.sink, self.unwritten) :]
                if not self.unwritten and self.channel.gathered:
                    self.unwritten = memoryview(self.channel.take_gathered())
        except BlockingIOError:
            if not self.is_full:
                self.is_full = True
                self.loop.add_writer(self.channel.sink, self.write)
            return
        except BrokenPipeError:
            raise Gone from None
        if self.is_full:
            self.is_full = False
            self.loop.remove_writer(self.channel.sink)
        if self.is_over and not self.under_way:
            os.set_blocking(self.channel.sink, True)
            self.end()

    def end(self):
        self.has_ended = True
        self.loop.stop()


def cancelled_answer(number):
    return failed(number, "asyncio.exceptions.CancelledError", "mtask asked to end the call")

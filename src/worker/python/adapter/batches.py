"""Calls with several records each, one after another."""

import itertools

from _mtask.answers import answer, decode, failure, refusal
from _mtask.channel import BLOCK, people
from _mtask.errors import is_a, is_out_of_memory, name_of, spoils_process, what_was_raised

MOST_BESIDE = 3  # parts of a batch that fail beside each other before all is tried one by one


def answer_in_batches(channel, call, size):
    Batches(channel, call, size).answer_all()


class Batches:
    """Calls with up to `size` records, fewer once memory has run out."""

    def __init__(self, channel, call, size):
        self.channel = channel
        self.call = call
        self.asked = size
        self.size = size
        self.has_warned = False

    def answer_all(self):
        channel = self.channel
        waiting = []  # lines
        while not channel.spoilt:
            while len(waiting) < self.size and (not waiting or channel.has_more()):
                lines = channel.read_lines()
                if lines is None:
                    break
                waiting += lines.split("\n")
            if not waiting:
                return
            batch = waiting[: self.size]
            del waiting[: self.size]
            lines = "\n".join(batch)
            if len(lines) > BLOCK:
                channel.write()  # what is answered does not wait for more than a moment
            records = decode(lines, channel.gathered)
            error = self.answer_together(records)
            if error and len(records) > 1 and not channel.spoilt:
                if not self.has_warned and self.size == self.asked:
                    self.has_warned = True
                    people.tell(
                        f"the inputs of a batch of {len(records)} are tried in halves: {error}"
                    )
                self.answer_in_halves(batch)
            if len(waiting) < self.size:
                channel.write()  # else with the beginning of the next call, which nothing holds up

    def answer_in_halves(self, lines):
        """Answers records that have failed together: each half with one call, those that fail in halves
        again. Where so many fail beside each other that this finds more than it saves, all that is
        left is tried one by one. What memory is too small for says nothing of that."""
        beside = 1  # parts that have failed and hold no other one that has
        halves = cut_in_halves(lines)
        while halves and not self.channel.spoilt:
            half, failed = halves.pop(0)
            if beside == MOST_BESIDE and len(half) > 1:
                halves[:0] = [([line], []) for line in half]
                continue
            if len(half) > self.size:
                halves[:0] = cut_in_halves(half)
                continue
            # Decoded once more, as the call may have changed them.
            records = decode("\n".join(half), [])
            before = self.size
            error = self.answer_together(records)
            self.channel.write()
            if error and self.size == before:
                failed.append(half)
                beside = min(beside + (len(failed) == 2), MOST_BESIDE)
            if error and len(records) > 1:
                halves[:0] = cut_in_halves(half)

    def answer_together(self, records):
        """Answers records with one call, or one that fails with its error. Says why that has failed."""
        channel = self.channel
        channel.records = records
        self.say_started(records)
        if not records:
            return None
        try:
            outputs = as_list(self.call([record["input"] for record in records]), len(records))
        except BaseException as error:
            refused = [refusal(record["id"], error) for record in records]
            if None not in refused and not channel.is_forked():
                channel.gathered += refused
                return None
            what = what_was_raised(error)
            if len(records) > 1 and not channel.is_forked():
                if spoils_process(error):
                    channel.spoilt = what  # which record did it, the next process finds
                elif is_out_of_memory(error):
                    self.lower(len(records) // 2, what)
                return what
            channel.gathered.append(failure(records[0]["id"], error, channel))
            return what
        for record, output in zip(records, outputs):
            channel.gathered.append(answer(record["id"], output, channel))
        return None

    def lower(self, size, why):
        """Memory has run out: calls have so many records from now on."""
        if self.size == self.asked:
            people.tell(f"calls have {size} records at most from now on: {why}")
        self.size = min(self.size, size)

    def say_started(self, records):
        """Tells which records the next call has: their time begins."""
        if records:
            numbers = [record["id"] for record in records]
            self.channel.gathered.append(f'{{"started":{numbers}}}\n')
        self.channel.write()


def cut_in_halves(lines):
    """Both, each with a list for those of the two that fail."""
    middle = len(lines) // 2
    failed = []
    return [(lines[:middle], failed), (lines[middle:], failed)]


def as_list(outputs, count):
    """What a call with `count` inputs gave, as a list of `count` outputs."""
    kind = name_of(type(outputs))
    if is_a(outputs, BaseException):
        raise outputs
    if callable(getattr(outputs, "tolist", None)):
        outputs = outputs.tolist()
    elif hasattr(type(outputs), "__next__"):
        outputs = list(itertools.islice(outputs, count + 1))
    if not isinstance(outputs, (list, tuple)):
        raise TypeError(f"with --batch a call returns a list of outputs, and not {kind}")
    outputs = list(outputs)
    if len(outputs) != count:
        raise ValueError(f"the call was given {count} inputs and returned {len(outputs)} outputs")
    return outputs

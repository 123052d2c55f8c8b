"""Calls with several records each, one after another."""

import itertools

from _mtask.answers import answer, decode, failure
from _mtask.channel import BLOCK, people
from _mtask.errors import is_a, name_of, what_was_raised

MOST_BESIDE = 3  # parts of a batch that fail beside each other before all is tried one by one


def answer_in_batches(channel, call, size):
    waiting = []  # lines
    has_warned = False
    while True:
        while len(waiting) < size and (not waiting or channel.has_more()):
            lines = channel.read_lines()
            if lines is None:
                break
            waiting += lines.split("\n")
        if not waiting:
            return
        batch = waiting[:size]
        del waiting[:size]
        lines = "\n".join(batch)
        if len(lines) > BLOCK:
            channel.write()  # what is answered does not wait for more than a moment
        records = decode(lines, channel.gathered)
        say_started(channel, records)
        error = answer_together(channel, call, records)
        if error and len(records) > 1:
            if not has_warned:
                has_warned = True
                people.tell(f"the inputs of a batch of {len(records)} are tried in halves: {error}")
            answer_in_halves(channel, call, batch)
        if len(waiting) < size:
            channel.write()  # else with the beginning of the next call, which nothing holds up


def answer_in_halves(channel, call, lines):
    """Answers records that have failed together: each half with one call, those that fail in halves
    again. Where so many fail beside each other that this finds more than it saves, all that is left
    is tried one by one."""
    beside = 1  # parts that have failed and hold no other one that has
    halves = cut_in_halves(lines)
    while halves:
        half, failed = halves.pop(0)
        if beside == MOST_BESIDE and len(half) > 1:
            halves[:0] = [([line], []) for line in half]
            continue
        # Decoded once more, as the call may have changed them.
        records = decode("\n".join(half), [])
        say_started(channel, records)
        error = answer_together(channel, call, records)
        channel.write()
        if error:
            failed.append(half)
            beside = min(beside + (len(failed) == 2), MOST_BESIDE)
            if len(records) > 1:
                halves[:0] = cut_in_halves(half)


def cut_in_halves(lines):
    """Both, each with a list for those of the two that fail."""
    middle = len(lines) // 2
    failed = []
    return [(lines[:middle], failed), (lines[middle:], failed)]


def say_started(channel, records):
    """Tells which records the next call has: their time begins."""
    if records:
        channel.gathered.append(f'{{"started":{[record["id"] for record in records]}}}\n')
    channel.write()


def answer_together(channel, call, records):
    """Answers records with one call, or one that fails with its error. Says why that has failed."""
    channel.records = records
    if not records:
        return None
    try:
        outputs = as_list(call([record["input"] for record in records]), len(records))
    except BaseException as error:
        if len(records) > 1 and not channel.is_forked():
            return what_was_raised(error)
        what = what_was_raised(error)
        channel.gathered.append(failure(records[0]["id"], error, channel))
        return what
    for record, output in zip(records, outputs):
        channel.gathered.append(answer(record["id"], output, channel))
    return None


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

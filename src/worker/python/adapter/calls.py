"""Calls with one record each, one after another."""

import time
from json.encoder import encode_basestring

import _mtask
from _mtask.answers import answer, decode, failure
from _mtask.channel import GATHER


def answer_one_by_one(channel, call):
    gathered, clock = channel.gathered, time.monotonic
    while True:
        lines = channel.read_lines()
        if lines is None:
            return
        records = channel.records = decode(lines, gathered)
        if len(records) > 1 or gathered:
            channel.look_after_gathered()
        due = clock() + GATHER
        for record in records:
            _mtask.current.set(record)
            try:
                output = call(record["input"])
            except BaseException as error:
                gathered.append(failure(record["id"], error, channel))
            else:
                if type(output) is str:  # most are, and this is several times as fast
                    gathered.append(
                        f'{{"id":{record["id"]},"output":{encode_basestring(output)}}}\n'
                    )
                else:
                    gathered.append(answer(record["id"], output, channel))
            if channel.spoilt:
                return
            if clock() > due:
                channel.write()
                due = clock() + GATHER
        _mtask.current.set(None)
        channel.write()

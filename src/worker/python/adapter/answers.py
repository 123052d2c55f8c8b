"""Records as mtask sends them, and what it is answered."""

import json
import os
from json.encoder import encode_basestring

from _mtask.errors import (
    is_a,
    is_users,
    name_of,
    spoils_process,
    text_of,
    traceback_of,
    what_it_says,
    what_was_raised,
)
from _mtask.library import library
from _mtask.refusals import wait_of


def decode(lines, gathered):
    """The records on these lines. One that Python cannot hold has failed with that."""
    try:
        return with_bytes(json.loads("[" + lines.replace("\n", ",") + "]"), lines)
    except (ValueError, RecursionError, MemoryError):
        pass
    records = []
    for line in lines.split("\n"):
        try:
            records += with_bytes([json.loads(line)], line)
        except (ValueError, RecursionError, MemoryError) as error:
            message = f"Python cannot read the record: {text_of(error)}"
            number = line[len('{"id":') : line.index(",")]
            gathered.append(failed(number, name_of(type(error)), message))
    return records


def with_bytes(records, lines):
    """Has those that are not UTF-8 as the system's names of files are in Python: os.fsencode gives the
    bytes."""
    if ',"input_base64":"' in lines:
        with library:
            from base64 import b64decode
        for record in records:
            if "input_base64" in record:
                record["input"] = os.fsdecode(b64decode(record["input_base64"]))
    return records


Generator = type(_ for _ in ())


def answer(number, output, channel):
    if type(output) is Generator:
        return answer_of_parts(number, output, channel)
    try:
        return f'{{"id":{number},"output":{encode(output)}}}\n'
    except BaseException as error:
        if is_a(output, BaseException):
            return failure(number, output, channel)
        return failure(number, error, channel, why_not_json(output, error))


def answer_of_parts(number, generator, channel):
    """The answer to a record that has as many results as a generator yields, or none."""
    outputs = []
    try:
        for output in generator:
            try:
                outputs.append(encode(output))
            except BaseException as error:
                generator.close()
                if is_a(output, BaseException):
                    return failure(number, output, channel)
                name = f"output {len(outputs)}"
                return failure(number, error, channel, why_not_json(output, error, name))
    except BaseException as error:
        return failure(number, error, channel)
    return f'{{"id":{number},"outputs":[{",".join(outputs)}]}}\n'


def refusal(number, error):
    """The answer to a record whose call raised an error that says "not now", where it does: that is
    no failure."""
    wait = wait_of(error)
    return None if wait is None else f'{{"id":{number},"retry_after":{wait}}}\n'


def failure(number, error, channel, message=None):
    """The answer to a record whose call raised or returned `error`, or whose result did where that
    was looked at."""
    if channel.is_forked():
        raise error
    if spoils_process(error):
        channel.spoilt = what_was_raised(error)
    if message is None:
        refused = refusal(number, error)
        if refused is not None:
            BaseException.with_traceback(error, None)
            return refused
        message = what_it_says(error)
        traceback = traceback_of(error)
    else:
        # Without a frame of the user's it would tell nothing.
        traceback = traceback_of(error) if is_users(error) else ""
    text = failed(number, name_of(type(error)), message, traceback)
    # An exception that is raised again and again would collect the frames of all records. Plainly
    # set, this fails for some classes.
    BaseException.with_traceback(error, None)
    return text


def failed(number, kind, message, traceback=""):
    error = {"type": kind, "message": message}
    if traceback:
        error["traceback"] = traceback
    # Surrogates are shown for what they are: as characters, some readers of JSON refuse them.
    error = {
        key: str(text.encode("utf-8", "backslashreplace"), "utf-8") for key, text in error.items()
    }
    return f'{{"id":{number},"error":{encode(error)}}}\n'


def plain(value):
    """A value that JSON does not know, as one that it does: for dataclasses and whatever has
    `tolist`, as the arrays and numbers of numpy and the tensors of torch have."""
    if not isinstance(value, (type, BaseException)):
        if hasattr(type(value), "__dataclass_fields__"):
            dataclasses = library.load("dataclasses")
            return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        if callable(getattr(value, "tolist", None)) and not isinstance(value, memoryview):
            listed = value.tolist()
            if type(listed) is not type(value):
                return listed
    raise TypeError(f"of type {name_of(type(value))}{way_out(value)}")


def way_out(value):
    if isinstance(value, type) and issubclass(value, BaseException):
        return f" ({name_of(value)}): raise it, or return one"
    if is_a(value, BaseException):
        return ": raise it, or return its str()"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return ": decode it, or use base64"
    if isinstance(value, (set, frozenset)):
        return ", which has no order: return a list"
    if hasattr(value, "__await__"):
        return ": await it in a function that is async itself"
    if hasattr(value, "__next__"):
        return ": return a list, or yield from it"
    if hasattr(value, "__anext__"):
        return ": iterate over it with async for"
    if hasattr(value, "isoformat"):
        return ": return its isoformat()"
    if hasattr(value, "__fspath__"):
        return ": return its str()"
    return ": return a dict, list, str, number, bool or None"


def make_encoder():
    """What `json.dumps` does with the same options, but made once and not for each value."""
    options = {
        "ensure_ascii": False,
        "allow_nan": False,
        "separators": (",", ":"),
        "default": plain,
    }
    encode_slowly = json.JSONEncoder(**options).encode
    outer = {}  # containers that are being encoded
    try:
        make = json.encoder.c_make_encoder
        chunks = make(outer, plain, encode_basestring, None, ":", ",", False, False, False)
        "".join(chunks([0, "", 0.5], 0))
    except (AttributeError, TypeError):
        return encode_slowly  # not made for people to call: it may change, or be missing

    def encode(value):
        try:
            return "".join(chunks(value, 0))
        except BaseException:
            outer.clear()
            raise

    return encode


encode = make_encoder()


def why_not_json(value, error, name="output"):
    try:
        flaw = find_flaw(value, name)
    except BaseException:
        flaw = None
    return f"the {name} is not JSON: {flaw or what_it_says(error)}"


def find_flaw(value, place):
    if value is None or isinstance(value, (str, int)):
        return None
    if isinstance(value, float):
        if value - value == 0:
            return None
        return f"{place} is {float(value)}, and JSON has no such number: return None instead"
    if isinstance(value, dict):
        for key, inner in value.items():
            if not (key is None or isinstance(key, (str, int, float))):
                return f"{place} has a key of type {name_of(type(key))}: keys are strings"
            flaw = find_flaw(inner, f"{place}[{key!r}]")
            if flaw:
                return flaw
        return None
    if isinstance(value, (list, tuple)):
        flaws = (find_flaw(inner, f"{place}[{at}]") for at, inner in enumerate(value))
        return next(filter(None, flaws), None)
    try:
        value = plain(value)
    except TypeError as error:
        return f"{place} is {error}"
    return find_flaw(value, place)

# mtask's adapter: makes a Python function or class a worker that speaks the json protocol.
#
# mtask runs it as `python3 -c THIS_TEXT OBJECT MODULE`. MODULE is the source of the module `mtask`.
# OBJECT is JSON:
#   callable       "embed.py:Embedder" or "package.module:NAME", as it was typed
#   args, kwargs   what a class is constructed with
#   placed         which of these stand in the command line too; "arg" for the whole of it
#   argument_type  "single", "args" or "kwargs"
#   batch          how many inputs a call gets at most, or null
#
# It needs Python 3.8 and the standard library. What goes wrong before `ready` ends it with status 1
# and a line on stderr that begins with "mtask: --python", after a traceback where it was raised by
# the user's code. The status is 127 where the callable or its module is not there, and 126 where it
# cannot be loaded or called whenever that is tried, as a shell has it for commands: mtask then starts
# no other process.

import sys

if sys.version_info < (3, 8):
    sys.exit(
        f"mtask: --python needs Python 3.8 or newer, not {sys.version.split()[0]}: {sys.executable}"
    )
if sys.path[:1] == [""]:
    del sys.path[0]  # the working directory

import os  # every Python has it loaded by now


class Library:
    """Python's own modules, which files of the user with the same names neither replace nor miss.

    `with library:` what is imported, also from within functions of the library, is the library's.
    Outside, a name that the user's folders have too is the user's, as it is without this adapter.
    """

    def __init__(self):
        home = os.path.dirname(os.__file__)
        self.path = [
            place
            for place in sys.path
            if place == home or os.path.basename(place) == "lib-dynload"
        ]
        names = getattr(sys, "stdlib_module_names", ())  # not before Python 3.10
        if not names and os.path.isdir(home):
            names = {file.partition(".")[0] for place in self.path for file in os.listdir(place)}
        # Where it is not in files, nobody can tell what is the library's.
        self.names = [*names] if home in self.path else []
        self.theirs = {}  # the user's modules, while only the library is seen
        self.known = {}  # the modules that are the library's, by name
        self.apart = {}  # those of them, and what belongs to them, that only the library sees
        self.first = len(sys.modules)  # how many Python itself has loaded
        self.count = 0  # of modules, when there was last none of the user's with such a name

    def __enter__(self):
        self.outer_path = sys.path
        sys.path = self.path + [place for place in sys.path if place not in self.path]
        self.tops = set()
        if self.apart or len(sys.modules) != self.count:
            self.swap()
        self.count = len(sys.modules)

    def swap(self):
        self.tops = {key.partition(".")[0] for key in self.apart}
        for name in self.names:
            module = sys.modules.get(name)
            if module is None or module is self.known.get(name):
                pass
            elif self.has(module):
                self.known[name] = module
            else:
                self.tops.add(name)
                if name in self.known:
                    self.apart.setdefault(name, self.known[name])
        self.theirs = take_modules(self.tops)
        sys.modules.update(self.apart)

    def __exit__(self, *_):
        sys.path = self.outer_path
        self.tops |= shadowed(self.path, self.count)
        self.count = len(sys.modules)
        if self.tops:
            self.apart.update(take_modules(self.tops))
            sys.modules.update(self.theirs)
            self.theirs = {}

    def give_way(self, folder):
        """Puts a folder of the user's first on the path."""
        sys.path.insert(0, folder)
        self.apart.update(take_modules(shadowed(self.path, self.first)))
        if self.apart:
            self.load("traceback")  # later, what it needs may have been loaded with the user's

    def has(self, module):
        origin = getattr(getattr(module, "__spec__", None), "origin", None)
        if type(origin) is not str or origin in ("built-in", "frozen"):
            return True
        folder = os.path.dirname(origin)
        return folder in self.path or os.path.dirname(folder) in self.path

    def load(self, name):
        if name not in self.known:
            with self:
                self.known[name] = __import__(name)
        return self.known[name]


def take_modules(tops):
    """Takes modules with these names, and what belongs to them, out of Python's sight."""
    if not tops:
        return {}
    keys = [key for key in list(sys.modules) if key.partition(".")[0] in tops]
    return {key: sys.modules.pop(key) for key in keys}


def shadowed(library_path, since):
    """The modules, of those loaded when there were `since` of them, whose names files of the user
    have too, where they are looked for before the library."""
    front = []
    for place in sys.path:
        if place in library_path:
            break
        front.append(place)
    if not front:
        return set()
    names = [name for name in list(sys.modules)[since:] if "." not in name]  # new ones stand last
    return {name for name in names if not is_built_in(name) and is_found(name, front)}


def is_built_in(name):
    """Whether a module is not looked for in files."""
    spec = getattr(sys.modules[name], "__spec__", None)
    return getattr(spec, "origin", None) in ("built-in", "frozen")


def is_found(name, path):
    spec = PathFinder.find_spec(name, path)
    return spec is not None and spec.loader is not None  # a mere folder does not count


library = Library()
try:
    with library:
        from importlib.machinery import PathFinder, SourceFileLoader  # which `library` needs itself

        import contextvars
        import functools
        import importlib.util
        import itertools
        import json
        import select
        import signal
        import threading
        import time
        from json.encoder import encode_basestring
except ImportError as missing:
    sys.stderr.write(
        f"mtask: --python: {sys.executable} lacks {missing.name}, a module of Python's own library: "
        "install all of it (Debian: python3, not python3-minimal)\n"
    )
    sys.exit(126)

BLOCK = 1 << 16  # what a pipe holds
GATHER = 0.001  # seconds: an answer older than this is written before the next call
MOST_BESIDE = 3  # parts of a batch that fail beside each other before all is tried one by one
LAG = 0.003  # seconds: how often it is looked whether a call keeps answers waiting


def main():
    task = json.loads(sys.argv[1])
    people.name = task["callable"]
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # mtask judges a worker that is ended by a signal, and it has to see that it was.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    offer_module(sys.argv[2])
    channel = Channel()
    try:
        worker = Worker(task)
    except Unusable as unusable:
        # Said in full once, not for each process that fails in the same way.
        is_first = os.environ.get("MTASK_PROCESS", "0") == "0"
        people.tell(f"{unusable}{unusable.place}", unusable.traceback if is_first else "")
        sys.exit(unusable.status)
    try:
        if task["batch"]:
            channel.say({"ready": True, "concurrency": 2 * task["batch"], "can": ["start"]})
            answer_in_batches(channel, worker.call, task["batch"])
        else:
            channel.say({"ready": True})
            answer_one_by_one(channel, worker.call)
        worker.close(channel)
    except Gone:
        pass  # nobody is left to tell


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

    def read_lines(self):
        """Waits for at least one line; None at the end."""
        while True:
            data = os.read(self.source, BLOCK)
            if not data:
                return None
            end = data.rfind(b"\n")
            if end < 0:
                self.unfinished.append(data)
                continue
            self.unfinished.append(data[:end])
            text = b"".join(self.unfinished).decode()
            self.unfinished = [data[end + 1 :]]
            return text

    def has_more(self):
        """Whether reading would not wait."""
        poll = select.poll()
        poll.register(self.source, select.POLLIN)
        return bool(poll.poll(0))

    def say(self, value):
        self.gathered.append(encode(value) + "\n")
        self.write()

    def write(self):
        """Writes what has been gathered, all of it."""
        if self.is_forked():
            sys.exit(0)  # a forked child that came back from the call it was born in
        with self.lock:
            answers = self.gathered[:]
            del self.gathered[: len(answers)]
            self.written += 1
            # A surrogate can stand in a string alone; its replacement is JSON's way to write it.
            rest = memoryview("".join(answers).encode("utf-8", "backslashreplace"))
            try:
                while rest:
                    rest = rest[os.write(self.sink, rest) :]
            except BrokenPipeError:
                raise Gone from None

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


# The module `mtask`, for the user's code

current = contextvars.ContextVar("mtask.current")  # the record that a call is for, as it was sent


def offer_module(source):
    """Lets the user's code import `mtask`, be it installed or not, and tells it of the current record."""
    told = type(sys)("_mtask")  # where that module looks
    told.current = current
    sys.modules["_mtask"] = told
    sys.meta_path.insert(0, Offer(source))


class Offer:
    """Finds the module `mtask` where Python itself finds none."""

    def __init__(self, source):
        self.source = source

    def find_spec(self, name, path=None, target=None):
        if name != "mtask" or is_found(name, None):
            return None
        return importlib.util.spec_from_loader(name, self)

    def create_module(self, spec):
        return None  # a usual one

    def exec_module(self, module):
        exec(compile(self.source, "<mtask>", "exec", dont_inherit=True), vars(module))


# Answering


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
            current.set(record)
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
            if clock() > due:
                channel.write()
                due = clock() + GATHER
        current.set(None)
        channel.write()


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


def decode(lines, gathered):
    """The records on these lines. One that Python cannot hold has failed with that."""
    try:
        return json.loads("[" + lines.replace("\n", ",") + "]")
    except (ValueError, RecursionError, MemoryError):
        pass
    records = []
    for line in lines.split("\n"):
        try:
            records.append(json.loads(line))
        except (ValueError, RecursionError, MemoryError) as error:
            message = f"Python cannot read the record: {text_of(error)}"
            number = line[len('{"id":') : line.index(",")]
            gathered.append(failed(number, name_of(type(error)), message))
    return records


def answer(number, output, channel):
    try:
        return f'{{"id":{number},"output":{encode(output)}}}\n'
    except BaseException as error:
        if is_a(output, BaseException):
            return failure(number, output, channel)
        return failure(number, error, channel, why_not_json(output, error))


def failure(number, error, channel, message=None):
    """The answer to a record whose call raised or returned `error`, or whose result did where that
    was looked at."""
    if channel.is_forked():
        raise error
    if message is None:
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


# What follows asks nothing of the user's objects but what it must, for anything may raise anything.
get_module = type.__dict__["__module__"].__get__
get_qualname = type.__dict__["__qualname__"].__get__
get_traceback = BaseException.__dict__["__traceback__"].__get__


def is_a(value, kind):
    """Like `isinstance`, which looks at `__class__` too."""
    return issubclass(type(value), kind)


def name_of(kind):
    """A type's name as Python prints it."""
    name = get_qualname(kind)
    try:
        module = get_module(kind)
    except BaseException:
        module = None  # there is none
    return f"{module}.{name}" if type(module) is str and module != "builtins" else name


def text_of(error):
    try:
        return str.__str__(str(error))  # the former makes a mere string of what the latter gives
    except BaseException:
        return f"<{get_qualname(type(error))}.__str__ failed>"


def what_it_says(error):
    text = text_of(error)
    return f"sys.exit({text}) was called" if is_a(error, SystemExit) else text


def what_was_raised(error):
    return f"{name_of(type(error))}: {text_of(error)}"


def traceback_of(error):
    """The traceback as Python prints it, from the first frame that is the user's."""
    try:
        with library:
            import traceback

            lines = traceback.format_exception(type(error), error, users_frames(error))
        return str.__str__("".join(lines))
    except BaseException:
        return what_was_raised(error) + "\n"


def users_frames(error):
    frames = get_traceback(error)
    while frames:
        names = frames.tb_frame.f_globals
        package = str(names.get("__name__")).partition(".")[0]
        if names is not globals() and package not in ("asyncio", "importlib", "json"):
            break
        frames = frames.tb_next
    return frames


def is_users(error):
    """Whether the user's code raised it."""
    try:
        return users_frames(error) is not None
    except BaseException:
        return True


def place_of(error):
    """Where it was raised, in brackets, or nothing where that is not known."""
    frames = users_frames(error)
    if frames is None:
        return ""
    while frames.tb_next:
        frames = frames.tb_next
    file = os.path.basename(frames.tb_frame.f_code.co_filename)
    return f" ({file}, line {frames.tb_lineno})"


# JSON


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
        return ": return a list"
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


# Starting


class Unusable(Exception):
    """Why there is no worker, for people."""

    def __init__(self, message, error=None, status=1):
        super().__init__(message)
        self.status = status
        self.traceback = "" if error is None else traceback_of(error)
        self.place = "" if error is None else place_of(error)


COROUTINE, GENERATOR, ASYNC_GENERATOR = 0x80, 0x20, 0x200  # as in the module inspect


class Worker:
    """What the user wrote, ready to be called."""

    def __init__(self, task):
        self.instance = None
        self.loop = None
        function = target = load(task["callable"])
        is_class = isinstance(target, type)
        if is_class:
            if not any("__call__" in vars(base) for base in target.__mro__):
                raise Unusable(
                    "its instances cannot be called: give the class a method __call__", status=126
                )
            function = target.__call__
        elif not callable(target):
            kind = name_of(type(target))
            raise Unusable(f"it is of type {kind}, and no function or class", status=126)
        flags = code_flags(function)
        if flags & (GENERATOR | ASYNC_GENERATOR):
            raise Unusable(
                "it is a generator: return a list in place of yield, as each record has one output",
                status=126,
            )
        if flags & COROUTINE:
            self.loop = new_loop()
        if is_class:
            target = self.instance = self.construct(target, task)
        elif not set(task["args"] and ["arg"]).union(task["kwargs"]).issubset(task["placed"]):
            raise Unusable(
                "it is a function, which takes no init argument: leave out --worker-arg and "
                "--shared-arg, or name a class",
                status=126,
            )
        self.call = with_arguments(target, task["argument_type"])
        if self.loop:
            call, run = self.call, self.loop.run_until_complete
            self.call = lambda record: run(call(record))

    def construct(self, target, task):
        async def in_loop(*args, **kwargs):
            return target(*args, **kwargs)

        args, kwargs = task["args"], task["kwargs"]
        if task["placed"]:
            kwargs = without_unknown(target, kwargs, task["placed"])
        try:
            if self.loop:
                return self.loop.run_until_complete(in_loop(*args, **kwargs))
            return target(*args, **kwargs)
        except BaseException as error:
            if is_a(error, TypeError) and not is_users(error):
                given = ", ".join(
                    [*map(repr, args), *(f"{key}={value!r}" for key, value in kwargs.items())]
                )
                raise Unusable(
                    f"its constructor cannot be called with ({given}), which is what --worker-arg "
                    f"and --shared-arg say: {text_of(error)}",
                    status=126,
                ) from None
            raise Unusable(f"its constructor raised {what_was_raised(error)}", error) from None

    def close(self, channel):
        """The end of the input: the last words."""
        try:
            close = getattr(self.instance, "close", None)
            if callable(close):
                value = close()
                if hasattr(value, "__await__"):
                    self.loop = self.loop or new_loop()
                    value = self.loop.run_until_complete(value)
                self.say_exit(channel, value)
            if self.loop:
                close_loop(self.loop)
        except (Gone, SystemExit):
            raise
        except BaseException as error:
            people.tell(f"its close() raised {what_was_raised(error)}", traceback_of(error))
            sys.exit(1)

    def say_exit(self, channel, value):
        if value is None:
            return
        try:
            encode(value)
        except BaseException as error:
            people.tell(why_not_json(value, error, "exit value"))
            sys.exit(1)
        channel.say({"exit": value})


def new_loop():
    asyncio = library.load("asyncio")
    with library:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
    return loop


def close_loop(loop):
    asyncio = library.load("asyncio")
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def with_arguments(target, argument_type):
    if argument_type == "args":

        def call(record):
            if type(record) is not list:
                kind = name_of(type(record))
                raise TypeError(f"--argument-type args: the record is of type {kind}, and no list")
            return target(*record)

        return call
    if argument_type == "kwargs":

        def call(record):
            if type(record) is not dict:
                kind = name_of(type(record))
                raise TypeError(
                    f"--argument-type kwargs: the record is of type {kind}, and no dict"
                )
            return target(**record)

        return call
    return target


def without_unknown(target, kwargs, placed):
    """Leaves out the keys that the command line has had and the constructor does not know."""
    inspect = library.load("inspect")
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return kwargs
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return kwargs
    known = {parameter.name for parameter in parameters}
    return {key: value for key, value in kwargs.items() if key in known or key not in placed}


def code_flags(function):
    while isinstance(function, functools.partial):
        function = function.func
    if not hasattr(function, "__code__"):
        function = getattr(function, "__func__", None) or getattr(type(function), "__call__", None)
    code = getattr(function, "__code__", None)
    return code.co_flags if code else 0


def load(name):
    place, _, attributes = name.rpartition(":")
    if place.endswith(".py") or "/" in place:
        found = load_file(os.path.realpath(place), place, attributes)
    else:
        found = load_module(place)
    inside = place
    for attribute in attributes.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            difflib = library.load("difflib")
            close = difflib.get_close_matches(attribute, dir(found), 1)
            hint = f": did you mean {close[0]}?" if close else ""
            raise Unusable(f"{inside} has no {attribute}{hint}", status=127) from None
        inside = f"{inside}:{attribute}" if inside is place else f"{inside}.{attribute}"
    return found


def load_file(path, place, attributes):
    """Runs a file as the module of its name, which other modules and processes can import."""
    if not os.path.isfile(path):
        raise Unusable(f"there is no file {os.path.abspath(place)}", status=127)
    folder, file = os.path.split(path)
    module_name = os.path.splitext(file)[0]
    if module_name in sys.modules:
        raise Unusable(f"Python itself has a module {module_name}: rename {place}", status=126)
    library.give_way(folder)  # as for `python FILE.py`
    sys.argv[:] = [place]
    loader = SourceFileLoader(module_name, path)
    spec = importlib.util.spec_from_file_location(module_name, path, loader=loader)
    module = sys.modules[module_name] = importlib.util.module_from_spec(spec)
    try:
        # Compiled anew each time: a cache could be that of a file changed within the same second.
        exec(compile(loader.get_data(path), path, "exec", dont_inherit=True), vars(module))
    except BaseException as error:
        if is_a(error, ImportError) and "no known parent package" in text_of(error):
            package = module_name
            while os.path.exists(os.path.join(folder, "__init__.py")):
                folder, parent = os.path.split(folder)
                package = f"{parent}.{package}"
            raise Unusable(
                "a relative import needs a package: use --python "
                f"{package}:{attributes} in the folder {folder}",
                error,
                status=126,
            ) from None
        raise cannot_load(place, error) from None
    return module


def load_module(name):
    library.give_way(os.getcwd())  # as for `python -m`
    sys.argv[:] = ["-m"]
    try:
        module = importlib.import_module(name)
    except BaseException as error:
        missing = getattr(error, "name", None)
        if is_a(error, ModuleNotFoundError) and f"{name}.".startswith(f"{missing}."):
            raise Unusable(
                f"{sys.executable} finds no module {missing}, neither in {os.getcwd()} nor where "
                "packages are installed",
                status=127,
            ) from None
        raise cannot_load(name, error) from None
    sys.argv[:] = [getattr(module, "__file__", None) or name]
    return module


def cannot_load(place, error):
    message = f"{place} cannot be loaded: {what_was_raised(error)}"
    if is_a(error, ModuleNotFoundError):
        message += f" (in {sys.executable}; another Python can be named after --)"
    # What else has failed may be a device that is busy, or a file that is yet to come.
    is_final = is_a(error, (SyntaxError, ModuleNotFoundError))
    return Unusable(message, error, status=126 if is_final else 1)


main()

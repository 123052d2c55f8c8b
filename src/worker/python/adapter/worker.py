"""What the user wrote, found and constructed."""

import functools
import importlib
import importlib.util
import os
import sys
from importlib.machinery import SourceFileLoader

from _mtask.answers import encode, why_not_json
from _mtask.channel import Gone, people
from _mtask.errors import is_a, is_users, name_of, place_of, text_of, traceback_of, what_was_raised
from _mtask.library import library


class Unusable(Exception):
    """Why there is no worker, for people."""

    def __init__(self, message, error=None, status=1):
        super().__init__(message)
        self.status = status
        self.traceback = "" if error is None else traceback_of(error)
        self.place = "" if error is None else place_of(error)


COROUTINE, ASYNC_GENERATOR = 0x80, 0x200  # as in the module inspect


class Worker:
    """What the user wrote, ready to be called."""

    def __init__(self, task):
        self.instance = None
        self.loop = None
        if "expression" in task:
            with library:
                from _mtask.expression import load_expression
            function = target = load_expression(task["expression"])
        else:
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
        if flags & (COROUTINE | ASYNC_GENERATOR):
            self.loop = new_loop()
        if is_class:
            target = self.instance = self.construct(target, task)
        elif not set(task["args"] and ["arg"]).union(task["kwargs"]).issubset(task["placed"]):
            raise Unusable(
                "it is a function, which takes no init argument: leave out --worker-arg and "
                "--shared-arg, or name a class",
                status=126,
            )
        self.call = self.function = with_arguments(target, task["argument_type"])
        if self.loop:
            if flags & ASYNC_GENERATOR:
                generate = self.function
                self.function = lambda record: all_of(generate(record))
            function, run = self.function, self.loop.run_until_complete
            self.call = lambda record: run(function(record))

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
        channel.say(encode({"exit": value}))


async def all_of(generator):
    outputs = [output async for output in generator]
    return (output for output in outputs)


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

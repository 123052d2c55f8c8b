"""What went wrong in the user's code, for people.

It asks nothing of the user's objects but what it must, for anything may raise anything.
"""

import os

from _mtask.library import library

# Packages whose frames, where a traceback begins with them, are not the user's.
NOT_USERS = ("_mtask", "asyncio", "importlib", "json")

get_module = type.__dict__["__module__"].__get__
get_qualname = type.__dict__["__qualname__"].__get__
get_cause = BaseException.__dict__["__cause__"].__get__
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


def spoils_process(error):
    """Whether all that comes after it would fail too: it says so itself, or is one of those that a GPU
    gives from then on."""
    while error is not None:
        try:
            restart = error.restart
        except BaseException:
            restart = None
        if restart is True or type(restart) is int and restart:
            return True
        text = text_of(error)
        if text.startswith(("CUDA error:", "HIP error:")) and "out of memory" not in text:
            return True
        error = get_cause(error)
    return False


def is_out_of_memory(error):
    """Whether less at a time may do, as torch has it too, which need not be loaded for that."""
    return is_a(error, MemoryError) or name_of(type(error)).endswith(".OutOfMemoryError")


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
        name = str(frames.tb_frame.f_globals.get("__name__"))
        if name.partition(".")[0] not in NOT_USERS:
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

# mtask's adapter: makes a Python function or class a worker that speaks the json protocol.
#
# It is a package, `_mtask`, of which this is the first text: mtask runs it as
# `python3 -c THIS_TEXT OBJECT MODULES`. MODULES are all others, each behind a line that begins with
# a form feed and names it; one is compiled when it is first imported, so that a worker does not
# wait for what it does not use. OBJECT is JSON:
#   callable       "embed.py:Embedder" or "package.module:NAME", as it was typed; or in place of it
#   expression     "lambda x: x + 1"
#   args, kwargs   what a class is constructed with
#   placed         which of these stand in the command line too; "arg" for the whole of it
#   argument_type  "single", "args" or "kwargs"
#   batch          how many inputs a call gets at most, or null
#   concurrency    how many calls are under way at most, or null for one
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


class Bundle:
    """Finds the modules of `_mtask`, and `mtask`, which is for the user's code, where Python itself
    finds none of that name."""

    def __init__(self, text):
        parts = (part.partition("\n") for part in text.split("\f")[1:])
        self.sources = {name: source for name, _, source in parts}

    def find_spec(self, name, path=None, target=None):
        if name not in self.sources or name == "mtask" and is_found(name, None):
            return None
        # The class by its own name would be in a module that a file of the user may stand for.
        return type(sys.__spec__)(name, self, is_package=name == "_mtask")

    def create_module(self, spec):
        return None  # a usual one

    def exec_module(self, module):
        name = module.__name__
        exec(compile(self.sources[name], f"<{name}>", "exec", dont_inherit=True), vars(module))


sys.meta_path.insert(0, Bundle(sys.argv[2]))
try:
    from _mtask.library import is_found, library

    with library:
        from _mtask.main import main
except ImportError as missing:
    sys.stderr.write(
        f"mtask: --python: {sys.executable} lacks {missing.name}, a module of Python's own library: "
        "install all of it (Debian: python3, not python3-minimal)\n"
    )
    sys.exit(126)

main()

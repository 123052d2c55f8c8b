"""Python's own modules, beside files of the user that have the same names."""

import _thread
import os
import sys


class Library:
    """Python's own modules, which files of the user with the same names neither replace nor miss.

    `with library:` what is imported, also from within functions of the library, is the library's.
    Outside, a name that the user's folders have too is the user's, as it is without this adapter.
    """

    def __init__(self):
        home = os.path.dirname(os.__file__)
        self.lock = _thread.RLock()  # calls may be in threads
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
        self.lock.acquire()
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
        try:
            self.leave()
        finally:
            self.lock.release()

    def leave(self):
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
with library:
    from importlib.machinery import PathFinder  # which `library` needs itself

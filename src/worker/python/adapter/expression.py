"""An expression in place of a function: `lambda s: unicodedata.normalize("NFC", s)`."""

import ast
import builtins
import difflib
import importlib
import linecache
import os
import pkgutil
import symtable
import sys

from _mtask.errors import is_a
from _mtask.library import library
from _mtask.worker import Unusable, cannot_load

FILE = "<--python>"  # as tracebacks have it


def load_expression(text):
    library.give_way(os.getcwd())  # as for `python -c`
    sys.argv[:] = ["-c"]
    # Tracebacks show the line.
    linecache.cache[FILE] = (len(text), None, text.splitlines(True), FILE)
    try:
        tree = ast.parse(text, FILE, "eval")
        names = {"__name__": "expression"}
        for name in global_names(symtable.symtable(text, FILE, "eval")):
            if not hasattr(builtins, name):
                names[name] = find(name)
        import_parts(tree, names)
        return eval(compile(tree, FILE, "eval", dont_inherit=True), names)
    except Unusable:
        raise
    except SyntaxError as error:
        raise cannot_load("the expression", error.with_traceback(None)) from None
    except BaseException as error:
        raise cannot_load("the expression", error) from None


def global_names(table):
    """The names that it looks for outside of itself, in all its scopes."""
    names = set()
    for symbol in table.get_symbols():
        is_outside = symbol.is_global() or table.get_type() == "module"
        if is_outside and symbol.is_referenced() and not symbol.is_assigned():
            names.add(symbol.get_name())
    for inner in table.get_children():
        names |= global_names(inner)
    return names


def find(name):
    """A module, for nothing else has a name of its own here."""
    try:
        return importlib.import_module(name)
    except BaseException as error:
        if not is_a(error, ModuleNotFoundError) or getattr(error, "name", None) != name:
            raise cannot_load(name, error) from None
    known = {*dir(builtins), *sys.builtin_module_names}
    with library:
        known.update(module.name for module in pkgutil.iter_modules())
    close = difflib.get_close_matches(name, sorted(known), 1)
    hint = f": did you mean {close[0]}?" if close else ""
    raise Unusable(
        f"there is no name {name} in Python, and {sys.executable} finds no module of that name{hint}",
        status=127,
    )


def import_parts(tree, names):
    """Imports what is named as part of a package: `xml.etree.ElementTree.fromstring`."""
    for node in ast.walk(tree):
        path = dotted(node)
        if path is None or path[0] not in names:
            continue
        found, name = names[path[0]], path[0]
        for part in path[1:]:
            name += f".{part}"
            if not is_a(found, type(sys)):
                break
            if not hasattr(found, part):
                try:
                    importlib.import_module(name)
                except ImportError:
                    break  # its call will tell
            found = getattr(found, part, None)


def dotted(node):
    """The names of `a.b.c`, if it is that."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id, *reversed(parts)] if parts and isinstance(node, ast.Name) else None

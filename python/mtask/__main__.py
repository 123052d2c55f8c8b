"""`python -m mtask`: the program that was installed with the package."""

import os
import sys

import mtask

if __name__ == "__main__":
    try:
        program = mtask.find()
    except FileNotFoundError as error:
        sys.exit(f"mtask: {error}")
    os.execv(program, ["mtask", *sys.argv[1:]])

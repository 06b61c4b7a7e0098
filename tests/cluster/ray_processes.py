"""Finds processes by their command lines."""

from __future__ import annotations

import os
from pathlib import Path


def process_ids(name: str) -> list[int]:
    """Return the processes whose command line has a name in it, but for this one."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                command = (folder / "cmdline").read_bytes()
            except OSError:  # it has ended
                continue
            if name.encode() in command:
                found.append(int(folder.name))
    return found

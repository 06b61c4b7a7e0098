"""A process leaves its group before the interpreter ends."""

from __future__ import annotations

import subprocess
import sys
import textwrap

SCRIPT = """
import atexit, socket
import torch.distributed
from rerank_plugins.training.process_group import leave_group_at_exit

# Hooks run in the reverse of the order in which they were registered.
atexit.register(lambda: print("left" if not torch.distributed.is_initialized() else "still in it"))
leave_group_at_exit()
leave_group_at_exit()
with socket.socket() as one:
    one.bind(("127.0.0.1", 0))
    port = one.getsockname()[1]
if {joins}:
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{{port}}", rank=0, world_size=1)
    assert torch.distributed.is_initialized()
"""


def run(*, joins: bool) -> str:
    script = textwrap.dedent(SCRIPT.format(joins=joins))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_group_that_was_joined_is_left_and_none_is_no_error() -> None:
    assert run(joins=True) == "left"
    assert run(joins=False) == "left"

# SPDX-License-Identifier: Apache-2.0
"""What a node does for the memory of its process, seen in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hitoku.node import memory

WORK = """
import sys, threading
from hitoku.node.memory import few_arenas, give_back

if sys.argv[1] == "few":
    assert few_arenas()

def arenas():
    # An arena beside the main one is a heap of 64 MiB in the address space, most of it not accessible.
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("VmSize")).split()[1]) >> 10

together = threading.Barrier(17)
def work():
    together.wait()
    kept = [bytearray(2000) for _ in range(100)]
    together.wait()

before = arenas()
threads = [threading.Thread(target=work) for _ in range(16)]
stack = threading.stack_size(1 << 20)
for thread in threads:
    thread.start()
together.wait()
together.wait()
print(arenas() - before)
"""

FREED = """
from hitoku.node.memory import few_arenas, give_back

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096

few_arenas()
kept = [bytearray(3000) for _ in range(60_000)]
last = kept[-1]
del kept
before = resident()
given = give_back()
print(int(given), (before - resident()) >> 20)
"""


def _printed(script: str, *arguments: str) -> list[int]:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True
    )
    return [int(word) for word in done.stdout.split()]


@pytest.mark.skipif(memory._library() is None, reason="another C library than glibc")
def test_threads_share_few_arenas():
    [many], [few] = _printed(WORK, "many"), _printed(WORK, "few")
    assert many - few >= 64  # MiB of address space: at least one arena less


@pytest.mark.skipif(memory._library() is None, reason="another C library than glibc")
def test_what_is_free_goes_back_to_the_machine():
    given, mebibytes = _printed(FREED)
    assert given == 1
    assert mebibytes >= 100


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory, "_library", lambda: None)
    assert memory.few_arenas() is False
    assert memory.give_back() is False

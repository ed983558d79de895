"""What a process holds for good is passed over by garbage collection, and what comes after is not."""

import subprocess
import sys

#: Told: what the first settling holds; then a cycle that was settled with, and one made since, are let go of.
PROGRAM = """
import gc, weakref
from stream.garbage import settle

class Node:
    def __init__(self):
        self.self = self

held = Node()
gone = weakref.ref(held)
settle()
print(gc.get_freeze_count() > 1000)
late = weakref.ref(Node())
gc.collect()
print(late() is None)
del held
gc.collect()
print(gone() is None)
settle()
print(gone() is None)
"""


def test_what_was_there_is_not_looked_through_until_it_is_settled_anew():
    told = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout.split()
    assert told == ["True", "True", "False", "True"]

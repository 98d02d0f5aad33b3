"""A pickle in which a little stands for a lot: tuples that hold each other many times over.

PyTorch builds them at once, for they are few; but to hash one, as a key of a dict is, is to visit
all that it holds as often as it is in it, and no signal ends that.
"""

import pickletools
from typing import BinaryIO

_TUPLES = "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "FROZENSET"
_KEEP = "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"
_BRING = "GET", "BINGET", "LONG_BINGET"
_MARK = None  # on the stack


def is_beyond(pickled: bytes | BinaryIO, limit: int) -> bool:
    """Whether what a pickle makes of its tuples is more than `limit` objects.

    Each object counts as often as it is in another. Bytes that are no pickle, or end early, count
    up to that place; a file is read from the pickle's start up to its end.
    """
    stack, kept, visited = [], {}, 0  # objects in each tuple; 1 for all else
    try:
        for code, argument, _ in pickletools.genops(pickled):
            if code.name in _KEEP:
                kept[len(kept) if argument is None else argument] = stack[-1]
            elif code.name in _BRING:
                stack.append(kept[argument])
            elif code.name == "MARK":
                stack.append(_MARK)
            elif code.name == "DUP":
                stack.append(stack[-1])
            else:
                taken = sum(_take(stack, code.stack_before))
                is_tuple = code.name in _TUPLES
                stack += [1 + taken if is_tuple else 1 for _ in code.stack_after]
                visited += 0 if is_tuple else taken
                if taken > limit or visited > limit:
                    return True
    except Exception:  # whatever bytes that are no pickle make pickletools raise
        pass
    return False


def _take(stack, what):
    """Takes off the stack what an operation does, and gives the numbers of objects."""
    taken, single = [], len(what)
    if pickletools.markobject in what:
        single = what.index(pickletools.markobject)
        while (size := stack.pop()) is not _MARK:
            taken.append(size)
    return taken + [stack.pop() for _ in range(single)]

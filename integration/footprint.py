"""What a gateway occupies, by its own metrics."""

from typing import NamedTuple

import harness
from administration import ask, figure
from harness import wait_until


class Footprint(NamedTuple):
    """`memory` is what Go has from the system, in bytes; `resident` is that and the program's own pages.

    In a build with the race detector, `resident` has the detector's memory too, which grows with the requests.
    """

    descriptors: int
    goroutines: int
    memory: int
    resident: int


def footprint(g):
    text = ask(g, "/metrics")[1]
    names = (
        "process_open_fds",
        "go_goroutines",
        "go_memstats_sys_bytes",
        "process_resident_memory_bytes",
    )
    return Footprint(*[int(figure(text, name)) for name in names])


def settled(g, before, waiting=0):
    """The footprint, once there are as few descriptors and goroutines again; clearing up takes a moment.

    So many goroutines may wait for another connection by SCGI: as many as there were at one time.
    """
    # A connection to each worker may have been kept, or not.
    most = before.descriptors + 3, before.goroutines + 3 + waiting

    def small_again():
        now = footprint(g)
        return now.descriptors <= most[0] and now.goroutines <= most[1] and now

    return wait_until(small_again, f"{before} again", interval=0.2)


def check_memory(before, now):
    """Memory is what it was, give or take what a garbage collector does; a race detector takes more and more."""
    assert now.memory < before.memory * 1.2 + (8 << 20), (before, now)
    if not harness.BINARY.name.endswith("-race"):
        assert now.resident < before.resident * 1.2 + (8 << 20), (before, now)

"""Several hosts: a store's host and two of workers; links are slow, and cut."""

import time
from functools import partial

from crew import until
from disk import can_mount
from faults import LIMIT, Stage, ended, held_by, kill_worker
from installation import running
from network import Network, network, why_not
from rounds import home, times
from sections import Line, Section, Stream

#: Round trips of slow links → within how many seconds what a dead worker held must have run elsewhere. Over the slow one a
#: suspect, judged alone, takes a second or two of round trips, and a batch of them one after the other (docs/decisions).
SLOW = {0.002: LIMIT, 0.05: 60.0}
#: Cases a second; fewer where two hosts cannot judge more: a batch is some twenty round trips.
RATE, SLOW_RATE = 30.0, 10.0
#: How long a link is cut, in seconds, in the long form.
CUT_SECONDS = 30.0
HOSTS = {"a": ("w0", "w1"), "b": ("w2", "w3")}


def cut_link(stage: Stage, net: Network, host: str, seconds: float) -> float:
    """What its workers held runs on the other host; once the link is back they work again by themselves."""
    names = ", ".join(f"'{name}'" for name in HOSTS[host])
    ids = [row["id"] for row in stage.one.rows(f"SELECT id FROM workers WHERE name IN ({names}) AND ended_at IS NULL")]
    until(lambda: any(held_by(stage, worker) for worker in ids), "its workers hold something")
    net.cut(host)
    began = time.monotonic()
    held = [event for worker in ids for event in held_by(stage, worker)]
    stage.hit(held)
    until(lambda: not held or ended(stage, held), "what a host held runs on the other", seconds=60)
    elsewhere = time.monotonic() - began
    if held:
        stage.elsewhere("a link cut", held, elsewhere)
    time.sleep(max(0.0, seconds - elsewhere))
    net.join(host)
    last = max(ids)
    back = f"SELECT count(DISTINCT name) FROM workers WHERE name IN ({names}) AND id > :last AND ended_at IS NULL"
    until(lambda: stage.one.one(back, last=last) == len(HOSTS[host]) or _same_alive(stage, ids), "its workers are back", seconds=60)
    stage.flows()
    return elsewhere


def _same_alive(stage: Stage, ids: list[int]) -> bool:
    """A cut that was shorter than a lease took nobody's."""
    listed = ", ".join(map(str, ids))
    ready = f"SELECT count(*) FROM workers WHERE id IN ({listed}) AND ended_at IS NULL AND lease_until > :now"
    return bool(stage.one.one(ready, now=stage.one.read(stage.one.ledger.now)) == len(ids))


def several_hosts(*, seed: int, share: float, cut_seconds: float = CUT_SECONDS) -> list[Line]:
    """All on PostgreSQL; the content store is one folder, as a shared file system would be."""
    reason = why_not() if can_mount() else "not root"
    if reason:
        print(f"several hosts were not tested: {reason}", flush=True)
        return []
    with network(*HOSTS) as net, home() as place:
        spaces = {name: net.space(host) for host, names in HOSTS.items() for name in names}
        with running(place, "postgresql", workers=4, address=net.address, spaces=spaces) as one:
            stream = Stream(one, seed)
            for trip, limit in SLOW.items():
                net.slow(trip)
                stream.rate = RATE if limit == LIMIT else SLOW_RATE
                kills = Section(name="kills", rounds=times(10 * share, kill_worker), at_once=2)
                stream.run(kills, name=f"hosts: SIGKILL, links of {1000 * trip:.0f} ms", limit=limit)
            net.slow(min(SLOW))
            stream.rate = RATE
            cuts = [partial(cut_link, net=net, host=host, seconds=cut_seconds) for host in HOSTS]
            stream.run(Section(name="cuts", rounds=times(6 * share, *cuts)), name=f"hosts: a link cut for {cut_seconds:.0f} s")
            return stream.lines

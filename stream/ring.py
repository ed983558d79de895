"""The doorbell: one Celery message to a queue, on a thread of its own, that never delays an answer."""

import base64
import json
import queue
import threading
import uuid
from collections.abc import Sequence
from functools import cache
from typing import Any

from celery import Celery
from redis import Redis, RedisError

from stream.queues import MAX_HINTS, RING_TASK

#: A ring that takes longer has failed; the keeper rings instead. Seconds.
SOCKET_TIMEOUT = 1.0

#: Into an empty list only: a ring that lies there unheard finds the new events too. Asked and rung in one go.
_RING = "return redis.call('LLEN', KEYS[1]) == 0 and redis.call('LPUSH', KEYS[1], ARGV[1])"

#: Only makes messages, so it needs no broker.
_CELERY = Celery("dxstream", set_as_current=False)


def ring_message(name: str, hints: Sequence[int]) -> str:
    """A Celery message as kombu's transport keeps it in the Redis list of a queue.

    Celery's own way to send it takes four times as long (docs/decisions/0034); that it is the same is tested.
    """
    ring_id, arguments = str(uuid.uuid4()), [list(hints[:MAX_HINTS])]
    task = _any_ring()
    headers = {**task.headers, "id": ring_id, "root_id": ring_id, "argsrepr": repr(arguments)}
    delivery = {
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": name},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": ring_id,
    }
    message = {
        "body": base64.b64encode(json.dumps([arguments, *task.body[1:]]).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": {**task.properties, **delivery},
    }
    return json.dumps(message)


@cache
def _any_ring() -> Any:
    """What Celery makes of a ring, without its id and its hints."""
    return _CELERY.amqp.as_task_v2("", RING_TASK, args=[[]], ignore_result=True)


class Bell:
    """Rings queues. ``failures`` counts the rings that did not reach Redis."""

    def __init__(self, redis_url: str) -> None:
        self.failures = 0
        self._redis = Redis.from_url(redis_url, socket_timeout=SOCKET_TIMEOUT, socket_connect_timeout=SOCKET_TIMEOUT)
        self._ring = self._redis.register_script(_RING)

    def unheard(self, name: str) -> int:
        """How many rings of a queue no worker has taken yet; raises RedisError."""
        return int(self._redis.llen(name))

    def hear(self, names: Sequence[str], seconds: float) -> bool:
        """Whether a ring of one of these queues came within ``seconds``, less than SOCKET_TIMEOUT; it is taken.

        False also when Redis cannot be had.
        """
        try:
            return self._redis.brpop(list(names), timeout=seconds) is not None
        except (RedisError, OSError):
            return False

    def memory(self) -> tuple[int, int]:
        """Bytes that Redis uses, and that it may: its own limit, else the machine's memory; raises RedisError."""
        told: Any = self._redis.info("memory")
        return int(told["used_memory"]), int(told.get("maxmemory") or told["total_system_memory"])

    def eviction(self) -> str:
        """The policy by which Redis may drop rings when its memory is full; empty where it never does. Raises RedisError."""
        told: Any = self._redis.info("memory")
        policy = str(told["maxmemory_policy"])
        return "" if policy == "noeviction" else policy

    def ring(self, name: str, hints: Sequence[int]) -> bool:
        """Ring unless a ring is still unheard: that one will find these events too. False when Redis cannot be had."""
        try:
            self._ring(keys=[name], args=[ring_message(name, hints)])
        except (RedisError, OSError):
            self.failures += 1
            return False
        return True


class RingThread:
    """Takes what commits want rung; while one ring is under way the next ones are gathered."""

    def __init__(self, bell: Bell) -> None:
        self.bell = bell
        self._wanted: queue.SimpleQueue[dict[str, list[int]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="ring", daemon=True)

    def start(self) -> None:
        """Start ringing."""
        self._thread.start()

    def want(self, rings: dict[str, list[int]]) -> None:
        """Ask for rings: queue name → new event ids. Returns at once."""
        if rings:
            self._wanted.put(rings)

    def stop(self) -> None:
        """Ring what was asked for, then end."""
        self._wanted.put(None)
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while (rings := self._wanted.get()) is not None:
            gathered = dict(rings)
            ended = False
            while not self._wanted.empty():
                more = self._wanted.get()
                if more is None:
                    ended = True
                    break
                for name, ids in more.items():
                    gathered.setdefault(name, []).extend(ids)
            for name, ids in gathered.items():
                self.bell.ring(name, ids)
            if ended:
                return

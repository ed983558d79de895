"""The doorbell: one Celery message to a queue, on a thread of its own, that never delays an answer."""

import queue
import threading
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError
from redis import Redis, RedisError

from stream.queues import MAX_HINTS, RING_TASK

#: A ring that takes longer has failed; the keeper rings instead. Seconds.
SOCKET_TIMEOUT = 1.0


def ring_app(redis_url: str) -> Celery:
    """A Celery application that only sends: JSON, no results, no retries."""
    app = Celery("dxstream", broker=redis_url)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        result_backend=None,
        broker_transport_options={
            "socket_timeout": SOCKET_TIMEOUT,
            "socket_connect_timeout": SOCKET_TIMEOUT,
            "max_retries": 0,
        },
        broker_connection_retry=False,
        broker_connection_max_retries=0,
        task_publish_retry=False,
        task_create_missing_queues=True,
        worker_enable_remote_control=False,
    )
    return app


class Bell:
    """Rings queues. ``failures`` counts the rings that did not reach Redis."""

    def __init__(self, redis_url: str) -> None:
        self.app = ring_app(redis_url)
        self.failures = 0
        self._lists = Redis.from_url(redis_url, socket_timeout=SOCKET_TIMEOUT, socket_connect_timeout=SOCKET_TIMEOUT)

    def unheard(self, name: str) -> int:
        """How many rings of a queue no worker has taken yet; raises RedisError."""
        return int(self._lists.llen(name))

    def memory(self) -> tuple[int, int]:
        """Bytes that Redis uses, and that it may: its own limit, else the machine's memory; raises RedisError."""
        told: Any = self._lists.info("memory")
        return int(told["used_memory"]), int(told.get("maxmemory") or told["total_system_memory"])

    def eviction(self) -> str:
        """The policy by which Redis may drop rings when its memory is full; empty where it never does. Raises RedisError."""
        told: Any = self._lists.info("memory")
        policy = str(told["maxmemory_policy"])
        return "" if policy == "noeviction" else policy

    def ring(self, name: str, hints: list[int]) -> bool:
        """Ring unless a ring is still unheard: that one will find these events too. False when Redis cannot be had."""
        try:
            if not self.unheard(name):
                self.app.send_task(RING_TASK, args=[hints[:MAX_HINTS]], queue=name, retry=False)
        except (OperationalError, RedisError, OSError):
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

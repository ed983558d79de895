"""The Celery side of a worker: one task that rings, JSON only, no results, nothing fetched ahead, no forks."""

import os
from collections.abc import Callable, Sequence

from celery import Celery
from celery.worker import state
from kombu.entity import Exchange, Queue

from stream.queues import RING_TASK


def worker_app(redis_url: str, queues: Sequence[str], on_ring: Callable[[], None]) -> Celery:
    """A Celery application whose one task calls ``on_ring``; what the message holds is a hint and nothing more."""
    app = Celery("dxstream", broker=redis_url)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        result_backend=None,
        # Nothing is acknowledged: where an acknowledgement got lost with Redis, its message took the one place of the
        # prefetch for ever, and the worker never heard anything again. A lost ring costs one sweep of the keeper.
        task_queues=[Queue(name, Exchange(name), routing_key=name, no_ack=True) for name in queues],
        worker_pool="solo",
        worker_disable_prefetch=True,
        worker_prefetch_multiplier=1,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={"socket_keepalive": True, "health_check_interval": 10},
    )

    @app.task(name=RING_TASK)
    def ring(_hints: list[int]) -> None:
        on_ring()

    return app


def consume(app: Celery, name: str) -> None:
    """Hear rings in this process until SIGTERM."""
    worker = app.Worker(
        hostname=f"{name}-{os.getpid()}@dxstream",
        pool_cls="solo",
        concurrency=1,
        loglevel="WARNING",
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()


def asked_to_stop() -> bool:
    """Whether Celery has been told to end, by SIGTERM or otherwise."""
    return bool(state.should_stop is not None or state.should_terminate is not None)

"""The doorbell."""

import base64
import json

import redis
from celery import Celery

from stream.queues import MAX_HINTS, RING_TASK
from stream.ring import Bell, RingThread


def test_a_ring_is_one_message_with_ids_as_hints_and_nothing_else(redis_url: str):
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    Bell(redis_url).ring("note.stat", list(range(500)))
    (raw,) = client.lrange("note.stat", 0, -1)
    message = json.loads(raw)
    assert message["headers"]["task"] == RING_TASK
    assert json.loads(base64.b64decode(message["body"]))[0] == [list(range(MAX_HINTS))]


def shape(message: object) -> object:
    """Keys and types, all the way down."""
    if isinstance(message, dict):
        return {key: shape(value) for key, value in message.items()}
    return type(message)


def test_a_ring_is_the_message_that_celery_itself_would_send(redis_url: str):
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    app = Celery("other", broker=redis_url, set_as_current=False)
    app.send_task(RING_TASK, args=[[1, 2]], queue="celerys.own", ignore_result=True)
    Bell(redis_url).ring("note.stat", [1, 2])
    theirs, ours = (json.loads(client.lindex(name, 0)) for name in ("celerys.own", "note.stat"))
    assert shape(ours) == shape(theirs)
    for name in ("body", "content-encoding", "content-type"):
        assert ours[name] == theirs[name]
    for name in ("task", "argsrepr", "kwargsrepr", "ignore_result", "lang", "retries"):
        assert ours["headers"][name] == theirs["headers"][name]
    for name in ("delivery_mode", "priority", "body_encoding"):
        assert ours["properties"][name] == theirs["properties"][name]


def test_a_ring_is_heard_once_in_whichever_queue_it_lies(redis_url: str):
    redis.Redis.from_url(redis_url).flushall()
    bell = Bell(redis_url)
    bell.ring("lab.stat", [1])
    assert bell.hear(["note.stat", "lab.stat"], 0.5)
    assert not bell.hear(["note.stat", "lab.stat"], 0.05)


def test_without_redis_nothing_is_heard():
    assert not Bell("redis://127.0.0.1:1/0").hear(["lab.stat"], 0.05)


def test_a_queue_whose_ring_is_unheard_is_not_rung_again(redis_url: str):
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    bell = Bell(redis_url)
    assert bell.ring("lab.stat", [1])
    assert bell.ring("lab.stat", [2])
    assert client.llen("lab.stat") == 1


def test_after_flushall_a_ring_is_still_heard_by_its_queue(redis_url: str):
    client = redis.Redis.from_url(redis_url)
    bell = Bell(redis_url)
    bell.ring("lab.stat", [1])
    client.flushall()
    bell.ring("lab.stat", [2])
    assert client.llen("lab.stat") == 1


def test_a_ring_that_cannot_reach_redis_is_counted_and_raises_nothing():
    bell = Bell("redis://127.0.0.1:1/0")
    assert not bell.ring("lab.stat", [1])
    assert bell.failures == 1


def test_the_ring_thread_rings_what_it_was_asked_for_before_it_ends(redis_url: str):
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    thread = RingThread(Bell(redis_url))
    thread.start()
    for number in range(50):
        thread.want({"scan.routine": [number], "scan.stat": [number]})
    thread.stop()
    assert (client.llen("scan.routine"), client.llen("scan.stat")) == (1, 1)

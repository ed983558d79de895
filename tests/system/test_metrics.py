"""``/metrics`` of a running installation: every metric of the design with its labels, the ledger's own numbers, no identity."""

import re
import shutil
import socket
import subprocess
from collections import Counter

import pytest
from dicom_samples import projection, send
from prometheus_client.parser import text_string_to_metric_families
from started import until

from db.accept import accept
from db.report import depths
from stream.arrival import Arrival, JudgeNow
from stream.content import Content
from stream.window import Window

#: The design's table: name → (kind, labels).
TABLE = {
    "dxstream_inputs_total": ("counter", {"feed", "disposition"}),
    "dxstream_refused_total": ("counter", {"feed", "reason"}),
    "dxstream_cases_open": ("gauge", {"modality"}),
    "dxstream_oldest_case_seconds": ("gauge", {"modality"}),
    "dxstream_queue_depth": ("gauge", {"modality", "lane", "state"}),
    "dxstream_rings": ("gauge", {"queue"}),
    "dxstream_oldest_waiting_seconds": ("gauge", {"modality", "lane"}),
    "dxstream_stage_seconds": ("histogram", {"modality", "stage"}),
    "dxstream_latency_seconds": ("histogram", {"modality", "lane"}),
    "dxstream_turnaround_seconds": ("histogram", {"modality"}),
    "dxstream_batch_size": ("histogram", {"modality"}),
    "dxstream_batches_total": ("counter", {"modality", "reason"}),
    "dxstream_events_done_total": ("counter", {"modality", "lane", "outcome"}),
    "dxstream_predictions_total": ("counter", {"model"}),
    "dxstream_gate_rejections_total": ("counter", {"model", "reason"}),
    "dxstream_retries_total": ("counter", {"modality", "stage"}),
    "dxstream_dead_total": ("counter", {"modality", "stage"}),
    "dxstream_feed_last_received_timestamp_seconds": ("gauge", {"feed"}),
    "dxstream_keeper_sweep_timestamp_seconds": ("gauge", set()),
    "dxstream_worker_up": ("gauge", {"worker", "device"}),
    "dxstream_worker_progress_timestamp_seconds": ("gauge", {"worker", "device"}),
    "dxstream_dead_by_lane_total": ("counter", {"modality", "lane"}),
    "dxstream_retries_by_lane_total": ("counter", {"modality", "lane"}),
    "dxstream_pruned_total": ("counter", {"kind"}),
    "dxstream_labelled_findings_total": ("counter", {"model", "label", "agreed"}),
    "dxstream_disk_free_bytes": ("gauge", {"place"}),
    "dxstream_disk_total_bytes": ("gauge", {"place"}),
    "dxstream_redis_memory_bytes": ("gauge", set()),
    "dxstream_redis_memory_max_bytes": ("gauge", set()),
}

#: No worker of these tests is short of anything, so nothing is put back.
NEVER_HERE = {"dxstream_retries_total"}

STAGES = {"accept", "gather", "wait", "fetch", "prepare", "infer", "save"}


def lose_a_content(ledger):
    """Accept an image whose file is gone: its event can never be judged."""
    content = Content(digest="0" * 64, size=2**20, data=None)
    facts = {"modality": "DX", "body_part": "CHEST", "view": "PA", "age_years": 3.0}
    ask = JudgeNow(case_key="sop:gone", modality="scan", facts=facts)
    gone = Arrival(feed="dicom", identity="sop:gone", sender_id="1.2.3", content=content, asks=(ask,))
    with ledger.database.write() as (connection, now):
        accept(connection, now, [gone], slot="intake", window=Window())


@pytest.fixture(scope="module")
def told(up, hospital):
    """The text of ``/metrics`` after the hospital, a refusal, an image of unknown age and an event that cannot be judged."""
    assert hospital.entries()
    with socket.create_connection(("127.0.0.1", up.ports.mllp), timeout=30) as sender:
        sender.sendall(b"\x0bnot a message\x1c\r")
        assert b"MSA" in sender.recv(65536)
    assert send(up.ports.dicom, projection(PatientBirthDate=None)).Status == 0x0000  # of unknown age: rejected
    lose_a_content(up.ledger)
    up.ledger.settle()
    done = len([event for event in up.ledger.events() if event["state"] == "done"])
    until(lambda: observed(up.metrics(), "dxstream_batch_size_sum") >= done, "the workers' histograms are written")
    until(lambda: 'dxstream_refused_total{feed="hl7"' in up.metrics(), "the refusal is written")
    return up.metrics()


def observed(text, name):
    return sum(sample.value for family in text_string_to_metric_families(text) for sample in family.samples if sample.name == name)


@pytest.fixture(scope="module")
def families(told):
    """Name as in the table → family."""
    suffix = {"counter": "_total"}
    return {family.name + suffix.get(family.type, ""): family for family in text_string_to_metric_families(told)}


def samples(families, name):
    """Label values in the table's order of the labels' names → value."""
    return {
        frozenset(sample.labels.items()): sample.value for sample in families[name].samples if not sample.name.endswith("_created")
    }


def above_zero(families, name):
    """Likewise, without those that are there before anything has come."""
    return {labels: value for labels, value in samples(families, name).items() if value}


def test_promtool_finds_nothing_to_say(told):
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("promtool did not look at /metrics: apt-get install prometheus")
    checked = subprocess.run([promtool, "check", "metrics"], input=told, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", TABLE)
def test_a_metric_of_the_design_is_there_with_exactly_its_labels(families, name):
    kind, labels = TABLE[name]
    assert families[name].type == kind
    found = [set(sample.labels) - {"le"} for sample in families[name].samples]
    assert found or name in NEVER_HERE
    assert all(one == labels for one in found)


def test_every_metric_of_ours_says_what_it_is(families):
    assert not [name for name, family in families.items() if not name.startswith("dxstream_") or not family.documentation]


def test_every_stage_is_timed_for_every_modality(families):
    seen = {(sample.labels["modality"], sample.labels["stage"]) for sample in families["dxstream_stage_seconds"].samples}
    assert {stage for _, stage in seen} == STAGES
    assert {modality for modality, _ in seen} == {"scan", "lab", "note"}


def counted(rows, **labels):
    """SQL's (values) → number, as the samples' keys."""
    return {frozenset(zip(labels["names"], values, strict=True)): float(number) for values, number in rows.items()}


def test_inputs_agree_with_sql_by_feed_and_disposition(up, families):
    rows = up.ledger.count("feed", "disposition", table="inputs")
    assert above_zero(families, "dxstream_inputs_total") == counted(rows, names=("feed", "disposition"))


def test_inputs_agree_with_sql_by_feed(up, families):
    by_feed = Counter()
    for labels, value in samples(families, "dxstream_inputs_total").items():
        by_feed[dict(labels)["feed"]] += value
    assert +by_feed == {feed: number for (feed,), number in up.ledger.count("feed", table="inputs").items()}


def test_events_done_agree_with_sql(up, families):
    rows = up.ledger.count("modality", "lane", "outcome", table="events", where="state = 'done'")
    assert above_zero(families, "dxstream_events_done_total") == counted(rows, names=("modality", "lane", "outcome"))


def test_dead_events_agree_with_sql(up, families):
    rows = up.ledger.count("modality", "stage", table="events", where="state = 'dead'")
    assert samples(families, "dxstream_dead_total") == counted(rows, names=("modality", "stage"))


def test_dead_events_agree_with_sql_by_lane(up, families):
    rows = up.ledger.count("modality", "lane", table="events", where="state = 'dead'")
    assert above_zero(families, "dxstream_dead_by_lane_total") == counted(rows, names=("modality", "lane"))


def test_predictions_agree_with_sql(up, families):
    rows = up.ledger.count("model", table="predictions")
    assert above_zero(families, "dxstream_predictions_total") == counted(rows, names=("model",))


def test_gate_rejections_agree_with_sql(up, families):
    rejected = up.ledger.count("modality", table="events", where="outcome = 'rejected'")
    assert sum(samples(families, "dxstream_gate_rejections_total").values()) == sum(rejected.values())


def test_the_queue_depth_agrees_with_sql(up, families):
    open_ones = up.ledger.read(lambda connection: depths(connection, up.ledger.database.now(connection)))
    rows = {key: number for key, number in open_ones.items() if number}
    told = {key: value for key, value in samples(families, "dxstream_queue_depth").items() if value}
    assert told == counted(rows, names=("modality", "lane", "state"))


def test_every_event_was_in_exactly_one_batch(up, families):
    sums = [sample.value for sample in families["dxstream_batch_size"].samples if sample.name.endswith("_sum")]
    assert sum(sums) >= len([event for event in up.ledger.events() if event["state"] == "done"])


def test_every_event_that_is_done_has_a_latency(up, families):
    counts = [sample.value for sample in families["dxstream_latency_seconds"].samples if sample.name.endswith("_count")]
    assert sum(counts) == len([event for event in up.ledger.events() if event["state"] == "done"])


def test_every_worker_is_up(families):
    assert set(samples(families, "dxstream_worker_up").values()) == {1.0}


def test_no_label_holds_a_patient_key_or_an_identifier(up, told):
    labels = [sample.labels for family in text_string_to_metric_families(told) for sample in family.samples]
    values = {value for one in labels for name, value in one.items() if name != "le"}
    identities = {row[name] for row in up.ledger.inputs() for name in ("patient_key", "sender_id", "identity", "digest")}
    identities |= {row[name] for row in up.ledger.events() for name in ("patient_key", "case_key", "digest")}
    assert not values & (identities - {""})
    assert not [value for value in values if re.search(r"\d{4,}|[0-9a-f]{16}", value)]


def test_the_page_is_the_same_in_kind_while_nothing_happens(up, families):
    again = {family.name for family in text_string_to_metric_families(up.metrics())}
    assert again == {family.name for family in families.values()}

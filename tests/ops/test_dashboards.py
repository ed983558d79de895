"""Every panel's query, asked of a real Prometheus that scrapes a running ``dxstream up`` which a simulated hospital has fed."""

import json
import math
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent.parent / "system"))

from dicom_samples import projection, send
from servers import end_with_parent
from started import get, run, running_up, until

from db.accept import accept
from dxstream.free_port import free_port
from dxstream.hospital.book import Book
from dxstream.hospital.planning import plan
from dxstream.hospital.send import send_all
from stream.arrival import Arrival, JudgeNow, WriteNote
from stream.content import Content
from stream.queues import Lane
from stream.window import Window

ROOT = Path(__file__).parent.parent.parent
OPS = ROOT / "ops"
DASHBOARDS = sorted((OPS / "grafana/dashboards").glob("*.json"))

#: (dashboard, panel) → why it has nothing to show here.
NOTHING_HERE = {
    ("devices", "GPU: busy"): "needs a GPU",
    ("devices", "GPU: memory used"): "needs a GPU",
}
#: What stands for Grafana's own variables: a range that holds several scrapes of this test.
INTERVAL = "1m"
MODALITIES = ("scan", "lab", "note")

needs_prometheus = pytest.mark.skipif(
    not shutil.which("prometheus"), reason="no dashboard's query was asked: apt-get install prometheus"
)
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pynetdicom forgets a socket


def read(path):
    return json.loads(path.read_text())


def queries(path):
    """(panel, query with Grafana's variables put in) of one dashboard."""
    for panel in read(path)["panels"]:
        for target in panel["targets"]:
            expression = target["expr"].replace("$__rate_interval", INTERVAL)
            for modality in MODALITIES if "$modality" in expression else ("",):
                yield panel["title"], expression.replace("$modality", modality)


def all_queries(*, here):
    return [
        pytest.param(expression, id=f"{path.stem}: {title}: {expression}")
        for path in DASHBOARDS
        for title, expression in queries(path)
        if ((path.stem, title) not in NOTHING_HERE) is here
    ]


class Prometheus:
    """Debian's binary on a free port, with our rules and one target, every second."""

    def __init__(self, place, metrics_url):
        target = urllib.parse.urlsplit(metrics_url).netloc
        config = yaml.safe_load((OPS / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(OPS / name) for name in config["rule_files"]]
        config["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
        (place / "prometheus.yml").write_text(yaml.safe_dump(config))
        address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{address}"
        options = {"config.file": place / "prometheus.yml", "storage.tsdb.path": place / "data", "web.listen-address": address}
        command = ["prometheus", *[f"--{name}={value}" for name, value in options.items()]]
        with (place / "log").open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=place, preexec_fn=end_with_parent)

    def ask(self, expression):
        """The finite values of an instant query."""
        status, text = get(f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
        assert status == 200, text
        values = [float(sample["value"][1]) for sample in json.loads(text)["data"]["result"]]
        return [value for value in values if math.isfinite(value)]

    def ready(self):
        """Whether it has started, which takes a moment (503 until then), and has scraped once."""
        try:
            return get(f"{self.url}/-/ready")[0] == 200 and bool(self.ask("dxstream_queue_depth"))
        except OSError:
            return False

    def end(self):
        self.process.terminate()
        self.process.wait(20)


def put_in_lanes(ledger, number):
    """An urgent note, one of the backlog, and an urgent image whose file is gone."""
    data = f"{number}: chest pain since this morning, electrocardiogram without findings, troponin is repeated".encode()
    text = Content(digest=f"{number:064x}", size=len(data), data=data)
    gone = Content(digest=f"{number + 1000:064x}", size=2**20, data=None)
    facts = {"modality": "DX", "body_part": "CHEST", "view": "PA", "age_years": 3.0}
    notes = [
        Arrival(
            feed="folder", identity=f"note:{lane}:{number}", sender_id=f"{lane}{number}", content=text, lane=lane,
            asks=(WriteNote(case_key=f"note:{lane}:{number}", text=text, facts={}),),
        )
        for lane in (Lane.STAT, Lane.BACKLOG)
    ]  # fmt: skip
    key = f"sop:gone:{number}"
    image = Arrival(
        feed="dicom", identity=key, sender_id=f"1.2.{number}", content=gone, lane=Lane.STAT,
        asks=(JudgeNow(case_key=key, modality="scan", facts=facts),),
    )  # fmt: skip
    with ledger.database.write() as (connection, now):
        accept(connection, now, [*notes, image], slot="intake", window=Window())


def feed(up, place, seed):
    """A hospital's day in short: cases over every port, one that cannot be read, one that a gate refuses, other lanes."""
    send_all(plan(12, seed, datetime.now(UTC)), up.ports, Book(place / f"{seed}.jsonl"), lambda _: None)
    with socket.create_connection(("127.0.0.1", up.ports.mllp), timeout=30) as sender:
        sender.sendall(b"\x0bnot a message\x1c\r")
        assert b"MSA" in sender.recv(65536)
    assert send(up.ports.dicom, projection(PatientBirthDate=None)).Status == 0x0000
    put_in_lanes(up.ledger, seed)
    up.ledger.settle()


def label(up, place):
    """What became of the notes, as many sources say it: ratios need 50 labels of a kind before they speak."""
    rows = up.ledger.rows("SELECT p.event_id, f.label, f.positive FROM findings f JOIN predictions p ON p.id = f.prediction_id")
    lines = [f"{row['event_id']},{row['label']},{int(row['positive'])},source {n}" for row in rows for n in range(20)]
    (place / "labels.csv").write_text("\n".join(["event_id,label,value,source", *lines]))
    done = run("labels", "import", str(place / "labels.csv"), "--json", home=up.home)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    """Prometheus, after it has seen the system idle, fed once, and fed again."""
    place = tmp_path_factory.mktemp("prometheus")
    with running_up(place / "home") as up:
        asked = Prometheus(place, up.metrics_url)
        try:
            until(asked.ready, "Prometheus scrapes")
            for seed in (5, 6):
                feed(up, place, seed)
                label(up, place)
                time.sleep(4)  # a heartbeat writes the histograms, a scrape sees them
            yield asked
        finally:
            asked.end()


@needs_prometheus
@pytest.mark.parametrize("expression", all_queries(here=True))
def test_a_panel_has_something_to_show(prometheus, expression):
    until(lambda: prometheus.ask(expression), f"{expression} has data", seconds=10)


@needs_prometheus
@pytest.mark.parametrize("expression", all_queries(here=False))
def test_a_panel_that_has_nothing_to_show_here_is_at_least_understood(prometheus, expression):
    assert prometheus.ask(expression) == []


@needs_prometheus
def test_nothing_but_the_watchdog_and_what_was_broken_on_purpose_fires(prometheus):
    _, text = get(f"{prometheus.url}/api/v1/alerts")
    firing = {alert["labels"]["alertname"] for alert in json.loads(text)["data"]["alerts"] if alert["state"] == "firing"}
    assert firing == {"Watchdog", "DeadStatEvent"}


def test_what_has_nothing_to_show_here_is_a_panel():
    assert set(NOTHING_HERE) <= {(path.stem, title) for path in DASHBOARDS for title, _ in queries(path)}


def test_there_is_a_dashboard_for_each_view():
    assert {path.stem for path in DASHBOARDS} == {"overview", "modality", "feeds", "devices", "models", "backlog"}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_can_be_loaded(path):
    document = read(path)
    (source,) = yaml.safe_load((OPS / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert document["uid"] == f"dxstream-{path.stem}"
    assert document["schemaVersion"] >= 39
    panels = document["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) == len({panel["title"] for panel in panels})
    for panel in panels:
        assert panel["datasource"] == {"type": source["type"], "uid": source["uid"]}
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_uses_only_variables_that_it_has(path):
    document = read(path)
    used = {name for panel in document["panels"] for one in panel["targets"] for name in re.findall(r"\$(\w+)", one["expr"])}
    assert used - {"__rate_interval"} == {variable["name"] for variable in document["templating"]["list"]}


def test_grafana_looks_for_the_dashboards_in_one_folder():
    (provider,) = yaml.safe_load((OPS / "grafana/provisioning/dashboards/dxstream.yml").read_text())["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"] == "/etc/grafana/dashboards"

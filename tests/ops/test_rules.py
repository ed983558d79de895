"""Alert and recording rules: promtool accepts them, each alert is tried both ways, has a runbook, and is built on what is there."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest
import yaml

from stream.metrics import COUNTERS, HISTOGRAMS

ROOT = Path(__file__).parent.parent.parent
OPS = ROOT / "ops"
RUNBOOKS = ROOT / "docs/runbooks"
TESTS = sorted((OPS / "rules/tests").glob("*.yml"))

#: What the keeper reads from the ledger and Redis at each scrape (worker/exposition.py).
GAUGES = {
    "dxstream_cases_open",
    "dxstream_oldest_case_seconds",
    "dxstream_queue_depth",
    "dxstream_rings",
    "dxstream_oldest_waiting_seconds",
    "dxstream_feed_last_received_timestamp_seconds",
    "dxstream_keeper_sweep_timestamp_seconds",
    "dxstream_worker_up",
    "dxstream_worker_progress_timestamp_seconds",
    "dxstream_disk_free_bytes",
    "dxstream_disk_total_bytes",
    "dxstream_redis_memory_bytes",
    "dxstream_redis_memory_max_bytes",
    "dxstream_device_busy_ratio",
    "dxstream_device_memory_bytes",
    "dxstream_device_memory_total_bytes",
}
needs_promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="the rules in ops/ were not checked or tried: apt-get install prometheus"
)


def rules(name):
    return [rule for group in yaml.safe_load((OPS / "rules" / name).read_text())["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules("alerts.yml")}
RECORDED = {rule["record"]: rule for rule in rules("recording.yml")}


def promtool(*arguments):
    done = subprocess.run(["promtool", *arguments], cwd=OPS, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_promtool_accepts_the_rules():
    promtool("check", "rules", "rules/alerts.yml", "rules/recording.yml")


@needs_promtool
def test_promtool_accepts_the_configuration_with_its_rules():
    promtool("check", "config", "prometheus.yml")
    assert yaml.safe_load((OPS / "prometheus.yml").read_text())["rule_files"] == ["rules/*.yml"]


@needs_promtool
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_the_rules_do_what_their_tests_say(path):
    promtool("test", "rules", str(path))


def tried():
    """(expression, whether something is expected) of every question that a test of rules asks."""
    for path in TESTS:
        for test in yaml.safe_load(path.read_text())["tests"]:
            for one in test["promql_expr_test"]:
                yield one["expr"], one["exp_samples"]


def names_of(expression):
    """The alerts that a test's expression speaks of; a pattern stands for all that it matches."""
    found = re.search(r'alertname(=~?)"([^"]+)"', expression)
    if not found:
        return set()
    return {name for name in ALERTS if (re.fullmatch(found[2], name) if found[1] == "=~" else name == found[2])}


def fired(expression, samples):
    told = {match[1] for sample in samples if (match := re.search(r'alertname="(\w+)"', sample["labels"]))}
    return told or (names_of(expression) if samples else set())


def test_every_alert_is_seen_to_fire():
    assert set(ALERTS) == {name for expression, samples in tried() for name in fired(expression, samples)}


def test_every_alert_is_seen_to_be_silent():
    silent = {name for expression, samples in tried() for name in names_of(expression) - fired(expression, samples)}
    assert silent == set(ALERTS) - {"Watchdog"}


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_bad_it_is_and_what_to_do(name):
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ({"none"} if name == "Watchdog" else {"page", "ticket"})
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
    assert not re.search(r"\$labels\.(?!modality|lane|feed|worker|device|metric|place)", rule["annotations"]["summary"])


def test_backlog_never_pages():
    of_the_backlog = {name: rule for name, rule in ALERTS.items() if "backlog" in rule["expr"].replace('feed!="backlog"', "")}
    assert len(of_the_backlog) >= 4
    assert {rule["labels"]["severity"] for rule in of_the_backlog.values()} == {"ticket"}


def test_every_runbook_belongs_to_an_alert_and_says_what_to_look_at_and_to_do():
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == set(ALERTS)
    for path in RUNBOOKS.glob("*.md"):
        assert re.fullmatch(rf"# {path.stem}\n\n.+\n\n## Look at\n\n- .+\n## Do\n\n1\. .+", path.read_text(), re.DOTALL), path


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)
def test_what_a_runbook_links_to_is_there(path):
    for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)
def test_the_commands_of_a_runbook_are_there(path):
    from dxstream.cli import cli
    from dxstream.cli_house import add_house_commands
    from dxstream.cli_ledger import add_ledger_commands
    from dxstream.cli_models import models
    from dxstream.cli_refused import refused

    ledger = click.Group()
    add_ledger_commands(ledger)
    add_house_commands(ledger)
    commands = {**cli.commands, **ledger.commands, "models": models, "refused": refused}
    for words in re.findall(r"`dxstream ([a-z]+(?: [a-z]+)?)", path.read_text()):
        command, *more = words.split()
        assert command in commands, words
        inner = getattr(commands[command], "commands", None)
        assert not inner or not more or more[0] in inner, words


def known():
    """Every series that an expression may name."""
    counters = {f"{name}_total" for name, _, _ in COUNTERS.values()}
    histograms = {f"{name}{part}" for name in HISTOGRAMS for part in ("_bucket", "_sum", "_count")}
    return counters | histograms | GAUGES | set(RECORDED)


def series_of(expression):
    """The metric names of an expression, without the words within quotes."""
    recorded, raw = r"\b(?:dxstream|feed|modality)\w*(?::\w+)+", r"\b(?:dxstream|node|redis)_\w+"
    return set(re.findall(f"{recorded}|{raw}", re.sub(r'"[^"]*"', "", expression)))


@pytest.mark.parametrize("name", [*ALERTS, *RECORDED])
def test_a_rule_names_only_series_that_are_there(name):
    expression = (ALERTS | RECORDED)[name]["expr"]
    assert series_of(expression) <= known()


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)
def test_a_runbook_names_only_series_that_are_there(path):
    words = " ".join(re.findall(r"`([^`]+)`", path.read_text()))
    assert series_of(words) <= known() | set(HISTOGRAMS)


@pytest.mark.parametrize("path", sorted((OPS / "grafana/dashboards").glob("*.json")), ids=lambda path: path.stem)
def test_a_dashboard_names_only_series_that_are_there(path):
    panels = json.loads(path.read_text())["panels"]
    expressions = " ".join(target["expr"] for panel in panels for target in panel["targets"])
    assert series_of(expressions) <= known()


def test_a_worker_is_asked_for_by_what_waits_and_is_leased():
    objects = {one["kind"]: one for one in yaml.safe_load_all((OPS / "autoscaling/keda.yml").read_text())}
    spec = objects["ScaledObject"]["spec"]
    (trigger,) = spec["triggers"]
    assert trigger["type"] == "prometheus"
    assert trigger["metadata"]["query"] == 'sum(dxstream_queue_depth{state=~"waiting|leased"})'
    assert spec["minReplicaCount"] >= 1
    assert spec["scaleTargetRef"]["name"] == objects["StatefulSet"]["metadata"]["name"]
    pod = objects["StatefulSet"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] >= 20
    assert pod["containers"][0]["args"][0] == "worker"


def test_severities_are_routed_and_the_watchdog_has_a_receiver_of_its_own():
    document = yaml.safe_load((OPS / "alertmanager.yml").read_text())
    receivers = {receiver["name"] for receiver in document["receivers"]}
    routed = {re.search(r'"(\w+)"', route["matchers"][0])[1]: route["receiver"] for route in document["route"]["routes"]}
    assert set(routed) == {"Watchdog", "page", "ticket"}
    assert len(set(routed.values())) == 3
    assert set(routed.values()) | {document["route"]["receiver"]} <= receivers


def test_what_is_quietened_by_what_are_alerts():
    for rule in yaml.safe_load((OPS / "alertmanager.yml").read_text())["inhibit_rules"]:
        for matcher in [*rule["source_matchers"], *rule["target_matchers"]]:
            assert set(re.findall(r"[A-Z]\w+", matcher)) <= set(ALERTS)


def test_the_processes_of_several_hosts_are_found_by_files():
    jobs = {job["job_name"]: job for job in yaml.safe_load((OPS / "prometheus.yml").read_text())["scrape_configs"]}
    (found,) = jobs["dxstream-processes"]["file_sd_configs"]
    assert found["files"] == ["targets/*.json"]
    for path in (OPS / "targets").glob("*.json"):
        for group in json.loads(path.read_text()):
            assert group["targets"]
            assert set(group["labels"]) == {"role"}

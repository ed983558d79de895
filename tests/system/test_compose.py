"""docker-compose.yml without Docker: it is accepted, and each of our services runs as a plain process and together they work."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml
from servers import end_with_parent, postgresql_binaries, running_postgresql, running_redis
from started import Ledger, get, until

from dxstream.free_port import free_port
from dxstream.hospital.book import Book, compare
from dxstream.hospital.lines import Ports
from dxstream.hospital.planning import plan
from dxstream.hospital.send import send_all

ROOT = Path(__file__).parent.parent.parent

#: What an operator must set; the values are marked, so that they are found again wherever they go.
SECRETS = {
    "DXSTREAM_POSTGRES_PASSWORD": "secret-of-postgres",
    "DXSTREAM_HTTP_TOKEN": "secret-of-http",
    "DXSTREAM_HASH_KEY": "5ec7e7" * 10 + "abcd",
    "GRAFANA_ADMIN_PASSWORD": "secret-of-grafana",
}

#: One needs a GPU; everything else of ours runs here.
NEEDS_A_GPU = "worker-gpu"

needs_docker_compose = pytest.mark.skipif(
    not shutil.which("docker-compose"), reason="docker-compose.yml was not checked: apt-get install docker-compose"
)
needs_postgresql = pytest.mark.skipif(
    postgresql_binaries() is None, reason="the services were not run together: apt-get install postgresql"
)
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pynetdicom forgets a socket


def docker_compose(*arguments: str, **secrets: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DXSTREAM_")} | secrets
    command = ["docker-compose", "--file", ROOT / "docker-compose.yml", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)


@needs_docker_compose
def test_docker_compose_accepts_the_file():
    checked = docker_compose("config", "--quiet", **SECRETS)
    assert checked.returncode == 0, checked.stderr


@needs_docker_compose
@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_that_is_not_set_is_asked_for(name):
    checked = docker_compose("config", "--quiet", **{other: value for other, value in SECRETS.items() if other != name})
    assert checked.returncode
    assert name in checked.stderr


def test_no_secret_stands_in_the_file():
    text = (ROOT / "docker-compose.yml").read_text()
    named = re.findall(r"^\s*(\w*(?:PASSWORD|TOKEN|KEY|SECRET)\w*)\s*:\s*(.+)$", text, re.MULTILINE)
    assert named
    assert not [(name, value) for name, value in named if not re.fullmatch(r'"?\$\{\w+:(\?[^}]*|-)\}"?', value)]
    assert not re.findall(r"://\w+:(?!\$\{)[^@\s]+@", text)


def resolved() -> dict:
    """The file with its anchors merged and the secrets put in, without docker-compose."""
    text = re.sub(
        r"\$\{(\w+)(?::[?-]([^}]*))?\}",
        lambda match: SECRETS.get(match[1], match[2] or ""),
        (ROOT / "docker-compose.yml").read_text(),
    )
    return yaml.safe_load(text)


def ours() -> dict[str, dict]:
    """Our services by name: those that are built from this folder."""
    return {name: service for name, service in resolved()["services"].items() if "build" in service}


@needs_docker_compose
def test_the_file_read_here_is_what_docker_compose_reads():
    told = yaml.safe_load(docker_compose("--profile", "cpu", "--profile", "gpu", "config", **SECRETS).stdout)
    for name, service in ours().items():
        assert told["services"][name]["environment"] == {key: str(value) for key, value in service["environment"].items()}
        assert told["services"][name]["command"] == service["command"]
        assert told["services"][name]["healthcheck"]["test"] == service["healthcheck"]["test"]


def test_every_service_has_a_health_check():
    assert not [name for name, service in resolved()["services"].items() if "healthcheck" not in service]


def test_there_is_a_service_for_every_role():
    assert {
        service["command"][0] + "".join(f" {word}" for word in service["command"][1:2] if word[0] != "-")
        for service in ours().values()
    } == {
        "serve dicom",
        "serve hl7",
        "serve http",
        "serve folder",
        "keeper",
        "worker",
    }


def test_the_gpu_worker_reserves_a_device_and_is_in_a_profile_of_its_own():
    service = resolved()["services"][NEEDS_A_GPU]
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert "gpu" in device["capabilities"]
    assert service["profiles"] == ["gpu"]


def test_every_volume_is_used_by_a_service():
    volumes = set(resolved()["volumes"])
    used = {entry.split(":")[0] for service in resolved()["services"].values() for entry in service.get("volumes", ())}
    assert volumes <= used


@pytest.mark.parametrize("path", ["ops/prometheus.yml", "ops/grafana/provisioning/datasources/prometheus.yml"])
def test_a_configuration_is_valid_yaml_and_mounted(path):
    assert yaml.safe_load((ROOT / path).read_text())
    mounts = [
        entry.split(":")[0].removeprefix("./")
        for service in resolved()["services"].values()
        for entry in service.get("volumes", ())
    ]
    assert [mount for mount in mounts if path.startswith(mount)]


def test_promtool_accepts_the_configuration_of_prometheus():
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("promtool did not look at ops/prometheus.yml: apt-get install prometheus")
    checked = subprocess.run(
        [promtool, "check", "config", ROOT / "ops/prometheus.yml"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_prometheus_scrapes_a_service_and_a_port_that_are_there():
    scrape, _ = yaml.safe_load((ROOT / "ops/prometheus.yml").read_text())["scrape_configs"]
    (target,) = scrape["static_configs"][0]["targets"]
    name, port = target.split(":")
    assert f"{port}:{port}" in ours()[name]["ports"]


def test_the_processes_that_prometheus_finds_by_files_are_services_with_such_a_page():
    for group in json.loads((ROOT / "ops/targets/processes.json").read_text()):
        for target in group["targets"]:
            name, port = target.split(":")
            assert ours()[name]["environment"]["DXSTREAM_PROCESS_METRICS_PORT"] == port


def test_grafana_asks_the_prometheus_that_is_there():
    (source,) = yaml.safe_load((ROOT / "ops/grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    name = re.fullmatch(r"http://(\w+):9090", source["url"])[1]
    assert name in resolved()["services"]


# As plain processes ------------------------------------------------------------------------------------------------


@dataclass
class Service:
    """One of ours: its environment with loopback hosts and free ports, its process and its health check."""

    name: str
    command: list[str]
    check: list[str]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "dxstream", *self.command]
            self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, preexec_fn=end_with_parent)

    def healthy(self) -> bool:
        """What Docker would run in the container."""
        assert self.process.poll() is None, f"{self.name} ended:\n{self.log.read_text()[-3000:]}"
        assert self.check[:2] == ["CMD", "dxstream"]
        command = [sys.executable, "-m", "dxstream", *self.check[2:]]
        return subprocess.run(command, env=self.environment, capture_output=True, timeout=60, check=False).returncode == 0

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def end(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@dataclass
class Composed:
    services: dict[str, Service]
    ports: Ports
    metrics_port: int
    ledger: Ledger


def role_of_dxstream(server: str, password: str) -> str:
    """The user and the database that the service ``postgres`` would make; gives the database's URL as its clients write it."""
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE ROLE dxstream LOGIN PASSWORD '{password}'")
        connection.exec_driver_sql("CREATE DATABASE dxstream OWNER dxstream")
    engine.dispose()
    return server.split("@")[1].split("/", maxsplit=1)[0]


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    """Every service of ours but the GPU's, on a real Redis and a real PostgreSQL; each has been healthy once."""
    folder = tmp_path_factory.mktemp("composed")
    ports = {name: free_port() for name in ("DICOM", "MLLP", "HTTP", "METRICS")}
    with ExitStack() as stack:
        at_redis = stack.enter_context(running_redis()).removeprefix("redis://").removesuffix("/0")
        at_postgres = role_of_dxstream(stack.enter_context(running_postgresql()), SECRETS["DXSTREAM_POSTGRES_PASSWORD"])
        hosts = {"redis:6379": at_redis, "postgres:5432": at_postgres, "0.0.0.0": "127.0.0.1", "/home/dxstream": str(folder)}

        def here(value: str) -> str:
            for inside, outside in hosts.items():
                value = value.replace(inside, outside)
            return value

        (folder / "config").mkdir()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DXSTREAM_")}
        numbers = {f"DXSTREAM_{name}_PORT": str(port) for name, port in ports.items()}
        services = {}
        for name, service in ours().items():
            if name != NEEDS_A_GPU:
                own = {key: here(str(value)) for key, value in service["environment"].items()}
                own["DXSTREAM_PROCESS_METRICS_PORT"] = str(free_port())  # they share one machine here
                one = Service(
                    name, service["command"], service["healthcheck"]["test"], inherited | own | numbers, folder / f"{name}.log"
                )
                stack.callback(one.end)
                services[name] = one
        for one in services.values():
            one.start()
        for one in services.values():
            until(one.healthy, f"{one.name} is healthy")
        ledger = Ledger(one.environment["DXSTREAM_DATABASE_URL"])
        stack.callback(ledger.close)
        reach = Ports(
            host="127.0.0.1",
            dicom=ports["DICOM"],
            ae_title="DXSTREAM",
            mllp=ports["MLLP"],
            http=ports["HTTP"],
            token=SECRETS["DXSTREAM_HTTP_TOKEN"],
        )
        yield Composed(services, reach, ports["METRICS"], ledger)


@needs_postgresql
def test_every_service_comes_up_healthy(composed):
    assert all(one.healthy() for one in composed.services.values())


@needs_postgresql
def test_together_they_pass_the_demos_hospital(composed, tmp_path):
    book = Book(tmp_path / "book.jsonl")
    send_all(plan(30, 41, datetime.now(UTC)), composed.ports, book, lambda _: None)
    composed.ledger.settle()
    assert not compare(book, composed.ledger.inputs())
    assert {row["state"] for row in composed.ledger.events()} == {"done"}


@needs_postgresql
def test_a_file_in_the_inbox_is_taken_too(composed):
    home = Path(composed.services["folder"].environment["DXSTREAM_HOME"])
    note = "The patient was admitted with shortness of breath and improved under treatment."
    (home / "inbox" / "note.txt").write_text(note)
    until((home / "inbox" / "done" / "note.txt").exists, "the file is taken")
    assert composed.ledger.count("feed", table="inputs")[("folder",)] == 1


@needs_postgresql
def test_the_keeper_tells_prometheus_of_all_of_them(composed):
    _, text = get(f"http://127.0.0.1:{composed.metrics_port}/metrics")
    assert 'dxstream_worker_up{device="cpu",worker="cpu-0"} 1.0' in text
    assert 'dxstream_stage_seconds_count{modality="scan",stage="accept"}' in text


@needs_postgresql
def test_http_takes_nothing_without_the_token(composed):
    status, _ = get(f"http://127.0.0.1:{composed.ports.http}/fhir/metadata")
    assert status == 401


@needs_postgresql
def test_torch_is_in_no_service_but_the_worker(composed):
    maps = {name: Path(f"/proc/{one.process.pid}/maps").read_text() for name, one in composed.services.items()}
    assert [name for name, text in maps.items() if "libtorch" in text or "cv2" in text] == ["worker-cpu"]


@needs_postgresql
def test_a_role_that_does_not_run_is_not_healthy(composed):
    stopped = replace(composed.services["worker-cpu"], check=["CMD", "dxstream", "healthy", "worker", "--name", "cuda-0"])
    assert not stopped.healthy()


@needs_postgresql
def test_no_log_shows_a_secret(composed):
    logs = "".join(one.log.read_text() for one in composed.services.values())
    assert len(logs) > 500
    assert not [value for value in SECRETS.values() if value in logs]


@needs_postgresql
def test_every_log_line_is_json(composed):
    lines = [line for one in composed.services.values() for line in one.log.read_text().splitlines()]
    assert not [line for line in lines if not (line.startswith("{") and line.endswith("}"))]


@needs_postgresql
def test_each_service_ends_well_when_it_is_asked_to(composed):
    assert {name: one.stop() for name, one in composed.services.items()} == dict.fromkeys(composed.services, 0)

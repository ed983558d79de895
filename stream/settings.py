"""Every setting, read once from the environment at the entry point and handed down frozen."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stream.errors import DxstreamError
from stream.keep import Keep, read_keep


class BadSettingError(DxstreamError):
    """A DXSTREAM_ variable, an option or a file of the folder ``config`` holds what cannot be used."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One field an environment variable of the same name; the table in docs/reference.md gives the meaning of each.

    ``redis_url`` empty: the embedded Redis of this home. A port of 0 takes any free one.
    """

    home: Path
    redis_url: str = ""
    database_url: str = ""
    dicom_port: int = 11112
    ae_title: str = "DXSTREAM"
    mllp_port: int = 2575
    http_port: int = 8080
    metrics_port: int = 9108
    inbox: Path = Path()
    devices: str = "auto"
    bind: str = "127.0.0.1"
    http_token: str = ""
    console_token: str = ""
    console_user_header: str = ""
    console_proxies: str = ""
    hash_key: str = ""
    config: Path = Path()
    models: Path = Path()
    log_format: str = "console"
    runtime: str = ""
    explain: str = ""
    process_metrics_port: int = 0
    keep: Keep = field(default_factory=Keep)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, *, home: Path | None = None) -> "Settings":
        """Read DXSTREAM_*; ``home`` overrides DXSTREAM_HOME. Raises BadSettingError."""
        values = os.environ if environment is None else environment

        def get(name: str, default: str = "") -> str:
            return values.get(f"DXSTREAM_{name}") or default

        place = (home or Path(get("HOME", "dxstream-home"))).absolute()
        return cls(
            home=place,
            redis_url=get("REDIS_URL"),
            database_url=get("DATABASE_URL") or f"sqlite:///{place / 'dxstream.sqlite'}",
            dicom_port=_port("DICOM_PORT", get("DICOM_PORT", "11112")),
            ae_title=get("AE_TITLE", "DXSTREAM"),
            mllp_port=_port("MLLP_PORT", get("MLLP_PORT", "2575")),
            http_port=_port("HTTP_PORT", get("HTTP_PORT", "8080")),
            metrics_port=_port("METRICS_PORT", get("METRICS_PORT", "9108")),
            inbox=Path(get("INBOX") or place / "inbox").absolute(),
            devices=get("DEVICES", "auto"),
            bind=get("BIND", "127.0.0.1"),
            http_token=get("HTTP_TOKEN"),
            console_token=get("CONSOLE_TOKEN") or get("HTTP_TOKEN"),
            console_user_header=get("CONSOLE_USER_HEADER"),
            console_proxies=get("CONSOLE_PROXIES", "127.0.0.1,::1"),
            hash_key=get("HASH_KEY"),
            config=Path(get("CONFIG") or place / "config").absolute(),
            models=Path(get("MODELS") or place / "models").absolute(),
            log_format=get("LOG_FORMAT", "console"),
            runtime=_one_of("RUNTIME", get("RUNTIME"), ("", "torch", "openvino", "onnx")),
            explain=_one_of("EXPLAIN", get("EXPLAIN"), ("", "on", "off")),
            process_metrics_port=_port("PROCESS_METRICS_PORT", get("PROCESS_METRICS_PORT", "0")),
            keep=read_keep(get),
        )

    @property
    def on_loopback(self) -> bool:
        """Whether nothing outside this machine can reach the ports."""
        return self.bind in ("127.0.0.1", "::1", "localhost")

    def __repr__(self) -> str:
        """Without the database's password, the token or the key."""
        return f"Settings(home={self.home})"


def _one_of(name: str, text: str, known: tuple[str, ...]) -> str:
    if text not in known:
        raise BadSettingError(f"DXSTREAM_{name} is {text!r}, and none of {', '.join(filter(None, known))}")
    return text


def _port(name: str, text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise BadSettingError(f"DXSTREAM_{name} is no port: {text!r}")
    return int(text)

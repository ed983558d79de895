"""The tables [fhir.servers.NAME] of feeds.toml."""

from pathlib import Path

import pytest

from producers.fhir.servers import LEAST_SECONDS, read_servers
from stream.feeds import FeedsConfig
from stream.settings import BadSettingError

WHOLE = """
[fhir.servers.ehr]
url = "https://ehr.example/fhir/"
authority = "HOSP"
token_env = "TOKEN_READ"
sender_token_env = "TOKEN_SENT"
types = ["Observation", "Patient"]
every_seconds = 0
since_days = 1
attachments = true
"""
SAME_TOKEN = """
[fhir.servers.a]
url = "http://a.example"
sender_token_env = "TOKEN_READ"
[fhir.servers.b]
url = "http://b.example"
sender_token_env = "TOKEN_READ"
"""
TOKENS = {"TOKEN_READ": "secret-one", "TOKEN_SENT": " secret-two\n"}


def servers(folder: Path, lines: str):
    (folder / "feeds.toml").write_text(lines)
    return read_servers(FeedsConfig(folder).feed("fhir"), TOKENS)


def test_a_server_is_read_with_its_tokens_from_the_environment(tmp_path):
    ehr = servers(tmp_path, WHOLE)["ehr"]
    assert (ehr.url, ehr.token, ehr.sender_token) == ("https://ehr.example/fhir", "secret-one", "secret-two")
    assert ehr.types == ("Patient", "Observation")
    assert ehr.every_seconds == LEAST_SECONDS
    assert "secret" not in repr(ehr)


@pytest.mark.parametrize(
    "lines",
    [
        "[fhir.servers.ehr]\n",
        "[fhir.servers]\nehr = 5\n",
        '[fhir.servers."a/b"]\nurl = "http://a.example"\n',
        '[fhir.servers.ehr]\nurl = "ftp://a.example"\n',
        '[fhir.servers.ehr]\nurl = "http://user:secret@a.example"\n',
        '[fhir.servers.ehr]\nurl = "http://a.example/fhir?x=1"\n',
        '[fhir.servers.ehr]\nurl = "http://[::1"\n',
        '[fhir.servers.ehr]\nurl = "http://a.example"\ntoken = "in the file"\n',
        '[fhir.servers.ehr]\nurl = "http://a.example"\ntoken_env = "NOT_SET"\n',
        '[fhir.servers.ehr]\nurl = "http://a.example"\ntypes = ["Claim"]\n',
        '[fhir.servers.ehr]\nurl = "http://a.example"\nevery_seconds = "often"\n',
        '[fhir.servers.a]\nurl = "http://a.example/"\n[fhir.servers.b]\nurl = "http://a.example"\n',
        SAME_TOKEN,
    ],
)
def test_what_cannot_be_used_is_a_bad_setting_without_the_secret(tmp_path, lines):
    with pytest.raises(BadSettingError) as told:
        servers(tmp_path, lines)
    assert "secret" not in str(told.value)

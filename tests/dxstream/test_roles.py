"""What every role does when it starts."""

from contextlib import closing
from pathlib import Path

from db.cards import active_rows
from dxstream.roles import open_database
from stream.settings import Settings


def test_a_site_toml_that_cannot_be_read_keeps_no_feed_from_starting(tmp_path: Path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "site.toml").write_text("[own\n")
    settings = Settings.from_environment({}, home=tmp_path)
    with closing(open_database(settings)) as database, database.read() as connection:
        assert active_rows(connection)

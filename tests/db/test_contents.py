"""How PostgreSQL keeps small contents."""

import uuid
from contextlib import closing

import pytest
import sqlalchemy as sa
from servers import fresh_postgresql

from db.engine import Database
from db.migrate import upgrade

_PACKED = "SELECT attcompression FROM pg_attribute WHERE attrelid = 'contents'::regclass AND attname = 'data'"
_HAS_LZ4 = "SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression'"


def test_contents_are_packed_by_lz4_where_the_server_has_it(postgresql_url: str):
    with closing(Database(fresh_postgresql(postgresql_url, f"packed_{uuid.uuid4().hex}"))) as database:
        upgrade(database)
        with database.read() as connection:
            if not connection.exec_driver_sql(_HAS_LZ4).scalar():
                pytest.skip("this PostgreSQL was built without lz4")
            assert connection.execute(sa.text(_PACKED)).scalar() == "l"

"""The tables. The migrations under ``db/migrations`` make them; a test holds the two together."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: 64 bits everywhere; SQLite counts up by itself only in an INTEGER.
Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


class Utc(TypeDecorator[datetime]):
    """An aware UTC time; SQLite keeps it as text that sorts."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Refuse a naive time; it is written in UTC."""
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        return value.astimezone(UTC)

    def bind_processor(self, dialect: sa.Dialect) -> Any:
        """SQLite's text is written here: SQLAlchemy's own way takes three times as long, and a result has four times."""
        return _as_text if dialect.name == "sqlite" else super().bind_processor(dialect)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """What comes back is aware."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


@lru_cache(maxsize=1024)  # the times of one group are few
def _as_text(value: datetime | None) -> str | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise ValueError("a time without a zone")
    return (value if value.tzinfo is UTC else value.astimezone(UTC)).isoformat(" ", "microseconds")[:26]


def _when(name: str, **options: Any) -> sa.Column[datetime]:
    return sa.Column(name, Utc, **options)


def _text(name: str, **options: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text, **{"nullable": False, "default": "", **options})


def _seconds(name: str) -> sa.Column[float]:
    return sa.Column(name, sa.Float)


# What was sent ------------------------------------------------------------------------------------------------------

contents = sa.Table(
    "contents",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),  # sha256, hexadecimal
    sa.Column("data", sa.LargeBinary, nullable=False),
    _when("kept_at"),  # when an input last brought it; a file's is the time of its last change
    sa.Index("ix_contents_kept_at", "kept_at"),
)

inputs = sa.Table(
    "inputs",
    metadata,
    sa.Column("id", Id, primary_key=True),
    _text("feed"),
    _text("sender_id"),
    _text("identity"),
    _text("digest"),
    sa.Column("size", sa.BigInteger, nullable=False),
    _text("patient_key"),
    _when("accepted_at", nullable=False),
    sa.Column("event_id", sa.BigInteger),
    _text("disposition"),  # collecting, in_event, timeline, not_used
    _text("reason"),
    sa.UniqueConstraint("identity", "digest"),
    sa.Index("ix_inputs_event_id", "event_id"),
    sa.Index("ix_inputs_patient_key", "patient_key"),
)

cases = sa.Table(
    "cases",
    metadata,
    sa.Column("id", Id, primary_key=True),
    _text("case_key", unique=True),
    _text("modality"),
    _text("lane"),
    _text("feed"),
    _text("patient_key"),
    sa.Column("revision", sa.Integer, nullable=False, default=0),  # of its latest event
    sa.Column("retracted_revision", sa.Integer, nullable=False, default=0),  # predictions up to it are retracted
    sa.Column("facts", sa.JSON, nullable=False, default=dict),
    _text("digest"),  # of a document's latest text; empty: it was cancelled
    _when("version_at"),  # of a document's latest text or cancel, where its sender dates versions
    _when("opened_at", nullable=False),
    _when("touched_at", nullable=False),  # the last input
    _when("first_touched_at"),  # the first input since the last event
    _when("close_at"),  # when it becomes an event; null: nothing is awaited
    sa.Column("quiet_seconds", sa.Float),
    sa.Column("expected", sa.Integer),  # instances, where the source says how many
    _when("acquired_at"),
    _when("origin_at"),  # a stay's window
    _when("ends_at"),
    sa.Index(
        "ix_cases_close_at",
        "close_at",
        sqlite_where=sa.text("close_at IS NOT NULL"),
        postgresql_where=sa.text("close_at IS NOT NULL"),
    ),
    sa.Index("ix_cases_patient_key", "patient_key"),
    sa.Index("ix_cases_text", "digest", sqlite_where=sa.text("modality = 'note'"), postgresql_where=sa.text("modality = 'note'")),
)

case_inputs = sa.Table(
    "case_inputs",
    metadata,
    sa.Column("case_id", sa.BigInteger, primary_key=True),
    sa.Column("input_id", sa.BigInteger, primary_key=True),
)

# The patient's timeline ----------------------------------------------------------------------------------------------

_TIMED = sa.text("identity <> base")

points = sa.Table(
    "points",
    metadata,
    sa.Column("id", Id, primary_key=True),
    _text("identity", unique=True),
    _text("base"),
    _text("patient_key"),
    _text("code"),
    sa.Column("value", sa.Float),  # null: removed
    sa.Column("flags", sa.Integer, nullable=False),
    _when("observed_at", nullable=False),
    _when("available_at", nullable=False),
    _when("version_at", nullable=False),
    _when("sent_at"),  # of the message that brought it; the version's own where the laboratory gave none
    sa.Column("input_id", sa.BigInteger, nullable=False),
    # Identity and base are one in nearly every row: an index of the others spares a page a result.
    sa.Index("ix_points_timed", "base", sqlite_where=_TIMED, postgresql_where=_TIMED),
    sa.Index("ix_points_patient_key_observed_at", "patient_key", "observed_at"),
)

refused_points = sa.Table(
    "refused_points",
    metadata,
    sa.Column("id", Id, primary_key=True),
    _text("patient_key", index=True),
    sa.Column("input_id", sa.BigInteger, nullable=False),
    _text("code"),
    _text("reason"),
    _when("observed_at"),  # where that can be told
)

analytes_seen = sa.Table(
    "analytes_seen",
    metadata,
    sa.Column("code", sa.Text, primary_key=True),
    _when("last_seen_at", nullable=False),
)

movements = sa.Table(
    "movements",
    metadata,
    sa.Column("id", Id, primary_key=True),
    _text("patient_key"),
    _text("stay"),
    _text("kind"),
    _when("at", nullable=False),
    _when("recorded_at", nullable=False),  # movements are replayed in this order
    sa.Column("intensive", sa.Boolean),
    _text("person"),  # keyed hash of birth date and sex
    sa.Column("input_id", sa.BigInteger, nullable=False),
    sa.Column("repeated_hour", sa.Boolean),  # of ``at``; null: no
    sa.Column("told_by", sa.Text),  # keyed hash of the Encounter whose next version replaces the row; null: none does
    sa.Index("ix_movements_stay", "stay"),
)

aliases = sa.Table(
    "aliases",
    metadata,
    sa.Column("id", Id, primary_key=True),
    _text("other", index=True),  # this key …
    _text("patient_key", index=True),  # … is also this one
    sa.Column("input_id", sa.BigInteger, nullable=False),
    _when("made_at", nullable=False),
    _when("undone_at"),
)

#: A Patient of a named FHIR server, so that what refers to it in a later request finds its key, age and sex.
patients = sa.Table(
    "patients",
    metadata,
    sa.Column("bare_key", sa.Text, primary_key=True),  # keyed hash of the server and the Patient's id
    _text("patient_key"),
    _text("birth_date"),  # as FHIR writes it: ages at later moments need it
    _text("sex"),
    _when("version_at"),
    _when("seen_at", nullable=False),
    sa.Index("ix_patients_seen_at", "seen_at"),
)

# A document that replaced another is judged in the case of the one that it replaced.
document_aliases = sa.Table(
    "document_aliases",
    metadata,
    sa.Column("known_as", sa.Text, primary_key=True),  # the case key of its own number …
    _text("case_key"),  # … and the one that its case has
)

# What was refused, as it came; one row however often it is sent again.
refusals = sa.Table(
    "refusals",
    metadata,
    sa.Column("id", Id, primary_key=True),
    _text("feed"),
    _text("digest"),
    _text("reason"),
    _text("place"),  # in the protocol's own words
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),  # its beginning, where it is very long
    sa.Column("times", sa.Integer, nullable=False, default=1),
    _when("first_at", nullable=False),
    _when("at", nullable=False),  # the last time
    sa.UniqueConstraint("feed", "digest"),
    sa.Index("ix_refusals_at", "at"),
)

# What is asked and answered ------------------------------------------------------------------------------------------

_WAITING = sa.text("state = 'waiting'")
_LEASED = sa.text("state = 'leased'")
_DEAD = sa.text("state = 'dead'")

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", Id, primary_key=True),
    _text("case_key"),
    sa.Column("revision", sa.Integer, nullable=False),
    _text("modality"),
    _text("lane"),
    sa.Column("lane_rank", sa.SmallInteger, nullable=False),
    _text("feed"),
    _text("patient_key"),
    _text("state"),  # waiting, leased, done, dead
    _text("outcome"),  # predicted, rejected, unmatched
    _text("reason"),
    _text("stage"),  # where it was when it failed
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("failures", sa.Integer, nullable=False, default=0),  # temporary errors
    sa.Column("crashes", sa.Integer, nullable=False, default=0),  # above 0: judged alone (db/leases.py)
    sa.Column("suspect", sa.Boolean, nullable=False, default=False),  # its worker died
    sa.Column("holder", sa.BigInteger),  # workers.id
    sa.Column("fence", sa.BigInteger, nullable=False, default=0),
    _when("not_before"),
    _when("received_at", nullable=False),  # its last input
    _when("acquired_at"),
    _when("as_of"),
    _when("claimed_at"),
    _when("done_at"),
    sa.Column("facts", sa.JSON, nullable=False, default=dict),
    _text("digest"),  # of what is judged; the input's own, or of the digests of a series
    sa.Column("inputs_through", sa.BigInteger, nullable=False, default=0),  # judges the inputs of its case up to this id
    _seconds("accept_seconds"),
    _seconds("gather_seconds"),
    _seconds("wait_seconds"),
    _seconds("fetch_seconds"),
    _seconds("prepare_seconds"),
    _seconds("infer_seconds"),
    _seconds("save_seconds"),
    sa.UniqueConstraint("case_key", "revision"),
    sa.Index("ix_events_waiting", "lane_rank", "id", sqlite_where=_WAITING, postgresql_where=_WAITING),
    sa.Index("ix_events_leased", "holder", sqlite_where=_LEASED, postgresql_where=_LEASED),
    sa.Index("ix_events_dead", "modality", sqlite_where=_DEAD, postgresql_where=_DEAD),
    sa.Index("ix_events_patient_key", "patient_key"),
)

_CURRENT = sa.text("status = 'current'")

predictions = sa.Table(
    "predictions",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("event_id", sa.BigInteger, nullable=False),
    _text("case_key"),
    _text("model"),
    _text("version"),
    _text("model_digest"),
    _text("input_digest"),
    _text("status"),  # current, superseded, retracted
    sa.Column("uncertain", sa.Boolean, nullable=False),
    _when("as_of"),
    _text("device"),
    _when("created_at", nullable=False),
    sa.Column("details", sa.JSON, nullable=False, default=dict),
    sa.UniqueConstraint("event_id", "model_digest"),
    sa.Index("uq_predictions_current", "case_key", "model", unique=True, sqlite_where=_CURRENT, postgresql_where=_CURRENT),
)

findings = sa.Table(
    "findings",
    metadata,
    sa.Column("prediction_id", sa.BigInteger, primary_key=True),
    sa.Column("label", sa.Text, primary_key=True),
    sa.Column("probability", sa.Float, nullable=False),
    sa.Column("threshold", sa.Float, nullable=False),
    sa.Column("positive", sa.Boolean, nullable=False),
)

#: What turned out to be true of an event, once somebody knows.
labels = sa.Table(
    "labels",
    metadata,
    sa.Column("event_id", sa.BigInteger, primary_key=True),
    sa.Column("label", sa.Text, primary_key=True),  # as in findings
    sa.Column("source", sa.Text, primary_key=True),  # who says so
    sa.Column("value", sa.Boolean, nullable=False),
    _when("at", nullable=False),  # when it was said
)

# What people did ------------------------------------------------------------------------------------------------------

#: One row an event that somebody retried or dropped, or a deed that concerns none; written in the same transaction.
actions = sa.Table(
    "actions",
    metadata,
    sa.Column("id", Id, primary_key=True),
    _when("at", nullable=False),
    _text("who"),
    _text("act"),  # retry, drop; pause, resume of a backlog
    sa.Column("event_id", sa.BigInteger, index=True),
    _text("reason"),  # why, in that person's words
    _text("before"),  # the event's own reason as it stood
)

# Why it was said -------------------------------------------------------------------------------------------------------

#: What a prediction leaned on; computed afterwards, when nothing waits or when somebody asks.
explanations = sa.Table(
    "explanations",
    metadata,
    sa.Column("prediction_id", sa.BigInteger, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),  # heat_map, results, tokens
    sa.Column("label", sa.Text, primary_key=True),  # the finding that is explained
    _text("method"),
    _text("media_type"),  # image/png, application/json
    sa.Column("body", sa.LargeBinary, nullable=False),
    _when("created_at", nullable=False),
)

#: Predictions that are still to be explained.
explanations_wanted = sa.Table(
    "explanations_wanted",
    metadata,
    sa.Column("prediction_id", sa.BigInteger, primary_key=True),
    sa.Column("tries", sa.Integer, nullable=False, default=0),
    _when("asked_at", nullable=False),
)

# A backlog and its manifest --------------------------------------------------------------------------------------------

_PENDING = sa.text("state = 'pending'")
_FAULTY = sa.text("state IN ('refused', 'failed')")

#: What somebody asked to have pushed: paths, or the days of a PACS. The counts are raised in the transaction that they count.
backlogs = sa.Table(
    "backlogs",
    metadata,
    sa.Column("id", Id, primary_key=True),
    _text("name", unique=True),  # what was asked for; the same again goes on with the same backlog
    sa.Column("source", sa.JSON, nullable=False),  # paths, or what is pulled from where
    sa.Column("in_place", sa.Boolean, nullable=False, default=False),
    sa.Column("rate", sa.Float),  # files a second at most; null: as fast as can be
    _text("hours"),  # local time, as 22:00-06:00; empty: always
    sa.Column("depth", sa.Integer, nullable=False),  # so many of its lane may wait in the ledger
    _text("state"),  # running, paused, done
    _text("waits_for"),  # hours, room, disk, database; empty while it gets on
    _text("runner"),  # host and process that works on it
    sa.Column("fence", sa.BigInteger, nullable=False, default=0),  # raised by each process that takes it over
    _when("seen_at"),  # when that process was last heard of
    _when("began_at", nullable=False),
    _when("listed_at"),  # when the manifest was whole
    _text("listed_through"),  # of a pull: the last day that was asked for
    _when("ended_at"),
    sa.Column("files", sa.BigInteger, nullable=False, default=0),  # in the manifest
    sa.Column("bytes", sa.BigInteger, nullable=False, default=0),
    sa.Column("taken", sa.BigInteger, nullable=False, default=0),  # files by outcome
    sa.Column("known", sa.BigInteger, nullable=False, default=0),
    sa.Column("refused", sa.BigInteger, nullable=False, default=0),
    sa.Column("failed", sa.BigInteger, nullable=False, default=0),
    sa.Column("inputs", sa.BigInteger, nullable=False, default=0),  # new ones in the ledger
    sa.Column("files_per_second", sa.Float),  # over the last minute
    _when("eta_at"),
)

#: The manifest: a row a file, a member of an archive, a study of a PACS; further rows for the parts of a file that were refused.
backlog_files = sa.Table(
    "backlog_files",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("backlog_id", sa.BigInteger, nullable=False),
    _text("path"),
    _text("member"),  # of an archive
    sa.Column("part", sa.Integer, nullable=False, default=0),  # the n-th message or line alone; 0: the whole file
    sa.Column("size", sa.BigInteger, nullable=False, default=0),
    _text("state"),  # pending, taken, known, refused, failed
    _text("reason"),
    sa.Column("parts", sa.Integer, nullable=False, default=0),  # so many messages or lines are dealt with …
    sa.Column("position", sa.BigInteger, nullable=False, default=0),  # … which end at this byte
    sa.Column("inputs", sa.Integer, nullable=False, default=0),  # new ones in the ledger
    sa.Column("input_id", sa.BigInteger),  # the first of them, or the one that was known
    _when("ended_at"),
    sa.UniqueConstraint("backlog_id", "path", "member", "part"),
    sa.Index("ix_backlog_files_pending", "backlog_id", "id", sqlite_where=_PENDING, postgresql_where=_PENDING),
    sa.Index("ix_backlog_files_faulty", "backlog_id", "id", sqlite_where=_FAULTY, postgresql_where=_FAULTY),
)

#: Content that was left where it lies: ``head``, then the file's bytes from ``start`` on.
content_places = sa.Table(
    "content_places",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    _text("path"),
    sa.Column("start", sa.BigInteger, nullable=False),
    sa.Column("head", sa.LargeBinary, nullable=False),
)

# How far a polled server has been read -------------------------------------------------------------------------------

cursors = sa.Table(
    "cursors",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    _when("position", nullable=False),  # all that the server changed before this was committed here
    _when("moved_at", nullable=False),
)

# Who works, and what is counted --------------------------------------------------------------------------------------

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("id", Id, primary_key=True),  # one incarnation
    _text("name"),
    _text("device"),
    _text("host"),
    sa.Column("pid", sa.Integer, nullable=False),
    _text("queues"),
    _text("stage"),
    _when("started_at", nullable=False),
    _when("lease_until", nullable=False),
    _when("claimed_at"),
    _when("progress_at"),
    _when("ended_at"),
    _text("ended_by", nullable=True),  # stop: it was asked to and left in order; crash: it went without a word
    sa.Index("ix_workers_ended_at", "ended_at"),
)

cards = sa.Table(
    "cards",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    _text("version"),
    _text("modality"),
    _text("digest"),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("card", sa.JSON, nullable=False),
    _when("changed_at", nullable=False),
)

tallies = sa.Table(
    "tallies",
    metadata,
    sa.Column("metric", sa.Text, primary_key=True),
    sa.Column("labels", sa.Text, primary_key=True),  # JSON list of label values
    sa.Column("slot", sa.Text, primary_key=True),  # who counts, so that two processes never wait for one row
    sa.Column("value", sa.BigInteger, nullable=False),
)

slots = sa.Table(
    "slots",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("samples", sa.JSON, nullable=False),  # histograms and gauges of one role's process
    _when("written_at", nullable=False),
)

"""Prints the DICOM conformance statement from what the code accepts and answers.

``python docs/conformance.py --write`` renews docs/dicom-conformance.md; a test holds the two together.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydicom.uid import UID

from db.series import PATIENCE
from producers.dicom import association, contexts, feed, pdu, source, wire
from stream.feeds import QUIET_SECONDS

STATEMENT = Path(__file__).parent / "dicom-conformance.md"

STATUSES = (
    ("C-STORE", association.SUCCESS.code, "stored: the file and the ledger's row are on disk"),
    ("C-STORE", feed.OUT_OF_RESOURCES, "no room, no database, or no answer in time: nothing is lost, send again"),
    ("C-STORE", feed.DOES_NOT_MATCH, "the dataset is not the instance that was announced"),
    ("C-STORE", feed.CANNOT_UNDERSTAND, "the dataset is at fault; ErrorComment says how"),
    ("C-ECHO", association.SUCCESS.code, "we are here"),
    ("any other", association.UNKNOWN_OPERATION.code, "only C-STORE and C-ECHO are offered"),
)

LIMITS = (
    ("associations at once; the next is rejected (transient, local limit exceeded)", feed.MAX_ASSOCIATIONS, ""),
    ("largest PDU that we ask for", association.MAX_PDU_BYTES, "bytes"),
    ("largest PDU that is read at all", wire.LONGEST_PDU_BYTES, "bytes"),
    ("largest instance", association.LONGEST_INSTANCE_BYTES, "bytes"),
    ("from the connection to the association request", feed.GREETING_SECONDS, "s"),
    ("without a word within an association, which then is aborted", feed.IDLE_SECONDS, "s"),
    ("until a C-STORE is answered out of resources", feed.ANSWER_SECONDS, "s"),
    ("for the sender to close after a rejection, a release or an abort (ARTIM); then the port closes", wire.LINGER_SECONDS, "s"),
    ("for a source to answer, as the user of C-FIND", source.ANSWER_SECONDS, "s"),
)

TEXT = """\
# DICOM conformance statement

Written from the code by `docs/conformance.py`. Research software, not a certified medical device.

## Roles and services

| service | SOP class | role | where |
|---|---|---|---|
| Verification (C-ECHO) | `{verification}` | SCP | `DXSTREAM_DICOM_PORT`, 11112 |
| Storage (C-STORE) | all of the next table, retired and private ones | SCP | the same port |
| Query (C-FIND), study root, SERIES level | `{find}` | SCU | towards the sources of `feeds.toml` |
| DICOMweb STOW-RS (PS3.18 10.5) | as Storage | origin server | `POST /dicom-web/studies`, `/dicom-web/studies/{{study}}` |

**Storage Commitment is not offered.** We keep an instance to judge it, and we are no archive: a modality that was told
"committed" may delete its images. Query/Retrieve as a provider, Worklist and MPPS are not offered either.

Storage is of level 2 (full): an instance is kept as it was received, in its transfer syntax; nothing is changed, left out or
decoded. Private attributes are kept. Nothing is coerced. The same instance sent again is answered success and is one input;
another content under a known SOP Instance UID is answered success, kept and flagged, and not judged.

## Associations

- Application context `{application}`; protocol version 1; one operation at a time, no asynchronous window.
- Called AE title: `DXSTREAM_AE_TITLE` (`DXSTREAM`) is ours, any is answered. Calling AE title: any, or those of
  `allowed_senders` alone; another is rejected (permanent, calling AE title not recognized).
- Implementation class UID `{implementation}`, version name `{version}`.
- Of the transfer syntaxes that a context offers, the first of the table below is taken.
- Role selection, extended negotiation and user identity are not answered: the defaults hold. TLS is for a proxy in front of
  the port.

| limit | value |
|---|---|
{limits}

## Statuses

| operation | status | means |
|---|---|---|
{statuses}

STOW-RS answers 200, 202 (some failed), 409 (all failed), 400, 415, 503 and 507 (with Retry-After); each failed instance has
FailureReason, and ErrorComment (0000,0902) with the reason in words.

## When a series is complete

CT and MR slices gather in their series. It is judged when the count that its source gives by C-FIND
(NumberOfSeriesRelatedInstances) is reached, else after silence: {quiet}, other modalities 30 s (`quiet_seconds`). The source
is asked after a quarter of that time without an instance and again after three quarters; while it has more than we, the
series is waited for at most {patience} times as long. The release of an association completes nothing. A later slice makes
the next revision.

## Transfer syntaxes ({syntax_count})

The most wanted first; Storage and Verification.

| UID | name |
|---|---|
{syntaxes}

## Storage SOP classes ({class_count}, and all others)

Retired storage SOP classes under `1.2.840.10008.5.1.4` and private SOP classes (any UID outside `1.2.840.10008`) are accepted
too.

| UID | name |
|---|---|
{classes}
"""


def statement() -> str:
    """The whole page."""
    return TEXT.format(
        verification=contexts.VERIFICATION,
        find=source.StudyRootFind,
        application=pdu.APPLICATION_CONTEXT,
        implementation=pdu.IMPLEMENTATION_CLASS_UID,
        version=pdu.IMPLEMENTATION_VERSION,
        limits=rows((what, f"{value:g} {unit}" if unit == "s" else f"{value:,} {unit}".strip()) for what, value, unit in LIMITS),
        statuses=rows((operation, f"`0x{code:04X}`", means) for operation, code, means in STATUSES),
        quiet=", ".join(f"{modality} {seconds:g} s" for modality, seconds in QUIET_SECONDS.items()),
        patience=PATIENCE,
        syntax_count=len(contexts.TRANSFER_SYNTAXES),
        syntaxes=rows(named(contexts.TRANSFER_SYNTAXES)),
        class_count=len(contexts.STORAGE_CLASSES),
        classes=rows(named(sorted(contexts.STORAGE_CLASSES, key=lambda uid: [int(part) for part in uid.split(".")]))),
    )


def named(uids: Iterable[str]) -> Iterable[Sequence[str]]:
    """UID and its name in the standard."""
    return ((f"`{uid}`", UID(uid).name) for uid in uids)


def rows(cells: Iterable[Sequence[str]]) -> str:
    """Lines of a Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def main() -> None:
    """Print, or write."""
    if "--write" in sys.argv:
        STATEMENT.write_text(statement(), encoding="utf-8")
    else:
        sys.stdout.write(statement())


if __name__ == "__main__":
    main()

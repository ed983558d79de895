"""One DICOM instance, whichever feed it came over: checked, made durable, ready for the intake."""

from datetime import UTC, datetime

from producers.dicom.file import Instance, write_file
from producers.dicom.header import Header, ask_for, parse_header, patient_key
from producers.door import Door
from producers.unexpected import refused_if_unexpected
from stream.arrival import Arrival
from stream.errors import Refused
from stream.queues import Lane


class Mismatch(Refused):
    """The dataset is not the instance that its sender announced."""


def arrive(door: Door, instance: Instance, *, feed: str, sender: str = "") -> Arrival:
    """Check an instance, put its file into the store (fsync) and say what it asks for. Raises Refused, Temporary."""
    arrival, file = prepare(door, instance, feed=feed, sender=sender)
    door.store.save(arrival.content, file)
    arrival.content.wait()
    return arrival


def prepare(door: Door, instance: Instance, *, feed: str, stat: bool = False, sender: str = "") -> tuple[Arrival, bytes]:
    """Check an instance and say what it asks for; the file that is to be saved beside it. Raises Refused.

    ``feed`` is the way it came, ``sender`` the calling AE title, or the address that it came from by HTTP; ``stat``: the sender
    says so. The table ``[dicom]`` of feeds.toml holds for every way: by the sender, or by the station that took the image.
    """
    with refused_if_unexpected(feed):
        return _prepare(door, instance, feed, sender, stat=stat)


def _prepare(door: Door, instance: Instance, feed: str, sender: str, *, stat: bool) -> tuple[Arrival, bytes]:
    header = parse_header(instance)
    _check_same(instance, header)
    config = door.feeds.feed("dicom")
    ask = ask_for(header, config=config, received_at=datetime.now(UTC), sender=sender)
    file = write_file(instance, sop_class=header.sop_class, sop_instance=header.sop_instance)
    named = {sender, header.texts.get("StationName", "")}
    arrival = Arrival(
        feed=feed,
        identity=f"sop:{header.sop_instance}",
        sender_id=header.sop_instance,
        content=door.store.begin(file),
        patient_key=patient_key(header, identities=door.identities, config=config),
        lane=Lane.STAT if stat or named & config.stat_senders else Lane.ROUTINE,
        asks=(ask,),
    )
    return arrival, file


def _check_same(instance: Instance, header: Header) -> None:
    """What was stated beside the dataset and what stands in it must be one."""
    if instance.sop_class and instance.sop_class != header.sop_class:
        raise Mismatch("SOPClassUID is not the one that was announced", where="SOPClassUID")
    if instance.sop_instance and instance.sop_instance != header.sop_instance:
        raise Mismatch("SOPInstanceUID is not the one that was announced", where="SOPInstanceUID")

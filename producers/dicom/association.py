"""One association as its acceptor: the greeting, then C-ECHO and C-STORE one after the other, until it is released.

pynetdicom's own machinery is not used here: it wakes three threads and decodes each PDU into many objects, which costs more
than storing the image (docs/decisions/0008-c-store-speed.md).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from producers.dicom import pdu
from producers.dicom.command import CANCEL, ECHO_REQUEST, STORE_REQUEST, Command, Status, answer_to, parse_command
from producers.dicom.contexts import ACCEPTED, negotiate
from producers.dicom.file import Instance
from producers.dicom.pdu import BadPdu, Request
from producers.dicom.wire import Wire

#: The largest PDU that we take, in bytes: senders fill it, so that an image is a few PDUs and not dozens.
MAX_PDU_BYTES = 131_072
#: The association of a longer instance is aborted: it would not fit into memory beside others.
LONGEST_INSTANCE_BYTES = 2**29
#: A command set is a few hundred bytes.
_LONGEST_COMMAND_BYTES = 65_536

SUCCESS = Status(0x0000)
UNKNOWN_OPERATION = Status(0x0211, "only C-STORE and C-ECHO are offered")

#: (result, source, reason), PS3.8 table 9-21.
CALLING_TITLE_UNKNOWN = (1, 1, 3)
TOO_MANY = (2, 3, 2)
_CONTEXT_NAME_UNKNOWN = (1, 1, 2)
_VERSION_UNKNOWN = (1, 2, 2)


class Rejected(Exception):
    """No association: ``args`` is the PDU's result, source and reason."""


@dataclass(frozen=True, kw_only=True)
class Storing:
    """One C-STORE request: the instance, who sends it, and the request's Priority."""

    instance: Instance
    sender: str
    priority: int


#: Why an association is not granted, None when it is.
Admit = Callable[[str], tuple[int, int, int] | None]
Store = Callable[[Storing], Status]


def greet(wire: Wire, admit: Admit) -> tuple[Request, Mapping[int, tuple[int, str]]]:
    """Accept the association that is asked for; the request and what was agreed. Raises Rejected, BadPdu, Gone."""
    kind, body = wire.read_pdu()
    if kind != pdu.ASSOCIATE_REQUEST:
        raise BadPdu("no association was asked for")
    request = pdu.parse_request(body)
    if not request.version & 1:
        raise Rejected(*_VERSION_UNKNOWN)
    if request.application_context != pdu.APPLICATION_CONTEXT:
        raise Rejected(*_CONTEXT_NAME_UNKNOWN)
    refusal = admit(request.calling)
    if refusal:
        raise Rejected(*refusal)
    agreed = negotiate(request.proposals)
    wire.send(pdu.accept_pdu(request, agreed, MAX_PDU_BYTES))
    return request, agreed


class Conversation:
    """What follows the greeting."""

    def __init__(self, wire: Wire, request: Request, agreed: Mapping[int, tuple[int, str]], store: Store) -> None:
        self.wire = wire
        self.sender = request.calling
        self.max_length = request.max_length
        self.abstract = {one.context_id: one.abstract_syntax for one in request.proposals}
        self.agreed = {context: syntax for context, (result, syntax) in agreed.items() if result == ACCEPTED}
        self.store = store

    def run(self) -> bytes:
        """Answer until the peer wants no more; what is to be said last. Raises BadPdu, Gone."""
        message = _Message()
        while True:
            kind, body = self.wire.read_pdu()
            if kind == pdu.RELEASE_REQUEST:
                return pdu.release_pdu()
            if kind == pdu.ABORT:
                return b""
            if kind != pdu.DATA:
                raise BadPdu("a PDU that has no place within an association")
            for fragment in pdu.fragments(memoryview(body)):
                if message.add(fragment):
                    self._answer(message)
                    message = _Message()

    def _answer(self, message: "_Message") -> None:
        command = message.command
        if command is None or command.field == CANCEL:
            return
        if message.context_id not in self.agreed:
            raise BadPdu("a presentation context that was not accepted")
        answer = answer_to(command, self._status(message, command))
        self.wire.send(pdu.command_pdus(message.context_id, answer, self.max_length))

    def _status(self, message: "_Message", command: Command) -> Status:
        if command.field == ECHO_REQUEST:
            return SUCCESS
        if command.field != STORE_REQUEST:
            return UNKNOWN_OPERATION
        instance = Instance(
            transfer_syntax=self.agreed[message.context_id],
            dataset=b"".join(message.dataset),
            sop_class=command.sop_class,
            sop_instance=command.sop_instance,
        )
        return self.store(Storing(instance=instance, sender=self.sender, priority=command.priority))


class _Message:
    """One DIMSE message while it comes in, PDU by PDU."""

    def __init__(self) -> None:
        self.context_id = 0
        self.command: Command | None = None
        self.dataset: list[memoryview] = []
        self._pieces = b""
        self._size = 0

    def add(self, fragment: pdu.Fragment) -> bool:
        """Whether the message is whole with this fragment."""
        if self.context_id and fragment.context_id != self.context_id:
            raise BadPdu("a message in two presentation contexts")
        self.context_id = fragment.context_id
        if fragment.is_command:
            return self._add_command(fragment)
        if self.command is None:
            raise BadPdu("a dataset without its command")
        self._size += len(fragment.content)
        if self._size > LONGEST_INSTANCE_BYTES:
            raise BadPdu("a longer instance than is ever read")
        self.dataset.append(fragment.content)
        return fragment.is_last

    def _add_command(self, fragment: pdu.Fragment) -> bool:
        if self.command is not None:
            raise BadPdu("a command within a message")
        self._pieces += fragment.content
        if len(self._pieces) > _LONGEST_COMMAND_BYTES:
            raise BadPdu("a longer command than is ever read")
        if not fragment.is_last:
            return False
        self.command = parse_command(self._pieces)
        return not self.command.has_dataset

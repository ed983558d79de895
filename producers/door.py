"""What every feed needs to take something in: the intake, the content store, whose it is, and what is configured."""

from dataclasses import dataclass

from producers.intake import Intake
from stream.content import ContentStore
from stream.feeds import FeedsConfig
from stream.identity import Identities


@dataclass(frozen=True, kw_only=True)
class Door:
    """Handed to each feed by the front door."""

    intake: Intake
    store: ContentStore
    identities: Identities
    feeds: FeedsConfig

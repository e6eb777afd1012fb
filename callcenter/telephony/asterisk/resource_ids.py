"""Names in Asterisk: of us, and of channels and bridges that we make, by who made them.

The id of a caller's channel is Asterisk's own choice.
"""

import uuid

ASTERISK_USER = "callcenter"  #: as whom we log in to ARI and AMI, see `asterisk-conf`
ORIGINATED_PREFIX, CONVERSATION_BRIDGE_PREFIX, SNOOP_PREFIX = "called-", "talk-", "overheard-"
_INSTANCE_AT = len(ORIGINATED_PREFIX) + len(str(uuid.UUID(int=0))) + 1


def owner_of(channel_id: str) -> str:
    """The instance that originated this channel, from its id; empty for a caller's."""
    return channel_id[_INSTANCE_AT:] if channel_id.startswith(ORIGINATED_PREFIX) else ""


def caller_channel_of(bridge: str) -> str:
    """The id of the caller's channel in a conversation, from the id of its bridge."""
    return bridge.removeprefix(CONVERSATION_BRIDGE_PREFIX).rpartition("-")[0]

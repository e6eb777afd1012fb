"""Operators of the telephone network whose trunks bring calls to the line."""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: A part of the name of a section, of a channel and of a secret.
OperatorName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{0,31}$")]


class Operator(BaseModel):
    """A trunk known by the addresses that it calls from, by our registration with it, or both."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    registrar: str | None = Field(None, pattern=r"^sip:[A-Za-z0-9.-]+(:\d{1,5})?$")
    user: str | None = Field(None, pattern=r"^[A-Za-z0-9+._-]{1,64}$")
    #: Where it answers OPTIONS: with what status does not matter.
    options_uri: str | None = Field(None, pattern=r"^sip:[A-Za-z0-9.-]+(:\d{1,5})?$")

    @model_validator(mode="after")
    def _check_identification(self) -> Self:
        if not self.networks and self.registrar is None:
            raise ValueError("an operator needs networks, or a registrar")
        if (self.registrar is None) != (self.user is None):
            raise ValueError("registrar and user belong together")
        return self

    @property
    def host(self) -> str | None:
        """The host of the registrar, as in `sip.example.kz` or with its port."""
        return None if self.registrar is None else self.registrar.removeprefix("sip:")

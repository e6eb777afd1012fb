"""A SIP dialog (RFC 3261, part 12): the state shared by all requests of one call. No I/O."""

from dataclasses import dataclass

from callcenter.sipphone.sip import Content, Headers, Request, Response, parameters, uri_of

SOFTWARE = "callcenter telephone"


@dataclass
class Dialog:
    """Both ends of a call and the route between them."""

    call_id: str
    local: str  #: our address, with tag
    remote: str  #: theirs; with a tag as soon as they have answered
    target: str  #: URI to which requests go
    routes: tuple[str, ...] = ()
    cseq: int = 0  #: of our last request

    def learn(self, response: Response) -> None:
        """Takes from an answer to our INVITE where the following requests go."""
        self.remote = response.need("To")
        contacts = response.every("Contact")
        if contacts:
            self.target = uri_of(contacts[0])
        self.routes = tuple(reversed(response.every("Record-Route")))

    def belongs(self, request: Request) -> bool:
        """Whether a request of theirs is meant for this dialog."""
        return (
            request.call_id == self.call_id
            and parameters(request.need("To")).get("tag") == parameters(self.local).get("tag")
            and parameters(request.need("From")).get("tag") == parameters(self.remote).get("tag")
        )

    def request(
        self,
        method: str,
        via: str,
        *,
        cseq: int | None = None,
        headers: Headers = (),
        body: Content | None = None,
    ) -> Request:
        """The next request of this dialog, or the ACK or CANCEL of the one with number `cseq`."""
        if cseq is None:
            self.cseq += 1
            cseq = self.cseq
        content_type = () if body is None else (("Content-Type", body[0]),)
        return Request(
            method,
            self.target,
            headers=(
                ("Via", via),
                ("Max-Forwards", "70"),
                *(("Route", route) for route in self.routes),
                ("From", self.local),
                ("To", self.remote),
                ("Call-ID", self.call_id),
                ("CSeq", f"{cseq} {method}"),
                ("User-Agent", SOFTWARE),
                *headers,
                *content_type,
            ),
            body=b"" if body is None else body[1],
        )


def dialog_of_invite(invite: Request, tag: str) -> Dialog:
    """The dialog that an INVITE to us begins, with the tag that we give it."""
    contacts = invite.every("Contact")
    return Dialog(
        call_id=invite.call_id,
        local=f"{invite.need('To')};tag={tag}",
        remote=invite.need("From"),
        target=uri_of(contacts[0] if contacts else invite.need("From")),
        routes=invite.every("Record-Route"),
    )

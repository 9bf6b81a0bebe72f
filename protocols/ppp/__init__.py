"""PPP as one sans-IO engine, for every protocol that carries it, on both ends of the link.

    packet.py       control packets and their options: bytes <-> values
    automaton.py    the life of one layer (LCP, IPCP, IP6CP): RFC 1661 with the timers of the notes
    options.py      what every layer's options have in common: Ack, Nak or Reject
    lcp.py ipcp.py ip6cp.py   the options of each layer: what we ask for, what we think of the peer's
    engine.py       the three layers together, echoes, rejects, the end
    opening.py      the engine behind a framing: bytes of the link in, records out, until packets may flow
    link.py         the opening on a TLS stream
    controller.py   a client's link once packets flow
    mtu.py

Roles are parameters: a gateway is an engine that assigns an address.  Framings are in protocols/framing/.
Section numbers and Q numbers in this package are those of the project's PPP notes.
"""

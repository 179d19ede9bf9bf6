"""The servers that are measured."""

from typing import Final

from bench.peers.aiosmtpd import Aiosmtpd
from bench.peers.dovecot import DovecotLmtp
from bench.peers.exim import Exim
from bench.peers.fastsmtp import Fastsmtp, FastsmtpBdat, FastsmtpBySource, FastsmtpPlugins, FastsmtpTls
from bench.peers.floor import Floor, FloorBySource, Null
from bench.peers.haraka import Haraka
from bench.peers.opensmtpd import Opensmtpd
from bench.peers.peer import Peer
from bench.peers.postfix import Postfix
from bench.peers.qpsmtpd import Qpsmtpd

__all__ = ["PEERS"]

PEERS: Final[dict[str, Peer]] = {
    peer.name: peer
    for peer in (
        Floor("floor"),
        Floor("floor none", journal=False),
        Floor("floor linkat", links=True),
        Floor("floor 2 workers", workers=2),
        FloorBySource("floor by smtp-source"),
        Null(),
        Fastsmtp("fastsmtp", "journal"),
        Fastsmtp("fastsmtp none", "none"),
        Fastsmtp("fastsmtp fsync", "fsync"),
        FastsmtpPlugins("fastsmtp plugins", "journal"),
        FastsmtpBdat("fastsmtp none, BDAT", "none"),
        FastsmtpTls("fastsmtp none, TLS ECDSA", "none", "ECDSA"),
        FastsmtpTls("fastsmtp none, TLS RSA", "none", "RSA"),
        FastsmtpBySource("fastsmtp by smtp-source", "journal"),
        Fastsmtp("fastsmtp 2 workers", "journal", workers=2),
        Postfix(),
        Qpsmtpd(),
        Aiosmtpd(),
        Haraka(),
        DovecotLmtp(),
        Exim(),
        Opensmtpd(),
    )
}
"""By name, in the order of the tables. Without more words, fastsmtp and the floor have one worker and a journal."""

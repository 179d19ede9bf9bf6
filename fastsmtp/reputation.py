"""Scores of addresses, and of the networks around them: what somebody has done, and a share of what neighbours have."""

from dataclasses import dataclass

from fastsmtp.config.networks import network_of
from fastsmtp.later import settled
from fastsmtp.ports import Records
from fastsmtp.state_keys import state_key

__all__ = ["Reputation"]


@dataclass(frozen=True, slots=True)
class Reputation:
    """The scores of one plugin, by its `name`. An IPv6 address is its /64; a `share` of 0 leaves networks out."""

    records: Records
    name: str
    half_life_s: float
    share: float
    v4_bits: int
    v6_bits: int

    async def of(self, address: str) -> tuple[float, float]:
        """The score of an address, and what it has to bear of its network's. Raises StateError."""
        own, network = self._keys(address)
        score = await settled(self.records.score(own, self.half_life_s))
        if not self.share:
            return score, 0.0
        return score, self.share * await settled(self.records.score(network, self.half_life_s))

    def add(self, address: str, amount: float) -> None:
        """Something was done."""
        own, network = self._keys(address)
        self.records.add(own, amount, self.half_life_s)
        if self.share:
            self.records.add(network, amount, self.half_life_s)

    def _keys(self, address: str) -> tuple[str, str]:
        network = network_of(address, self.v4_bits, self.v6_bits)
        return state_key(self.name, network_of(address, 32, 64)), state_key(self.name, network, "*")

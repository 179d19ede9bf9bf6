"""Which of the legal states after a power cut are worth a look: the plain ones, and seeded random ones."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from random import Random

from integration.powercut.disk import Change, Disk, Fate, File, ordered


@dataclass(frozen=True, slots=True)
class Cut:
    """What survives of all that was not synced: changes of names, and the fate of each file's bytes (else lost)."""

    story: str
    names: tuple[Change, ...]
    fates: dict[int, Fate]


class Cuts:
    """The cuts at one moment. `names` and `files` are what waits for a sync."""

    def __init__(self, disk: Disk, random: Random) -> None:
        self._random = random
        self.names = disk.unsynced_names()
        self.files = disk.unsynced_files()

    def some(self, each: int) -> Iterator[Cut]:
        """The plain ones, and `each` of every other sort."""
        yield self._cut("nothing", [], "lost")
        yield self._cut("everything", self.names, "kept")
        yield self._cut("all names, no bytes", self.names, "lost")
        yield self._cut("all names, sizes without bytes", self.names, "size")
        yield self._cut("all bytes, no names", [], "kept")
        for _ in range(each):
            yield from self._single()
            yield self._journalled()
            yield self._in_order()
            yield self._any()

    def _single(self) -> Iterator[Cut]:
        """All but one, and one alone."""
        things: list[Change | File] = [*self.names, *self.files]
        if things:
            thing = self._random.choice(things)
            names = [change for change in self.names if change is not thing]
            files = [file for file in self.files if file is not thing]
            yield Cut(f"all but {thing.number}", tuple(names), {file.number: "kept" for file in files})
            alone = (thing,) if isinstance(thing, Change) else ()
            yield Cut(f"only {thing.number}", alone, {thing.number: "kept"} if isinstance(thing, File) else {})

    def _journalled(self) -> Cut:
        """Names up to some moment, in the order of the whole file system; any bytes."""
        count = self._random.randint(0, len(self.names))
        names = ordered(self.names, self.names[:count])
        return Cut("names in order", tuple(names), self._some_bytes())

    def _in_order(self) -> Cut:
        """Names of each directory up to some moment, renames as a whole; any bytes."""
        names = ordered(self.names, self._subset(self.names))
        return Cut("names in the order of their directories", tuple(names), self._some_bytes())

    def _any(self) -> Cut:
        return Cut("any names", tuple(self._subset(self.names)), self._some_bytes())

    def _cut(self, story: str, names: Collection[Change], fate: Fate) -> Cut:
        return Cut(story, tuple(names), {file.number: fate for file in self.files})

    def _subset(self, names: list[Change]) -> list[Change]:
        """Any of them: few, half or most."""
        likely = self._random.choice((0.05, 0.5, 0.95))
        return [change for change in names if self._random.random() < likely]

    def _some_bytes(self) -> dict[int, Fate]:
        fates: list[Fate] = ["lost", "kept", "size", self._random.getrandbits(32)]
        mixed = self._random.random() < 0.5
        fate = self._random.choice(fates)
        return {file.number: self._random.choice(fates) if mixed else fate for file in self.files}

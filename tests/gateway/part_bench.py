"""One part of a gateway over a real store: begun, killed and begun again, in a loop of its own."""

import asyncio

from tests.gateway.site import new_store


class PartBench:
    """A store's folder and what is open of it. part(store): what stands over the store and has load(); made again by each open()."""

    def __init__(self, folder, clock, part):
        self.folder, self.clock, self.part = folder, clock, part
        self.open()

    def open(self):
        """Begin with nothing in memory."""
        self.store = new_store(self.folder, clock=self.clock)
        self.loads = self.part(self.store)

    async def restart(self):
        """End as a kill does, and begin again."""
        await self.store.close()
        self.open()
        await self.loads.load()

    async def lose_store(self):
        """End, lose the disk, and begin again."""
        await self.store.close()
        for file in self.folder.glob("gateway.db*"):
            file.unlink()
        self.open()
        await self.loads.load()


def runner(make):
    """Return bench(body): run an async body(made) on what make() returns."""

    def run(body):
        made = make()

        async def main():
            try:
                await made.loads.load()
                await body(made)
            finally:
                await made.store.close()

        asyncio.run(main())

    return run

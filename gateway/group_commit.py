"""Many writers, one fsync: what waits while a commit runs shares the next one.

Operations run in one worker thread, in the order in which they came, and resolve only after their transaction is durable.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

# A batch is short enough that nobody waits long behind it: 512 rows are a few milliseconds.
BATCH_OPERATIONS_MAX = 512
# More than this many waiting requests means the disk is far behind; more devices must wait for their answer elsewhere.
WAITING_OPERATIONS_MAX = 8192

Operation = Callable[[Any], Any]


class GroupCommit:
    """Runs operations in shared transactions.

    run_batch(operations) -> results, one for each: a value, or an exception that is raised to that one caller. It is
    called in the worker thread and returns after the commit; what it raises itself is raised to every caller of the batch.
    """

    def __init__(self, run_batch: Callable[[list[Operation]], list[Any]]):
        self._run_batch = run_batch
        self._worker = ThreadPoolExecutor(1, "gateway-store")
        self._waiting: list[tuple[Operation, asyncio.Future[Any]]] = []
        self._task: asyncio.Task[None] | None = None
        self.batches = 0
        self.operations = 0

    async def submit(self, operation: Operation) -> Any:
        """Return the operation's result once its transaction is durable. Raises what run_batch raises or gives back."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((operation, future))
        if self._task is None:
            self._task = loop.create_task(self._drain())
        # A caller that gives up cancels this future and no other: the batch it is in goes on.
        return await future

    def is_overloaded(self) -> bool:
        """Return whether so many operations wait that new ones should be refused."""
        return len(self._waiting) >= WAITING_OPERATIONS_MAX

    async def run(self, work: Callable[[], Any]) -> Any:
        """Return the result of work, run in the worker thread between batches; for reading."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    async def close(self) -> None:
        """Wait for what was submitted, then end the thread."""
        while self._task is not None:
            await asyncio.wait([self._task])
        self._worker.shutdown()

    async def _drain(self) -> None:
        try:
            while self._waiting:
                batch = self._waiting[:BATCH_OPERATIONS_MAX]
                del self._waiting[:BATCH_OPERATIONS_MAX]
                await self._commit(batch)
        finally:
            self._task = None

    async def _commit(self, batch: list[tuple[Operation, asyncio.Future[Any]]]) -> None:
        operations = [operation for operation, _ in batch]
        try:
            results = await self.run(lambda: self._run_batch(operations))
        except Exception as error:  # noqa: BLE001 - whatever it was, every waiting caller must learn it
            results = [error] * len(batch)
        self.batches += 1
        self.operations += len(batch)
        for (_, future), result in zip(batch, results, strict=True):
            if future.cancelled():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
                # Read it once: a caller that was cancelled meanwhile leaves nobody to do so.
                future.exception()
            else:
                future.set_result(result)

"""How soon a gateway that starts anew serves all devices of its site again, beside the same devices at a gateway that never stopped.

No replay window outlives a process, so each device's first request is answered with an Echo, and the second one opens its window and is
made durable. Devices are the agent's own CoAP clients, in this process: their work is in both contenders' laps.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from protocol.coap import GET, NOT_FOUND
from tools.bench.fleet import Tell
from tools.bench.gateway_front import open_client, running_gateway
from tools.bench.race import Case, Contender, Lap, race

# What nobody has: the answer is a code alone, and costs the gateway nothing besides.
_PATH = "c/0"
_NOTE = "all devices ask at once; seconds begin with the opening of the store, and end with the last answer"


def run(folder: Path, rounds: int, tell: Tell, devices: int) -> list[Case]:
    """Return the case of so many devices."""
    identities = [(number + 1).to_bytes(8, "big") for number in range(devices)]

    def contender(name: str, means: str, lap: Callable[[Path, list[bytes]], Awaitable[Lap]]) -> Contender:
        return Contender(name, means, lambda: _in_a_folder(folder, identities, lap))

    runners = [
        contender(
            "outstation", "starts anew: store opened and checked, an Echo for each device, its answer", _again
        ),
        contender("not restarted", "the same devices a moment later: every window is open", _anyway),
    ]
    return [race(f"{devices} devices", "devices/s", runners, rounds, tell, _NOTE)]


def _in_a_folder(
    folder: Path, identities: list[bytes], lap: Callable[[Path, list[bytes]], Awaitable[Lap]]
) -> Lap:
    async def timed() -> Lap:
        return await lap(Path(place), identities)

    with tempfile.TemporaryDirectory(prefix="restart-", dir=folder) as place:
        return asyncio.run(timed())


async def _again(place: Path, identities: list[bytes]) -> Lap:
    async with running_gateway(place, identities) as port:
        clients = [await open_client(port, number) for number in range(len(identities))]
        await _ask_all(clients)
    began = time.perf_counter()
    async with running_gateway(place, identities, port):
        served, rounds = await _ask_all(clients)
        seconds = time.perf_counter() - began
    # One Echo and one answer each: nobody was refused, and nobody repeated himself.
    assert rounds == 2 * len(identities), rounds
    return _ended(clients, served, seconds)


async def _anyway(place: Path, identities: list[bytes]) -> Lap:
    async with running_gateway(place, identities) as port:
        clients = [await open_client(port, number) for number in range(len(identities))]
        await _ask_all(clients)
        began = time.perf_counter()
        served, rounds = await _ask_all(clients)
        seconds = time.perf_counter() - began
    assert rounds == len(identities), rounds
    return _ended(clients, served, seconds)


async def _ask_all(clients: list[tuple[Any, Any]]) -> tuple[int, int]:
    """Let every device ask once; return how many were answered, and in how many requests."""
    before = sum(client.requests for client, _ in clients)
    answers = await asyncio.gather(*(client.request(GET, _PATH) for client, _ in clients))
    served = sum(answer.code == NOT_FOUND for answer in answers)
    return served, sum(client.requests for client, _ in clients) - before


def _ended(clients: list[tuple[Any, Any]], served: int, seconds: float) -> Lap:
    for _, link in clients:
        link.close()
    return Lap(served, seconds, {"all_served_s": seconds})

"""A small site that stays: an office with its page, a gateway and devices, until Ctrl-C. For changing a rule and watching it arrive."""

import asyncio
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from tools.demo.layout import LIVE_TIMING, device_name, lay_out, signing_key
from tools.demo.plan import Plan
from tools.demo.releases import KIND_OF_DEVICE, policy_file
from tools.site import Site

_DRAIN_SECONDS_MAX = 10.0


async def stay(console: Any, site: Site, plan: Plan, recording: Path) -> None:
    """Lay the site out, run it until cancelled, then stop everything in order."""
    lay_out(site, plan, recording, timing=LIVE_TIMING)
    policy = site.folder / "policy.yaml"
    shutil.copyfile(policy_file(), policy)
    await site.office.start()
    await site.gateway.start()
    for service in site.devices:
        await service.start()
    _say(console, site, policy, len(plan.offsets))
    try:
        await asyncio.gather(*(_watch(service) for service in (site.office, site.gateway, *site.devices)))
    except asyncio.CancelledError:
        console.print("stopping: devices seal and hand over what is open")
        await asyncio.gather(*(one.stop(signal.SIGINT, _DRAIN_SECONDS_MAX) for one in site.devices))
        await site.gateway.stop()
        await site.office.stop()


def _near(path: Path) -> Path:
    """Return a path as somebody in this folder types it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


async def _watch(service: Any) -> None:
    code = await service.ended()
    raise service.failed(f"{service.name} ended by itself with exit code {code}")


def _say(console: Any, site: Site, policy: Path, devices: int) -> None:
    config = _near(site.office_folder / "office.toml")
    command = _near(Path(sys.argv[0]).resolve())
    names = "device-1" if devices == 1 else f"{device_name(0)} to {device_name(devices - 1)}"

    def say(text: str = "") -> None:
        console.print(text, highlight=False, soft_wrap=True, markup=False)

    say(f"{names} run, kind {KIND_OF_DEVICE!r}. The office's page: {site.page}")
    say()
    say(f"Change a number in {_near(policy)}, say flow < 90.00 to flow < 92.00, and release it:")
    say()
    say(
        f"  {command} release publish {_near(policy)} --kind '{KIND_OF_DEVICE}' --author you"
        f" --key {_near(signing_key(site))} --config {config}"
    )
    say(f"  {command} release status 1 --config {config}")
    say()
    say("Ctrl-C ends all of it.")

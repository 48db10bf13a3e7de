"""Real processes: devices of MicroPython say what they run, and what the office does not know gets no release."""

import asyncio
import json

import pytest

from office_ingest.govern.attestation import Attestations
from office_ingest.storage.attested import AttestedStore
from tests.site.harness import lay_out, proved, start_all, stop_all, until
from tests.site.test_down import TRIAL_SECTION, _ask, _publish, _running
from tests.site.test_replaced_gateway import Place
from tools.demo.releases import GOOD
from tools.site_proof import EXPECTED_FINDINGS, prove_site
from tools.unix_image import unix_image

OTHER = b"o" * 32


def _states(site):
    def ask(store):
        attestations = Attestations(store)
        return {attestations.shown(device)["state"] for device in site.device_ids}

    return _ask(site, ask)


def _forget_the_image(store):
    """Let the office know another image than the one that the devices run."""
    with store.transaction():
        image = AttestedStore(store).images()[0]
        AttestedStore(store).put_image(image._replace(hardware="another"))
        AttestedStore(store).put_image(image._replace(digest=OTHER))


def check_unknown_image(folder):
    """Let devices run an image that is not registered: a release waits for its registration."""

    async def story():
        site = await lay_out(folder, devices=1, key=True, sections=TRIAL_SECTION)
        place = Place(site)
        try:
            await site.office.start()
            _ask(site, _forget_the_image)
            await site.office.stop()
            await start_all(site)
            await until(lambda: _states(site) == {"unknown"}, "the device's image is taken for known")
            number = _publish(site, GOOD)
            before = place.held()
            await until(lambda: place.held() >= before + 10, "data does not go on")
            withheld = _running(site, number)
            said = place.run("office", "devices", "--config", place.config)
            file = folder / "image.json"
            file.write_text(json.dumps({"board": "unix", "sha256": unix_image().hex(), "development": True}))
            await asyncio.to_thread(
                place.run, "office", "image", "add", file, "--author", "A. Person", "--config", place.config
            )
            await until(lambda: _running(site, number) == 1, "the release does not come")
            known = _states(site)
            await stop_all(site)

            assert (0, {"known"}) == (withheld, known)
            assert "runs what is not known" in said
            proof = prove_site(site, expected=(*EXPECTED_FINDINGS, "attestation"))
            assert proof.is_clean, proof.faults
        finally:
            await site.close()

    asyncio.run(story())


@pytest.mark.proves("S39")
def test_release_waits_until_what_the_device_runs_is_known(tmp_path):
    """Readings arrive meanwhile; the device that was provisioned here is known without a word more."""
    check_unknown_image(tmp_path / "site")


@pytest.mark.proves("S39")
def test_provisioned_devices_are_known(tmp_path):
    """Each says its hardware, image and rules at its boot, and the office knows all of it; nothing is found."""

    async def story():
        site = await lay_out(tmp_path / "site", devices=2)
        try:
            await start_all(site)
            await until(lambda: _states(site) == {"known"}, "the devices are not known")
            # They are known at their boot, before they decide anything that could be proved.
            await until(lambda: Place(site).held() >= 20, "no data came")
            await stop_all(site)

            assert {"known"} == _states(site)
            proved(site)
        finally:
            await site.close()

    asyncio.run(story())

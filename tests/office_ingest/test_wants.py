"""An office that lost what it had receipted gets it again: its wants travel through the gateway down to the device's flash."""

import asyncio
import shutil
import sqlite3

from tests.site.harness import lay_out, proved, start_all, stop_all, until


def _numbers(database):
    """Return how many segments an office holds."""
    connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)
    (count,) = connection.execute("SELECT count(*) FROM segments").fetchone()
    connection.close()
    return count


def _gaps(database):
    connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)
    rows = connection.execute("SELECT state, sum(stop - start) FROM gaps GROUP BY state").fetchall()
    connection.close()
    return dict(rows)


def test_office_restored_from_a_backup_gets_back_what_the_device_still_holds(tmp_path):
    """
    The gateway has given up what was receipted; the restored office sees the gap by the next heartbeat, asks, and the device
    sends it again. Nothing is lost, nothing comes twice.
    """
    seen = {}

    async def story(site):
        database = site.office_folder / "office.db"
        backup = tmp_path / "backup.db"
        await start_all(site)
        await until(lambda: _numbers(database) > 8, "the office holds too little")
        await site.office.stop()
        shutil.copy(database, backup)
        await site.office.start()
        before = _numbers(backup)
        await until(lambda: _numbers(database) > before + 12, "nothing came after the backup")
        await site.office.stop()
        seen["forgotten"] = _numbers(database) - before
        for file in database.parent.glob("office.db-*"):
            file.unlink()
        shutil.copy(backup, database)
        await site.office.start()
        await until(lambda: _gaps(database).get("filled", 0) > 0, "no gap was filled")
        await stop_all(site)
        seen["gaps"] = _gaps(database)

    async def run():
        site = await lay_out(tmp_path / "site", devices=1, sectors=60)
        try:
            await story(site)
        finally:
            await site.close()
        return site

    (tmp_path / "site").mkdir()
    proved(asyncio.run(run()))

    assert seen["forgotten"] > 12
    assert seen["gaps"].keys() == {"filled"}
    assert seen["gaps"]["filled"] >= 1

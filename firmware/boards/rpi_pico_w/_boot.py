"""Mounts the file system on the first sectors of the storage, in place of the port's own _boot.py, which takes all of it."""

import rp2
import vfs
from board_flash import FILES_SECTORS

files = rp2.Flash(start=0, len=FILES_SECTORS * 4096)
try:
    system = vfs.VfsLfs2(files, progsize=256)  # type: ignore[abstract]  # so say the stubs
except OSError:
    vfs.VfsLfs2.mkfs(files, progsize=256)
    system = vfs.VfsLfs2(files, progsize=256)  # type: ignore[abstract]  # see above
vfs.mount(system, "/")

# MicroPython's unix port as a board of Outstation, beside MicroPython's tree and without a patch to it: for machines to which no
# package brings the port. Taken by MicroPython's ports/unix/Makefile as VARIANT_DIR.
FROZEN_MANIFEST = $(VARIANT_DIR)/manifest.py
# Not ?=, which mkenv.mk has decided already. The library is not in every source package, and we require nothing of it.
MPY_LIB_DIR = $(TOP)/lib
# The cipher: cipher/micropython.mk.
USER_C_MODULES = $(VARIANT_DIR)
INC += -I$(VARIANT_DIR)/../mps2_an385

# What nobody of ours imports, and what would need a library of the machine or one that Debian's source package leaves out.
MICROPY_PY_BTREE = 0
MICROPY_PY_FFI = 0
MICROPY_PY_SSL = 0
MICROPY_SSL_MBEDTLS = 0
MICROPY_PY_THREAD = 0
MICROPY_VFS_FAT = 0
MICROPY_VFS_LFS1 = 0
# Our journal is measured against it.
MICROPY_VFS_LFS2 = 1

# The linker's number is made of debugging information too, in which the build's folder stands.
LDFLAGS_EXTRA += -Wl,--build-id=none

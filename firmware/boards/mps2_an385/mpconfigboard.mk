# An emulated Cortex-M3 (QEMU's mps2-an385) as a board of Outstation, beside MicroPython's tree and without a patch to it.
# Taken by MicroPython's ports/qemu/Makefile as BOARD_DIR. DEVELOPMENT=1 makes the variant whose console takes Python.
QEMU_ARCH = arm
QEMU_MACHINE = mps2-an385

DEVELOPMENT ?= 0

# First, so that our headers win over what a tree may hold under the same name.
INC += -I$(BOARD_DIR) -I$(BOARD_DIR)/board

CFLAGS += -mthumb -mcpu=cortex-m3 -mfloat-abi=soft
CFLAGS += -DQEMU_SOC_MPS2 -DMICROPY_HW_MCU_NAME='"Cortex-M3"'
CFLAGS += -DMP_CONFIGFILE='"board_config.h"' -DBOARD_DEVELOPMENT=$(DEVELOPMENT)

LDSCRIPT = $(BOARD_DIR)/mps2_an385.ld
# Functions of the port that this board has its own of.
LDFLAGS += -Wl,--wrap=m_malloc_fail,--wrap=main,--wrap=uart_init,--wrap=mp_hal_stdin_rx_chr,--wrap=mp_hal_stdio_poll

SRC_BOARD_O = shared/runtime/gchelper_native.o shared/runtime/gchelper_thumb2.o
MPY_CROSS_FLAGS += -march=armv7m

# What the tests of both runtimes need does not fit where an agent has to.
ifeq ($(DEVELOPMENT),1)
MICROPY_HEAP_SIZE = 4128768
FROZEN_MANIFEST = $(BOARD_DIR)/manifest_development.py
# Only for our journal to be measured against.
MICROPY_VFS_LFS2 = 1
else
# 192 KiB hold the agent of the image, which runs where it is frozen. One that a release brings lives in the heap itself.
MICROPY_HEAP_SIZE = 327680
FROZEN_MANIFEST = $(BOARD_DIR)/manifest.py
endif

USER_C_MODULES = $(BOARD_DIR)
# Not ?=, which mkenv.mk has decided already. The library is not in every source package, and we require nothing of it.
MPY_LIB_DIR = $(TOP)/lib

# cryptolib takes its cipher from axTLS, of which we bring these two files, and nothing else may know of it.
$(BUILD)/extmod/modcryptolib.o: CFLAGS += -DMICROPY_SSL_AXTLS=1

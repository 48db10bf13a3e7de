// MicroPython's own board RPI_PICO2_W, but for what lies in its storage: 16 sectors of files, 92 of rooms, 532 of the agent's window.
#include "boards/RPI_PICO2_W/mpconfigboard.h"

#undef MICROPY_HW_BOARD_NAME
#define MICROPY_HW_BOARD_NAME "Outstation device on Pico 2 W"
#undef MICROPY_HW_FLASH_STORAGE_BYTES
#define MICROPY_HW_FLASH_STORAGE_BYTES (2560 * 1024)

// MicroPython's own board RPI_PICO_W, but for what lies in its storage: 16 sectors of files, 92 of rooms, 104 of the agent's window.
#include "boards/RPI_PICO_W/mpconfigboard.h"

#undef MICROPY_HW_BOARD_NAME
#define MICROPY_HW_BOARD_NAME "Outstation device on Pico W"
#undef MICROPY_HW_FLASH_STORAGE_BYTES
#define MICROPY_HW_FLASH_STORAGE_BYTES (848 * 1024)

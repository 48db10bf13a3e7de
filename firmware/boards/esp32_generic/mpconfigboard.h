// MicroPython's own board ESP32_GENERIC under our name.
#include "boards/ESP32_GENERIC/mpconfigboard.h"

#undef MICROPY_HW_BOARD_NAME
#define MICROPY_HW_BOARD_NAME "Outstation device on ESP32"

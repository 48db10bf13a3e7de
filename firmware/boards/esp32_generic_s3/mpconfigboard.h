// MicroPython's own board ESP32_GENERIC_S3 under our name.
#include "boards/ESP32_GENERIC_S3/mpconfigboard.h"

#undef MICROPY_HW_BOARD_NAME
#define MICROPY_HW_BOARD_NAME "Outstation device on ESP32-S3"

# MicroPython's own board ESP32_GENERIC_S3, with our frozen modules and partitions. Read by ports/esp32/CMakeLists.txt.
include(${CMAKE_CURRENT_LIST_DIR}/boards/ESP32_GENERIC_S3/mpconfigboard.cmake)
set(MICROPY_FROZEN_MANIFEST ${MICROPY_BOARD_DIR}/manifest.py)
list(APPEND SDKCONFIG_DEFAULTS ${MICROPY_BOARD_DIR}/sdkconfig.board)

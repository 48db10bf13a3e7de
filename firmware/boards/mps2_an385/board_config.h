// What this board changes of MicroPython's qemu port: time, select, asyncio, the cipher, serial lines, a watchdog, real resets.
#include "mpconfigport.h"

#undef MICROPY_PY_SYS_PLATFORM
#define MICROPY_PY_SYS_PLATFORM "mps2_an385"
#undef MICROPY_PY_SELECT
#define MICROPY_PY_SELECT (1)
#undef MICROPY_PY_TIME
#define MICROPY_PY_TIME (1)
#undef MICROPY_PY_ASYNCIO
#define MICROPY_PY_ASYNCIO (1)
#undef MICROPY_PY_MACHINE_INCLUDEFILE
#define MICROPY_PY_MACHINE_INCLUDEFILE "board_machine.c"

#define MICROPY_PY_MACHINE_EXTRA_GLOBALS \
    { MP_ROM_QSTR(MP_QSTR_PWRON_RESET), MP_ROM_INT(1) }, \
    { MP_ROM_QSTR(MP_QSTR_HARD_RESET), MP_ROM_INT(2) }, \
    { MP_ROM_QSTR(MP_QSTR_WDT_RESET), MP_ROM_INT(3) },

#define MICROPY_PY_CRYPTOLIB (1)
#define MICROPY_PY_OS_URANDOM (1)
#define MICROPY_PY_OS_INCLUDEFILE "board_os.c"
#define MICROPY_PY_MACHINE_UART (1)
#define MICROPY_PY_MACHINE_UART_INCLUDEFILE "board_uart.c"
#define MICROPY_PY_MACHINE_WDT (1)
#define MICROPY_PY_MACHINE_WDT_INCLUDEFILE "board_wdt.c"

// The tests of both runtimes need more than there is in one place.
#define MICROPY_GC_SPLIT_HEAP (BOARD_DEVELOPMENT)

// Two names whose numbers share one of the 128 places of the cache of lookups push each other out, and one name more anywhere gives
// all behind it other numbers: what an operation takes would be chance. Here each of 8,192 names has a place of its own.
#if BOARD_DEVELOPMENT
#define MICROPY_OPT_MAP_LOOKUP_CACHE_SIZE (16384)
#endif

#include "board.h"

#define MICROPY_INTERNAL_WFE(timeout_ms) board_wait()
#define MICROPY_BEGIN_ATOMIC_SECTION() board_lock()
#define MICROPY_END_ATOMIC_SECTION(state) board_unlock(state)

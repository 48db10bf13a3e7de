// Included by extmod/machine_wdt.c. Once started it cannot be stopped.
#include "board.h"

struct _machine_wdt_obj_t {
    mp_obj_base_t base;
};

static machine_wdt_obj_t the_watchdog = { { &machine_wdt_type } };

static machine_wdt_obj_t *mp_machine_wdt_make_new_instance(mp_int_t id, mp_int_t timeout_ms) {
    if (id != 0 || timeout_ms < 1 || timeout_ms > 100000) {
        mp_raise_ValueError(NULL);
    }
    watchdog_start(timeout_ms);
    return &the_watchdog;
}

static void mp_machine_wdt_feed(machine_wdt_obj_t *self) {
    watchdog_feed();
}

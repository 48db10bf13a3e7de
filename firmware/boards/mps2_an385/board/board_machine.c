// Included by extmod/modmachine.c.
#include "board.h"

static void mp_machine_idle(void) {
    board_wait();
}

static void mp_machine_reset(void) {
    power_reset(CAUSE_RESET);
}

static mp_int_t mp_machine_reset_cause(void) {
    return power_cause();
}

// Time since boot, from a timer that counts down freely; SysTick only ends a wait and looks often enough for no wrap to be missed.
#include "py/mphal.h"
#include "py/runtime.h"
#include "board.h"

typedef struct {
    uint32_t CTRL, VALUE, RELOAD, INTSTATUS;
} timer_t;

#define TIMER0 ((volatile timer_t *)0x40000000)
#define SYST_CSR (*(volatile uint32_t *)0xe000e010)
#define SYST_RVR (*(volatile uint32_t *)0xe000e014)
#define SYST_CVR (*(volatile uint32_t *)0xe000e018)
#define TICKS_PER_US (BOARD_HZ / 1000000)

static uint64_t total;
static uint32_t last;

void ticks_start(void) {
    TIMER0->CTRL = 0;
    TIMER0->RELOAD = 0xffffffff;
    TIMER0->VALUE = 0xffffffff;
    TIMER0->CTRL = 1;
    last = TIMER0->VALUE;
    SYST_RVR = BOARD_HZ / 1000 - 1;
    SYST_CVR = 0;
    SYST_CSR = 7;
}

void ticks_stop(void) {
    SYST_CSR = 0;
    TIMER0->CTRL = 0;
}

uint64_t ticks_now(void) {
    uint32_t state = board_lock();
    uint32_t now = TIMER0->VALUE;
    total += last - now;
    last = now;
    uint64_t result = total;
    board_unlock(state);
    return result;
}

void ticks_advance(void) {
    ticks_now();
}

mp_uint_t mp_hal_ticks_us(void) {
    return ticks_now() / TICKS_PER_US;
}

mp_uint_t mp_hal_ticks_ms(void) {
    return ticks_now() / (BOARD_HZ / 1000);
}

mp_uint_t mp_hal_ticks_cpu(void) {
    return ticks_now();
}

void mp_hal_delay_us(mp_uint_t us) {
    uint64_t until = ticks_now() + (uint64_t)us * TICKS_PER_US;
    while (ticks_now() < until) {
    }
}

void mp_hal_delay_ms(mp_uint_t ms) {
    uint64_t until = ticks_now() + (uint64_t)ms * (BOARD_HZ / 1000);
    while (ticks_now() < until) {
        mp_event_wait_ms(1);
    }
}

#if BOARD_DEVELOPMENT
// littlefs stamps its files. There is no clock to stamp them by but this one.
uint64_t mp_hal_time_ns(void) {
    return ticks_now() * (1000000000 / BOARD_HZ);
}
#endif

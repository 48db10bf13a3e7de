// How this machine starts and ends: why the last reset was, a reset, the watchdog, and the end of the emulator.
#include "py/mpconfig.h"
#include "board.h"

typedef struct {
    uint32_t LOAD, VALUE, CTRL, INTCLR, RIS, MIS;
} watchdog_t;

#define WATCHDOG ((volatile watchdog_t *)0x40008000)
#define WATCHDOG_LOCK (*(volatile uint32_t *)0x40008c00)
#define WATCHDOG_KEY (0x1acce551)
#define ICSR (*(volatile uint32_t *)0xe000ed04)
#define TICK_NOT_PENDING (1 << 25)
#define VTOR (*(volatile uint32_t *)0xe000ed08)
#define NVIC_DISABLE (*(volatile uint32_t *)0xe000e180)
#define NVIC_NOT_PENDING (*(volatile uint32_t *)0xe000e280)
#define AIRCR (*(volatile uint32_t *)0xe000ed0c)
#define AIRCR_RESET (0x05fa0004)

// Behind what the linker gives away: a reset leaves memory as it is, a lost supply does not.
#define KEPT ((volatile uint32_t *)0x203ff000)
#define KEPT_MAGIC (0x4f736361)

extern const uint32_t isr_vector[16];
static int cause;
static void watchdog_stop(void);

void power_start(void) {
    cause = KEPT[0] == KEPT_MAGIC ? (int)KEPT[1] : CAUSE_POWER;
    KEPT[0] = KEPT_MAGIC;
    // A reset that nobody announced came from outside, as from a button.
    KEPT[1] = CAUSE_RESET;
    if (CONTROL->magic == CONTROL_MAGIC) {
        CONTROL->boots += 1;
    }
}

int power_cause(void) {
    return cause;
}

_Noreturn void power_reset(int why) {
    KEPT[1] = why;
    __asm volatile ("dsb");
    AIRCR = AIRCR_RESET;
    for (;;) {
    }
}

// Semihosting's SYS_EXIT_EXTENDED, the one call that carries a status.
_Noreturn void power_exit(int status) {
    const uint32_t block[2] = { 0x20026, status };
    register uint32_t operation __asm__ ("r0") = 0x20;
    register const uint32_t *argument __asm__ ("r1") = block;
    __asm volatile ("bkpt 0xab" : : "r" (operation), "r" (argument) : "memory");
    for (;;) {
    }
}

// Begin where a power-up begins, once nobody holds us any more, without a reset of the machine: at that the emulator loads the program
// anew and translates all of it again, which takes longer than a boot. Start-up code clears memory; what runs by itself is stopped here.
_Noreturn void power_again(volatile const uint32_t *is_held) {
    board_lock();
    watchdog_stop();
    while (*is_held) {
        board_wait();
        // Pending it would end each wait at once.
        ICSR = TICK_NOT_PENDING;
    }
    KEPT[0] = 0;
    ticks_stop();
    lines_stop();
    NVIC_DISABLE = 0xffffffff;
    NVIC_NOT_PENDING = 0xffffffff;
    ICSR = TICK_NOT_PENDING;
    VTOR = 0;
    board_unlock(0);
    ((void (*)(void))isr_vector[1])();
    for (;;) {
    }
}

// Its first time-out interrupts (NMI), which resets with a cause; a second one would reset by itself.
void watchdog_start(uint32_t timeout_ms) {
    WATCHDOG_LOCK = WATCHDOG_KEY;
    WATCHDOG->LOAD = timeout_ms * (BOARD_HZ / 1000);
    WATCHDOG->CTRL = 3;
    WATCHDOG_LOCK = 0;
}

static void watchdog_stop(void) {
    WATCHDOG_LOCK = WATCHDOG_KEY;
    WATCHDOG->CTRL = 0;
    WATCHDOG->INTCLR = 1;
    WATCHDOG_LOCK = 0;
}

void watchdog_feed(void) {
    WATCHDOG_LOCK = WATCHDOG_KEY;
    WATCHDOG->INTCLR = 1;
    WATCHDOG_LOCK = 0;
}

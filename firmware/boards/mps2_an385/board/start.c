// Start: vectors with interrupts, MicroPython, then the frozen boot.py and main.py, whatever lies on flash.
#include "py/builtin.h"
#include "py/compile.h"
#include "py/gc.h"
#include "py/mphal.h"
#include "py/runtime.h"
#include "py/stackctrl.h"
#include "shared/runtime/interrupt_char.h"
#include "shared/runtime/pyexec.h"
#include "board.h"

#define STACK_BYTES_MAX (24 * 1024)
#define ROM_END (0x00400000)
#define VECTORS (48)
#define VTOR (*(volatile uint32_t *)0xe000ed08)
#define NVIC_ENABLE (*(volatile uint32_t *)0xe000e100)
// A main.py that ends is a fault: so long, before a reset, that a person can read why.
#define END_MS (1000)

enum { VECTOR_NMI = 2, VECTOR_SYSTICK = 15, VECTOR_UART0 = 16, VECTOR_UART1 = 18 };

extern const uint32_t isr_vector[16];
static uint32_t vectors[VECTORS] __attribute__((aligned(256)));
static uint32_t heap[MICROPY_HEAP_SIZE / sizeof(uint32_t)];

static void on_watchdog(void) {
    power_reset(CAUSE_WATCHDOG);
}

static void on_interrupt_unknown(void) {
    power_reset(CAUSE_RESET);
}

// The port's table has no room for interrupts of devices: it is copied and the rest added.
static void vectors_start(void) {
    for (int i = 0; i < VECTORS; i++) {
        vectors[i] = i < 16 ? isr_vector[i] : (uint32_t)on_interrupt_unknown;
    }
    vectors[VECTOR_NMI] = (uint32_t)on_watchdog;
    vectors[VECTOR_SYSTICK] = (uint32_t)ticks_advance;
    vectors[VECTOR_UART0] = (uint32_t)lines_interrupt;
    vectors[VECTOR_UART1] = (uint32_t)lines_interrupt;
    VTOR = (uint32_t)vectors;
    NVIC_ENABLE = 1 << (VECTOR_UART0 - 16) | 1 << (VECTOR_UART1 - 16);
}

void board_wait(void) {
    __asm volatile ("wfi");
}

uint32_t board_lock(void) {
    uint32_t state;
    __asm volatile ("mrs %0, primask\n cpsid i" : "=r" (state) : : "memory");
    return state;
}

void board_unlock(uint32_t state) {
    __asm volatile ("msr primask, %0" : : "r" (state) : "memory");
}

void __wrap_uart_init(void) {
    vectors_start();
    power_start();
    ticks_start();
    lines_start();
}

#if BOARD_DEVELOPMENT
extern uint8_t _image_end;

// What the program leaves of its memory, which no ROM would lend: here it is memory all the same. Unless a test wants to see how
// far the heap of a production image goes.
static void heap_start(void) {
    if (CONTROL->heap_bytes) {
        gc_init(heap, (char *)heap + MIN(CONTROL->heap_bytes, sizeof(heap)));
        return;
    }
    gc_init(heap, (char *)heap + sizeof(heap));
    gc_add((void *)(((uintptr_t)&_image_end + 255) & ~(uintptr_t)255), (void *)ROM_END);
}

// The console takes Python; `import main` starts the agent.
static void after_boot(void) {
    for (;;) {
        if (pyexec_mode_kind == PYEXEC_MODE_RAW_REPL) {
            pyexec_raw_repl();
        } else {
            pyexec_friendly_repl();
        }
    }
}
#else
static void heap_start(void) {
    gc_init(heap, (char *)heap + sizeof(heap));
}

// Nothing of the console is ever executed: the linker drops the port's main, and with it the REPL.
static void after_boot(void) {
    pyexec_frozen_module("main.py", false);
    mp_hal_stdout_tx_str("main.py ended\r\n");
    mp_hal_delay_ms(END_MS);
}
#endif

#ifndef MP_NORETURN
// MicroPython 1.25 calls it so.
#define MP_NORETURN NORETURN
#endif

extern MP_NORETURN void __real_m_malloc_fail(size_t n);

// What is asked in vain is raised, and somebody may catch that: here it is counted all the same.
MP_NORETURN void __wrap_m_malloc_fail(size_t n) {
    CONTROL->heap_failures += 1;
    __real_m_malloc_fail(n);
}

int __wrap_main(int argc, char **argv) {
    mp_stack_ctrl_init();
    mp_stack_set_limit(STACK_BYTES_MAX);
    heap_start();
    mp_init();
    pyexec_frozen_module("boot.py", false);
    after_boot();
    power_reset(CAUSE_RESET);
}

// The two serial lines, 0 the console and 1 the link to a gateway: each a ring that its receive interrupt fills.
#include "py/mphal.h"
#include "py/runtime.h"
#include "py/stream.h"
#include "shared/runtime/interrupt_char.h"
#include "board.h"

typedef struct {
    uint32_t DATA, STATE, CTRL, INTSTATUS, BAUDDIV;
} uart_t;

enum { TX_FULL = 1, RX_FULL = 2, TX_ON = 1, RX_ON = 2, RX_INTERRUPT = 8, RX_PENDING = 2 };

#define LINES (2)
#define RING_BYTES (2048)

static volatile uart_t *const uarts[LINES] = { (uart_t *)0x40004000, (uart_t *)0x40005000 };

// One writer, the interrupt, and one reader: an index each, no lock. A full ring drops, as a wire would.
static volatile struct {
    uint16_t in, out;
    uint8_t bytes[RING_BYTES];
} rings[LINES];

void lines_start(void) {
    for (int line = 0; line < LINES; line++) {
        uarts[line]->BAUDDIV = 16;
        uarts[line]->CTRL = TX_ON | RX_ON | RX_INTERRUPT;
        // A byte that came while the line was off has caused no interrupt, and would keep every other from coming.
        while (uarts[line]->STATE & RX_FULL) {
            (void)uarts[line]->DATA;
        }
    }
}

void lines_stop(void) {
    for (int line = 0; line < LINES; line++) {
        uarts[line]->CTRL = 0;
        uarts[line]->INTSTATUS = RX_PENDING;
    }
}

static void receive(unsigned int line) {
    // First: a byte that comes after this line interrupts again. Cleared last, it would wait unseen, and all behind it.
    uarts[line]->INTSTATUS = RX_PENDING;
    while (uarts[line]->STATE & RX_FULL) {
        uint8_t byte = uarts[line]->DATA;
        #if MICROPY_KBD_EXCEPTION
        if (line == 0 && byte == mp_interrupt_char) {
            mp_sched_keyboard_interrupt();
            continue;
        }
        #endif
        uint16_t next = (rings[line].in + 1) % RING_BYTES;
        if (next != rings[line].out) {
            rings[line].bytes[rings[line].in] = byte;
            rings[line].in = next;
        }
    }
}

void lines_interrupt(void) {
    for (unsigned int line = 0; line < LINES; line++) {
        receive(line);
    }
}

size_t line_waiting(unsigned int line) {
    return (RING_BYTES + rings[line].in - rings[line].out) % RING_BYTES;
}

int line_get(unsigned int line) {
    if (rings[line].in == rings[line].out) {
        return -1;
    }
    uint8_t byte = rings[line].bytes[rings[line].out];
    rings[line].out = (rings[line].out + 1) % RING_BYTES;
    return byte;
}

void line_put(unsigned int line, const uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) {
        while (uarts[line]->STATE & TX_FULL) {
        }
        uarts[line]->DATA = bytes[i];
    }
}

int __wrap_mp_hal_stdin_rx_chr(void) {
    for (;;) {
        int byte = line_get(0);
        if (byte >= 0) {
            return byte;
        }
        mp_event_wait_ms(1);
    }
}

uintptr_t __wrap_mp_hal_stdio_poll(uintptr_t flags) {
    uintptr_t ready = flags & MP_STREAM_POLL_WR;
    if ((flags & MP_STREAM_POLL_RD) && line_waiting(0)) {
        ready |= MP_STREAM_POLL_RD;
    }
    return ready;
}

// Registers and shared functions of this board. Memory map: docs of the AN385 and QEMU's hw/arm/mps2.c.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOARD_HZ (25000000)

// The flash: a file of the host, mapped as this machine's PSRAM. Its last page is not flash but the harness's control page.
#define FLASH_START (0x21000000)
#define FLASH_BYTES (0x00fff000)
#define SECTOR_BYTES (4096)
#define PAGE_BYTES (256)

// The control page, as tools/image/control.py writes and reads it. All words little-endian.
typedef struct {
    uint32_t magic;        // 0x5443534f, "OSCT"
    uint32_t version;      // 1
    uint32_t cut_left;     // flash operations that still happen before the power is cut; 0xffffffff: no cut
    uint32_t cut_mode;     // 0 clean, 1 torn, 2 noise; bit 8: only programs count
    uint32_t cut_action;   // 0 QEMU ends with status 0x77, 1 reset, 2 hang, 3 wait while is_held
    uint32_t cut_seed;     // state of the noise, not 0
    uint32_t programs;     // operations since the file was made
    uint32_t erases;
    uint32_t programmed;   // bytes
    uint32_t violations;   // programs that asked for a one where a zero was
    uint32_t boots;        // also makes the random bytes of each boot its own
    uint32_t cuts;         // how often the power was cut
    uint8_t seed[32];      // of os.urandom
    uint32_t heap_bytes;   // all the heap that a development image takes; 0: what there is
    uint32_t heap_failures; // how often the heap had no room for what was asked, whoever caught it
    uint32_t cut_place;    // where in the flash the last cut was; 1 more in an erase
    uint32_t is_held;      // 1 from a cut on whose action is to wait, until the harness gives power back with 0
} control_page_t;

#define CONTROL ((volatile control_page_t *)(FLASH_START + FLASH_BYTES))
#define CONTROL_MAGIC (0x5443534f)
#define NO_CUT (0xffffffff)
#define CUT_STATUS (0x77)

enum { CAUSE_POWER = 1, CAUSE_RESET = 2, CAUSE_WATCHDOG = 3 };

void board_wait(void);
uint32_t board_lock(void);
void board_unlock(uint32_t state);

void ticks_start(void);
void ticks_stop(void);
void ticks_advance(void);
uint64_t ticks_now(void);

void lines_start(void);
void lines_stop(void);
void lines_interrupt(void);
int line_get(unsigned int line);
size_t line_waiting(unsigned int line);
void line_put(unsigned int line, const uint8_t *bytes, size_t n);

void power_start(void);
int power_cause(void);
_Noreturn void power_again(volatile const uint32_t *is_held);
_Noreturn void power_reset(int cause);
_Noreturn void power_exit(int status);
void watchdog_start(uint32_t timeout_ms);
void watchdog_feed(void);

void entropy_fill(uint8_t *out, size_t n);

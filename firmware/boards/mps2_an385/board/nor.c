// The flash as raw NOR: erased sectors are all ones, programming only clears bits. And its power cuts, byte for byte those of
// agent.flash.RamFlash with the same mode and seed, so that the model and the emulated board can be compared.
//
//     nor.read(offset, n) -> bytes    nor.program(offset, data)    nor.erase(sector)
//     nor.view(offset, n) -> bytes in place    nor.image() -> the program's own bytes    nor.counts() -> tuple
#include <string.h>
#include "py/objarray.h"
#include "py/runtime.h"
#include "board.h"

#define NOISE_BYTES (64)

enum { MODE_CLEAN, MODE_TORN, MODE_NOISE, MODE_MASK = 0xff, MODE_PROGRAMS_ONLY = 0x100 };
enum { ACTION_EXIT, ACTION_RESET, ACTION_HANG, ACTION_WAIT };

static uint8_t *at(mp_int_t offset, mp_int_t n, mp_int_t unit) {
    if (offset < 0 || n <= 0 || offset > FLASH_BYTES || n > FLASH_BYTES - offset || offset % unit || n % unit) {
        mp_raise_ValueError(MP_ERROR_TEXT("flash access outside the flash, or not of whole units"));
    }
    return (uint8_t *)FLASH_START + offset;
}

static bool is_cut(bool is_program) {
    if (CONTROL->cut_left == NO_CUT || ((CONTROL->cut_mode & MODE_PROGRAMS_ONLY) && !is_program)) {
        return false;
    }
    CONTROL->cut_left -= 1;
    return CONTROL->cut_left == NO_CUT;
}

static uint32_t noise(uint32_t below) {
    uint32_t x = CONTROL->cut_seed;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    CONTROL->cut_seed = x;
    return (x >> 8) % below;
}

static void die(const uint8_t *flash, bool is_erase) {
    CONTROL->cut_place = (uint32_t)(flash - (const uint8_t *)FLASH_START) + is_erase;
    CONTROL->is_held = CONTROL->cut_action == ACTION_WAIT;
    CONTROL->cuts += 1;
    if (CONTROL->cut_action == ACTION_EXIT) {
        power_exit(CUT_STATUS);
    }
    if (CONTROL->cut_action == ACTION_RESET) {
        power_reset(CAUSE_POWER);
    }
    if (CONTROL->cut_action == ACTION_WAIT) {
        power_again(&CONTROL->is_held);
    }
    board_lock();
    for (;;) {
        board_wait();
    }
}

static void cut_program(uint8_t *flash, const uint8_t *data, size_t n) {
    uint32_t mode = CONTROL->cut_mode & MODE_MASK;
    size_t done = mode == MODE_CLEAN ? 0 : noise(n + 1);
    for (size_t i = 0; i < done; i++) {
        flash[i] &= data[i];
    }
    for (size_t i = done; mode == MODE_NOISE && i < n && i < done + NOISE_BYTES; i++) {
        flash[i] &= noise(256);
    }
    die(flash, false);
}

static void cut_erase(uint8_t *flash) {
    uint32_t mode = CONTROL->cut_mode & MODE_MASK;
    size_t done = mode == MODE_CLEAN ? 0 : noise(SECTOR_BYTES + 1);
    memset(flash, 0xff, done);
    for (size_t i = done; mode == MODE_NOISE && i < SECTOR_BYTES; i++) {
        flash[i] |= noise(256);
    }
    die(flash, true);
}

static mp_obj_t nor_read(mp_obj_t offset, mp_obj_t n) {
    mp_int_t length = mp_obj_get_int(n);
    return mp_obj_new_bytes(at(mp_obj_get_int(offset), length, 1), length);
}
static MP_DEFINE_CONST_FUN_OBJ_2(nor_read_obj, nor_read);

static mp_obj_t nor_program(mp_obj_t offset, mp_obj_t data_in) {
    mp_buffer_info_t data;
    mp_get_buffer_raise(data_in, &data, MP_BUFFER_READ);
    uint8_t *flash = at(mp_obj_get_int(offset), data.len, PAGE_BYTES);
    const uint8_t *bytes = data.buf;
    if (is_cut(true)) {
        cut_program(flash, bytes, data.len);
    }
    bool is_violated = false;
    for (size_t i = 0; i < data.len; i++) {
        is_violated |= (bytes[i] & ~flash[i]) != 0;
        flash[i] &= bytes[i];
    }
    CONTROL->violations += is_violated;
    CONTROL->programs += 1;
    CONTROL->programmed += data.len;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(nor_program_obj, nor_program);

static mp_obj_t nor_erase(mp_obj_t sector) {
    uint8_t *flash = at(mp_obj_get_int(sector) * SECTOR_BYTES, SECTOR_BYTES, SECTOR_BYTES);
    if (is_cut(false)) {
        cut_erase(flash);
    }
    memset(flash, 0xff, SECTOR_BYTES);
    CONTROL->erases += 1;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(nor_erase_obj, nor_erase);

static mp_obj_t nor_view(mp_obj_t offset, mp_obj_t n) {
    mp_int_t length = mp_obj_get_int(n);
    return mp_obj_new_memoryview('B', length, at(mp_obj_get_int(offset), length, 1));
}
static MP_DEFINE_CONST_FUN_OBJ_2(nor_view_obj, nor_view);

extern const uint8_t _image_end;

// Address 0 is where the program starts, which a compiler takes for a null pointer: hence the detour.
static mp_obj_t nor_image(void) {
    volatile uintptr_t start = 0;
    return mp_obj_new_memoryview('B', (uintptr_t)&_image_end - start, (void *)start);
}
static MP_DEFINE_CONST_FUN_OBJ_0(nor_image_obj, nor_image);

static mp_obj_t nor_counts(void) {
    mp_obj_t counts[] = {
        mp_obj_new_int_from_uint(CONTROL->programs),
        mp_obj_new_int_from_uint(CONTROL->erases),
        mp_obj_new_int_from_uint(CONTROL->programmed),
        mp_obj_new_int_from_uint(CONTROL->violations),
    };
    return mp_obj_new_tuple(MP_ARRAY_SIZE(counts), counts);
}
static MP_DEFINE_CONST_FUN_OBJ_0(nor_counts_obj, nor_counts);

static const mp_rom_map_elem_t nor_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_nor) },
    { MP_ROM_QSTR(MP_QSTR_read), MP_ROM_PTR(&nor_read_obj) },
    { MP_ROM_QSTR(MP_QSTR_program), MP_ROM_PTR(&nor_program_obj) },
    { MP_ROM_QSTR(MP_QSTR_erase), MP_ROM_PTR(&nor_erase_obj) },
    { MP_ROM_QSTR(MP_QSTR_view), MP_ROM_PTR(&nor_view_obj) },
    { MP_ROM_QSTR(MP_QSTR_image), MP_ROM_PTR(&nor_image_obj) },
    { MP_ROM_QSTR(MP_QSTR_counts), MP_ROM_PTR(&nor_counts_obj) },
};
static MP_DEFINE_CONST_DICT(nor_globals, nor_globals_table);

const mp_obj_module_t nor_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&nor_globals,
};
MP_REGISTER_MODULE(MP_QSTR_nor, nor_module);

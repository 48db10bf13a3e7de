// Included by extmod/machine_uart.c: UART(1) is the line to the gateway. Reads never wait: what is there, or None.
#include "py/mperrno.h"
#include "py/stream.h"
#include "board.h"

#define MICROPY_PY_MACHINE_UART_CLASS_CONSTANTS
#define DATA_LINE (1)

struct _machine_uart_obj_t {
    mp_obj_base_t base;
};

static machine_uart_obj_t data_line = { { &machine_uart_type } };

static void mp_machine_uart_print(const mp_print_t *print, mp_obj_t self, mp_print_kind_t kind) {
    mp_print_str(print, "UART(1)");
}

static void mp_machine_uart_init_helper(machine_uart_obj_t *self, size_t n_args, const mp_obj_t *args, mp_map_t *kw_args) {
}

static mp_obj_t mp_machine_uart_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    if (n_args < 1 || mp_obj_get_int(args[0]) != DATA_LINE) {
        mp_raise_ValueError(NULL);
    }
    return MP_OBJ_FROM_PTR(&data_line);
}

static void mp_machine_uart_deinit(machine_uart_obj_t *self) {
}

static mp_int_t mp_machine_uart_any(machine_uart_obj_t *self) {
    return line_waiting(DATA_LINE);
}

static bool mp_machine_uart_txdone(machine_uart_obj_t *self) {
    return true;
}

static mp_uint_t mp_machine_uart_read(mp_obj_t self, void *buffer, mp_uint_t size, int *errcode) {
    uint8_t *out = buffer;
    mp_uint_t n = 0;
    for (; n < size && line_waiting(DATA_LINE); n++) {
        out[n] = line_get(DATA_LINE);
    }
    if (n == 0) {
        *errcode = MP_EAGAIN;
        return MP_STREAM_ERROR;
    }
    return n;
}

static mp_uint_t mp_machine_uart_write(mp_obj_t self, const void *buffer, mp_uint_t size, int *errcode) {
    line_put(DATA_LINE, buffer, size);
    return size;
}

static mp_uint_t mp_machine_uart_ioctl(mp_obj_t self, mp_uint_t request, uintptr_t flags, int *errcode) {
    if (request == MP_STREAM_POLL) {
        uintptr_t ready = flags & MP_STREAM_POLL_WR;
        if ((flags & MP_STREAM_POLL_RD) && line_waiting(DATA_LINE)) {
            ready |= MP_STREAM_POLL_RD;
        }
        return ready;
    }
    *errcode = MP_EINVAL;
    return MP_STREAM_ERROR;
}

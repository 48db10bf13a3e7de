// The standard variant's settings, without TLS, and with the cipher that TLS would have brought along.
#define MICROPY_CONFIG_ROM_LEVEL (MICROPY_CONFIG_ROM_LEVEL_EXTRA_FEATURES)
#define MICROPY_PY_CRYPTOLIB (1)

#include "variants/mpconfigvariant_common.h"

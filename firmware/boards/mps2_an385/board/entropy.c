// Random bytes, which this machine has no source of: SHA-256 over the harness's seed, the boot and a counter.
// Fit for tests that must be repeatable, and as unpredictable as the seed that the harness draws.
#include <string.h>
#include "py/mpconfig.h"
#include "lib/crypto-algorithms/sha256.h"
#include "board.h"

static uint32_t counter;

void entropy_fill(uint8_t *out, size_t n) {
    while (n > 0) {
        CRYAL_SHA256_CTX context;
        uint8_t block[40];
        uint8_t digest[32];
        uint32_t boot = CONTROL->boots;
        memcpy(block, (const void *)CONTROL->seed, 32);
        memcpy(block + 32, &boot, 4);
        memcpy(block + 36, &counter, 4);
        counter += 1;
        sha256_init(&context);
        sha256_update(&context, block, sizeof(block));
        sha256_final(&context, digest);
        size_t part = n < sizeof(digest) ? n : sizeof(digest);
        memcpy(out, digest, part);
        out += part;
        n -= part;
    }
}

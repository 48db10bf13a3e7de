// AES with 128 and 256 bit keys, as FIPS 197 writes it down: bytes of a column in one word, the first byte the highest.
// One table of 1 KiB for encryption (section 5.1 in one step: SubBytes, ShiftRows, MixColumns); its rotations are the other three.
// Made at start from the S-box's definition, so that no list of constants has to be believed. Decryption is plain and slow:
// nothing of ours decrypts a block. A Cortex-M3 has no cache whose timing would tell of the index.
#include <string.h>
#include "lib/axtls/crypto/crypto.h"

static uint8_t sbox[256];
static uint8_t inverse[256];
static uint32_t table[256];

static uint8_t doubled(uint8_t a) {
    return a << 1 ^ (a & 0x80 ? 0x1b : 0);
}

static uint8_t product(uint8_t a, uint8_t b) {
    uint8_t sum = 0;
    for (; b; b >>= 1, a = doubled(a)) {
        sum ^= b & 1 ? a : 0;
    }
    return sum;
}

static uint8_t rotated(uint8_t a, int n) {
    return a << n | a >> (8 - n);
}

// Section 5.1.1: the inverse in GF(2^8), found along the powers of 3, then the affine map.
static void tables_start(void) {
    uint8_t power = 1, unpower = 1;
    do {
        power ^= doubled(power);
        unpower ^= unpower << 1;
        unpower ^= unpower << 2;
        unpower ^= unpower << 4;
        unpower ^= unpower & 0x80 ? 0x09 : 0;
        sbox[power] = unpower ^ rotated(unpower, 1) ^ rotated(unpower, 2) ^ rotated(unpower, 3) ^ rotated(unpower, 4) ^ 0x63;
    } while (power != 1);
    sbox[0] = 0x63;
    for (int i = 0; i < 256; i++) {
        uint8_t s = sbox[i], twice = doubled(s);
        inverse[s] = i;
        table[i] = (uint32_t)twice << 24 | s << 16 | s << 8 | (uint8_t)(twice ^ s);
    }
}

static uint32_t right(uint32_t word, int n) {
    return word >> n | word << (32 - n);
}

static uint32_t word_at(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
}

static void put_word(uint8_t *bytes, uint32_t word) {
    for (int i = 0; i < 4; i++) {
        bytes[i] = word >> (24 - 8 * i);
    }
}

static uint32_t substituted(uint32_t word) {
    return (uint32_t)sbox[word >> 24] << 24 | sbox[word >> 16 & 255] << 16 | sbox[word >> 8 & 255] << 8 | sbox[word & 255];
}

// Section 5.2.
void AES_set_key(AES_CTX *ctx, const uint8_t *key, const uint8_t *iv, AES_MODE mode) {
    if (!sbox[0]) {
        tables_start();
    }
    int words = mode == AES_MODE_128 ? 4 : 8;
    uint8_t constant = 1;
    ctx->rounds = words + 6;
    ctx->key_bytes = 4 * words;
    for (int i = 0; i < 4 * (ctx->rounds + 1); i++) {
        if (i < words) {
            ctx->schedule[i] = word_at(key + 4 * i);
            continue;
        }
        uint32_t word = ctx->schedule[i - 1];
        if (i % words == 0) {
            word = substituted(right(word, 24)) ^ (uint32_t)constant << 24;
            constant = doubled(constant);
        } else if (words == 8 && i % words == 4) {
            word = substituted(word);
        }
        ctx->schedule[i] = ctx->schedule[i - words] ^ word;
    }
    memset(ctx->iv, 0, sizeof(ctx->iv));
    if (iv != NULL) {
        memcpy(ctx->iv, iv, sizeof(ctx->iv));
    }
}

// axTLS turns the schedule round for decryption; ours runs it backwards.
void AES_convert_key(AES_CTX *ctx) {
}

void AES_encrypt(const AES_CTX *ctx, uint32_t *block) {
    const uint32_t *key = ctx->schedule;
    uint32_t state[4], next[4];
    for (int c = 0; c < 4; c++) {
        state[c] = block[c] ^ *key++;
    }
    for (int round = 1; round < ctx->rounds; round++) {
        for (int c = 0; c < 4; c++) {
            next[c] = table[state[c] >> 24] ^ right(table[state[(c + 1) & 3] >> 16 & 255], 8)
                ^ right(table[state[(c + 2) & 3] >> 8 & 255], 16) ^ right(table[state[(c + 3) & 3] & 255], 24) ^ *key++;
        }
        memcpy(state, next, sizeof(state));
    }
    for (int c = 0; c < 4; c++) {
        block[c] = ((uint32_t)sbox[state[c] >> 24] << 24 | sbox[state[(c + 1) & 3] >> 16 & 255] << 16
            | sbox[state[(c + 2) & 3] >> 8 & 255] << 8 | sbox[state[(c + 3) & 3] & 255]) ^ *key++;
    }
}

static uint32_t unmixed(uint32_t word) {
    uint32_t mixed = 0;
    for (int row = 0; row < 4; row++) {
        uint8_t a = word >> 24;
        uint32_t column = (uint32_t)product(a, 14) << 24 | product(a, 9) << 16 | product(a, 13) << 8 | product(a, 11);
        mixed ^= right(column, 8 * row);
        word <<= 8;
    }
    return mixed;
}

// Section 5.3.
void AES_decrypt(const AES_CTX *ctx, uint32_t *block) {
    uint32_t state[4], next[4];
    const uint32_t *key = ctx->schedule + 4 * ctx->rounds;
    for (int c = 0; c < 4; c++) {
        state[c] = block[c] ^ key[c];
    }
    for (int round = ctx->rounds - 1; round >= 0; round--) {
        key -= 4;
        for (int c = 0; c < 4; c++) {
            next[c] = ((uint32_t)inverse[state[c] >> 24] << 24 | inverse[state[(c + 3) & 3] >> 16 & 255] << 16
                | inverse[state[(c + 2) & 3] >> 8 & 255] << 8 | inverse[state[(c + 1) & 3] & 255]) ^ key[c];
        }
        for (int c = 0; c < 4; c++) {
            state[c] = round ? unmixed(next[c]) : next[c];
        }
    }
    memcpy(block, state, sizeof(state));
}

void AES_cbc_encrypt(AES_CTX *ctx, const uint8_t *in, uint8_t *out, int n) {
    uint32_t chain[4];
    for (int c = 0; c < 4; c++) {
        chain[c] = word_at(ctx->iv + 4 * c);
    }
    for (; n >= AES_BLOCK_BYTES; n -= AES_BLOCK_BYTES, in += AES_BLOCK_BYTES, out += AES_BLOCK_BYTES) {
        for (int c = 0; c < 4; c++) {
            chain[c] ^= word_at(in + 4 * c);
        }
        AES_encrypt(ctx, chain);
        for (int c = 0; c < 4; c++) {
            put_word(out + 4 * c, chain[c]);
        }
    }
    for (int c = 0; c < 4; c++) {
        put_word(ctx->iv + 4 * c, chain[c]);
    }
}

void AES_cbc_decrypt(AES_CTX *ctx, const uint8_t *in, uint8_t *out, int n) {
    for (; n >= AES_BLOCK_BYTES; n -= AES_BLOCK_BYTES, in += AES_BLOCK_BYTES, out += AES_BLOCK_BYTES) {
        uint32_t block[4];
        uint8_t sealed[AES_BLOCK_BYTES];
        memcpy(sealed, in, sizeof(sealed));
        for (int c = 0; c < 4; c++) {
            block[c] = word_at(sealed + 4 * c);
        }
        AES_decrypt(ctx, block);
        for (int c = 0; c < 4; c++) {
            put_word(out + 4 * c, block[c] ^ word_at(ctx->iv + 4 * c));
        }
        memcpy(ctx->iv, sealed, sizeof(sealed));
    }
}

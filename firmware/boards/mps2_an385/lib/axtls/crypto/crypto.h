// The names of axTLS by which MicroPython's cryptolib asks for AES; the code behind them is ours, board/aes_block.c.
#pragma once
#include <stdint.h>

#define AES_ROUNDS_MAX (14)
#define AES_BLOCK_BYTES (16)

typedef struct {
    uint16_t rounds;
    uint16_t key_bytes;
    uint32_t schedule[(AES_ROUNDS_MAX + 1) * 4];
    uint8_t iv[AES_BLOCK_BYTES];
} AES_CTX;

typedef enum { AES_MODE_128, AES_MODE_256 } AES_MODE;

void AES_set_key(AES_CTX *ctx, const uint8_t *key, const uint8_t *iv, AES_MODE mode);
void AES_convert_key(AES_CTX *ctx);
void AES_encrypt(const AES_CTX *ctx, uint32_t *block);
void AES_decrypt(const AES_CTX *ctx, uint32_t *block);
void AES_cbc_encrypt(AES_CTX *ctx, const uint8_t *in, uint8_t *out, int n);
void AES_cbc_decrypt(AES_CTX *ctx, const uint8_t *in, uint8_t *out, int n);

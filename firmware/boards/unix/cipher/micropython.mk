# cryptolib takes its cipher from axTLS, of which we bring what the emulated board's AES answers to; nothing else may know of it.
SRC_USERMOD_C += $(USERMOD_DIR)/aes_block.c
$(BUILD)/extmod/modcryptolib.o: CFLAGS += -DMICROPY_SSL_AXTLS=1

SRC_USERMOD_C += $(addprefix $(USERMOD_DIR)/, start.c ticks.c lines.c power.c entropy.c nor.c aes_block.c)

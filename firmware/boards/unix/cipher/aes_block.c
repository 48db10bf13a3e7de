// The same cipher as the emulated board's: one text, proved on both.
#include "../../mps2_an385/board/aes_block.c"

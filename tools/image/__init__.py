"""The firmware as an image: MicroPython and our code for one board, and the flash file that an emulated board starts from."""

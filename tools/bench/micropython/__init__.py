"""Programs that run on MicroPython's unix port, one lap a process. They also run on CPython, over `tools.shim`."""

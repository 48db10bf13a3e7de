# What every board freezes. A board's own manifest includes this one and adds its part. Read by MicroPython's makemanifest.py.
# Listed file by file, so that nothing reaches a device by accident; tests/tools/test_image.py compares it with what is imported.
# ruff: noqa: F821 -- the verbs are put into the namespace by makemanifest.py
metadata(version="0.1.0")

PROTOCOL = (
    "__init__ _const admission adoption aead agent_index attestation bins blockwise cbor coap columns command envelope errors event "
    "event_shape gatt keys limits lms mac manifest messages oscore ranges segment shape slipmux window"
)
RULES = "__init__ adopt bundle engine grammar guard limits translate tree value widening"


def files(names):
    return tuple(name + ".py" for name in names.split())


# opt=1 removes asserts, which find our own mistakes on the desk, and keeps line numbers for tracebacks. A development image
# keeps them: the tests that run on it expect them.
options.defaults(opt=1)
package("protocol", base_path="..", files=files(PROTOCOL), opt=options.opt)
package("rules", base_path="..", files=files(RULES), opt=options.opt)
package("agent", opt=options.opt)
module("boot.py", opt=options.opt)
module("main.py", opt=options.opt)

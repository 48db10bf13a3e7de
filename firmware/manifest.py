# What every board freezes. A board's own manifest includes this one and adds its part. Read by MicroPython's makemanifest.py.
# Listed file by file, so that nothing reaches a device by accident; tests/tools/test_image.py compares it with what is imported.
# ruff: noqa: F821 -- the verbs are put into the namespace by makemanifest.py
metadata(version="0.1.0")

PROTOCOL = (
    *(
        "__init__.py",
        "_const.py",
        "adoption.py",
        "aead.py",
        "blockwise.py",
        "cbor.py",
        "coap.py",
        "columns.py",
    ),
    *(
        "command.py",
        "envelope.py",
        "errors.py",
        "event.py",
        "event_shape.py",
        "keys.py",
        "limits.py",
        "lms.py",
    ),
    *("mac.py", "manifest.py", "messages.py", "oscore.py", "ranges.py", "segment.py", "shape.py", "slipmux.py"),
)
RULES = (
    *(
        "__init__.py",
        "adopt.py",
        "bundle.py",
        "engine.py",
        "grammar.py",
        "guard.py",
        "limits.py",
        "translate.py",
    ),
    *("tree.py", "value.py", "widening.py"),
)

# opt=1 removes asserts, which find our own mistakes on the desk, and keeps line numbers for tracebacks.
package("protocol", base_path="..", files=PROTOCOL, opt=1)
package("rules", base_path="..", files=RULES, opt=1)
package("agent", opt=1)
module("boot.py", opt=1)
module("main.py", opt=1)

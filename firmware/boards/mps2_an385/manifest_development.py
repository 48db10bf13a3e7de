# The development image: asserts stay, and with them comes what only tests import.
# ruff: noqa: F821 -- the verbs are put into the namespace by makemanifest.py
include("manifest.py", opt=0)
package("protocol", base_path="../../..", files=("uplink.py",), opt=0)
package("rules", base_path="../../..", files=("interpreter.py", "replay.py"), opt=0)

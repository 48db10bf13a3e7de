# The development image: besides, what only tests import. Asserts stay: opt=0 for the tests themselves, which are not frozen.
# ruff: noqa: F821 -- the verbs are put into the namespace by makemanifest.py
include("manifest.py")
package("protocol", base_path="../../..", files=("uplink.py",), opt=1)
package("rules", base_path="../../..", files=("interpreter.py", "replay.py"), opt=1)

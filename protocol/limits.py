"""Every maximum of the bytes, each with the reason for its number.

Source: SPEC.md section 8.
"""

# 512 bytes plus CoAP and OSCORE stay below 576, which every IPv4 path carries whole, and fill two flash pages.
segment_bytes_max = 512
# A count in the header that also bounds the work of decoding one segment.
segment_events_max = 1023
# What is left of 512 bytes for the plaintext when every header integer has its longest form (SPEC.md section 3.3).
events_bytes_max = 360
# A receipt, time token, heartbeat or command fits one CoAP message beside others.
message_bytes_max = 400
# Answer of one exchange: one CoAP message, like a segment.
answer_bytes_max = 512
# Deepest nesting of any item but a bundle: segment > payload > header is 3, an event row with its acts 5.
cbor_depth_max = 8
# A sealed lane moves its key once every so many segments.
generation_segments = 32
# The office derives at most so many steps ahead of the highest verified generation: 131,072 segments.
generation_ahead_max = 4096
# The keystore keeps every so-many-th seal key, so that any one is at most so many steps away.
generation_kept_every = 4096
# Channels of one device: one byte for the mask of good inputs, one CBOR simple value for each in a rule.
channels_max = 8
# Integers that a decision event carries, inputs, ages and registers together: the event stays below 300 bytes.
decision_values_max = 32
# Bytes of one part of a checkpoint, so that part and framing stay below events_bytes_max.
checkpoint_part_bytes_max = 300
# Parts of one checkpoint: 128 registers and 8 inputs at their longest fit.
checkpoint_parts_max = 16
# Want ranges in one answer: the rest follows with the next.
wants_max = 8
# Receipts in one answer: two lanes, and one more for an epoch that is ending.
receipts_max = 3
# Segments and heartbeats in one uplink request: 350 KiB at most, which a small gateway holds whole in memory.
uplink_segments_max = 512
uplink_heartbeats_max = 256
# Receipts in one uplink answer: two lanes of each device that a full request can name.
uplink_receipts_max = 1536
# Want ranges in one uplink answer: the rest follows with the next.
uplink_wants_max = 1024
# Wanted releases and waiting commands in one uplink answer: one for each heartbeat of a full request.
uplink_releases_max = 256
uplink_commands_max = 256
# Revoked devices of one site, named with every answer.
uplink_revoked_max = 1024
# View keys in one uplink answer: one device a heartbeat, and a month of days of each.
uplink_views_max = 256
view_keys_max = 32
# Devices of one site whose links an uplink answer names at once, 150 KiB: more are told in steps. Of each, the secret and the one before it.
uplink_links_max = 4096
device_links_max = 2
# Settings that commands can change; a checkpoint carries them all.
settings_max = 8
# Highest number of a setting, and of a demand: one byte, most of them not yet given out.
setting_max = 255
# Bytes of one block of a release or part: with its options it fits where a segment does.
block_bytes = 512
# First bytes of SHA-256 of a body, by which its blocks are known to belong together.
etag_bytes = 8
# Largest number of anything that counts up: CBOR keeps it in four bytes.
uint32_max = 0xFFFFFFFF
uint64_max = 0xFFFFFFFFFFFFFFFF
# Largest order, tick, sequence or wall time: a database of signed 64-bit integers holds it, and a difference of two.
natural_max = 1 << 62
# A manifest names 32 devices and 8 parts, and still lies in a quarter of a flash sector.
manifest_bytes_max = 1024
# A COSE_Sign1 with the longest signature that is verified: two levels of height 10 and digits of 4 bits.
envelope_bytes_max = 5200
# Manifest and two signatures.
release_bytes_max = 11520
release_signatures_max = 2
release_devices_max = 32
release_hardware_max = 8
release_parts_max = 8
# Text in a manifest, bytes: a name, not a story.
release_text_bytes_max = 64
# How far above its floor a device follows a release, so that nobody can use all numbers up with one.
release_ahead_max = 1000
# Bodies of parts: rules and configuration fill a flash sector, a model four.
rules_part_bytes_max = 4096
model_part_bytes_max = 16384
configuration_part_bytes_max = 4096
# Index of an agent: 128 files of 64 bytes each fill two flash sectors.
agent_part_bytes_max = 8192
agent_files_max = 128
# One file as it travels, and all of them: half as much again as today's agent.
agent_file_bytes_max = 16384
agent_bytes_max = 122880
# A file's path in the index, bytes.
agent_path_bytes_max = 64
# Counts of one channel's readings: enough to see a shift of a third of a deviation, and 16 to 33 bytes.
bins_count = 16
# What a board without keys says of itself: framing, identity, and a name of 64 bytes.
announcement_bytes_max = 128
# All that a device is given at once: keys, four roots, schema and rules, each of these two within a flash sector. It fits a small heap twice.
admission_bytes_max = 10240
admission_part_bytes_max = 4096
admission_roots_max = 4
admission_settings_max = 24
# Bytes of one block of an admission: with its options within three times the shortest announcement that asks for it.
admission_block_bytes = 64
# Announcements that a gateway brings to the office at once: a site is not fitted out faster.
announcements_max = 16
# Rows of usage in one request: a site of 170 devices with three links each; what is left goes with the next.
usage_rows_max = 512
# More than any link moves in a day, and so little that sums over many days and gateways fit 64 bits.
usage_count_max = (1 << 48) - 1
# Roots that a gateway bears witness of: two and their successors' successors, for decades of replacements.
witness_roots_max = 16

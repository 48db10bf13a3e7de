"""What lies in the key sector beside the keys of the chains, a page each: the intent of a rekey, release roots, links.

Each kind has a label of its own: an agent that does not know one takes its pages for torn ones. Here is which pages of a sector count;
agent.keystore writes them, and takes all of them along when keys move.
"""

from agent.flash import PAGE_BYTES
from agent.pages import PAGES_PER_SECTOR, decode_page, page_offset

# number, root, generation, period: SPEC.md section 10.1.
INTENT = b"outstation rekey v1"
# step, provisioned root, public key, number of the command or 0 once it is in force: agent.roots.
ROOT = b"outstation root v1"
# number of the command, 1 in use or 0 the next one, sender ID, secret: agent.relinker.
LINK = b"outstation link v1"
LABELS = (INTENT, ROOT, LINK)


def find_notes(flash, sector: int) -> dict:
    """Return label -> [(*items, page)] of every whole page of a sector that is no key of a chain."""
    found = {label: [] for label in LABELS}
    for page in range(PAGES_PER_SECTOR):
        data = flash.read(page_offset(sector, page), PAGE_BYTES)
        for label in LABELS:
            item = decode_page(label, data)
            if item is not None:
                found[label].append(tuple(item) + (page,))
    return found


def count_notes(notes: dict) -> int:
    """Return how many pages notes are."""
    return sum([len(notes[label]) for label in LABELS])


def newest_notes(found: dict) -> dict:
    """Return of what find_notes() gave that which counts: a cut leaves pages behind that the next step would have zeroed."""
    return {INTENT: found[INTENT][:1], ROOT: _newest_roots(found[ROOT]), LINK: _newest_links(found[LINK])}


def _newest_roots(found: list) -> list:
    """Return the root pages that count: of each provisioned root the highest step in force, and intents above it."""
    kept = []
    for root in found:
        same = [other for other in found if other[1] == root[1]]
        newest = max([other[0] for other in same if other[3] == 0] + [0])
        is_first = root[-1] == min([other[-1] for other in same if other[:4] == root[:4]])
        if is_first and (root[0] == newest if root[3] == 0 else root[0] > newest):
            kept.append(root)
    return kept


def _newest_links(found: list) -> list:
    """Return at most the newest link in use, and behind it the newest next one, if its command is a later one."""
    kept = []
    for is_in_use in (1, 0):
        above = kept[0][0] if kept else 0
        same = [link for link in found if link[1] == is_in_use and link[0] > above]
        if same:
            kept.append(max(same))
    return kept

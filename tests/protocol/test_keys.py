"""Promises of protocol.keys beyond its vectors."""

from protocol import keys


def test_steps_ahead_are_steps_one_by_one():
    """k(g + n) is n times next of k(g), and no step is none."""
    key = keys.seal_start(bytes(32), keys.CRITICAL)
    step = key
    for _ in range(40):
        step = keys.seal_next(step)

    assert keys.seal_ahead(key, 40) == step
    assert keys.seal_ahead(key, 0) == key


def test_no_two_keys_of_the_schedule_are_equal():
    """Lanes, classes, labels and steps are told apart; a period's key is not the ratchet it came from."""
    root = bytes(32)
    seal = [keys.seal_start(root, lane) for lane in keys.LANES]
    view = [keys.view_start(root, view_class) for view_class in (keys.SITE, keys.OFFICE)]
    made = [
        *seal,
        *view,
        *map(keys.seal_next, seal),
        *map(keys.tag_key, seal),
        *map(keys.heartbeat_key, seal),
    ]
    made += [*map(keys.view_key, view), *[keys.body_keys(key)[1] for key in view]]
    made += [keys.downlink_key(root, label) for label in ("receipt", "time", "command")]

    assert len(set(made)) == len(made)


def test_generation_changes_with_every_32nd_segment():
    """0..31 have the base, 32 the next."""
    assert [keys.generation_of(7, number) for number in (0, 31, 32, 63, 64)] == [7, 7, 8, 8, 9]

"""Many integers as delta columns: a few bits each, exact both ways.

A column is a run of integers that change little from one to the next: ticks, orders, readings of one channel. Three
modes, the shortest wins: differences as varints; differences less their median, packed at one width; the same with the
few that do not fit written apart, so that an outlier widens nothing but itself.

Source: SPEC.md section 4.2.
"""

from protocol.errors import MALFORMED, TOO_LARGE, ProtocolError

_VALUE_MAX = 1 << 62
_WIDTH_MAX = 64


def zigzag(value: int) -> int:
    """Return 0, 1, 2, 3 ... for 0, -1, 1, -2 ..."""
    return value << 1 if value >= 0 else ((-value) << 1) - 1


def unzigzag(value: int) -> int:
    """Return the integer whose zigzag this is."""
    return -((value + 1) >> 1) if value & 1 else value >> 1


def put_uvarint(out: bytearray, value: int) -> None:
    """Append value >= 0, seven bits a byte, lowest first."""
    while value > 0x7F:
        out.append((value & 0x7F) | 0x80)
        value >>= 7
    out.append(value)


def get_uvarint(data: bytes, at: int) -> tuple:
    """Return (value, end). Raises ProtocolError(MALFORMED) if cut off, longer than 10 bytes or not the shortest form."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ProtocolError(MALFORMED, "varint cut off or too long at byte {}".format(at))
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and shift:
                raise ProtocolError(MALFORMED, "varint at byte {} is longer than needed".format(at))
            return value, at
        shift += 7


def uvarint_size(value: int) -> int:
    """Return the bytes that put_uvarint appends."""
    size = 1
    while value > 0x7F:
        value >>= 7
        size += 1
    return size


def put_column(out: bytearray, values: list) -> None:
    """Append one column: 1 or more integers within +-2**62, in the shortest mode."""
    steps = [values[i] - values[i - 1] for i in range(1, len(values))]
    if steps and _put_packed(out, values[0], steps):
        return
    out.append(0)
    put_uvarint(out, zigzag(values[0]))
    for step in steps:
        put_uvarint(out, zigzag(step))


def _put_packed(out: bytearray, first: int, steps: list) -> bool:
    """Append in mode 1 or 2 and return True, or return False: mode 0 is as short."""
    rising = sorted(steps)
    base = rising[(len(steps) - 1) // 2]
    plain_bytes = _plain_bytes(steps, rising)
    residuals = steps
    mode, width = 1, 0
    if rising[0] != rising[-1]:
        residuals = [step << 1 if step >= 0 else (-step << 1) - 1 for step in [step - base for step in steps]]
        mode, width = _choose_width(residuals, uvarint_size(zigzag(base)), plain_bytes)
    elif uvarint_size(zigzag(base)) + 1 >= plain_bytes:
        # All steps alike, as of qualities, and of ticks while nothing is late, have one width to choose from.
        mode = 0
    if not mode:
        return False
    out.append(mode)
    put_uvarint(out, zigzag(first))
    put_uvarint(out, zigzag(base))
    out.append(width)
    if mode == 2:
        residuals = _put_apart(out, residuals, width)
    if width:
        _pack(out, residuals, width)
    return True


def _plain_bytes(steps: list, rising: list) -> int:
    """Return the bytes of mode 0 behind the first value."""
    if rising[0] >= -0x40 and rising[-1] < 0x40:
        return len(steps)
    return sum([uvarint_size(zigzag(step)) for step in steps])


def _choose_width(residuals: list, base_bytes: int, plain_bytes: int) -> tuple:
    """Return (mode, width) of the shortest encoding; the lower mode among equals, then the smaller width."""
    rising = sorted(residuals)
    widest = _bits(rising[-1])
    count = len(residuals)
    best = (0, 0)
    best_bytes = plain_bytes
    size = base_bytes + 1 + (count * widest + 7) // 8
    if size < best_bytes and widest <= _WIDTH_MAX:
        best = (1, widest)
        best_bytes = size
    fit = 0
    for width in range(min(widest, _WIDTH_MAX + 1)):
        before = fit
        while not rising[fit] >> width:
            fit += 1
        # Two bytes an exception are the least. A width that fits no more than a smaller one is longer than that.
        size = base_bytes + 2 + (count * width + 7) // 8
        if fit == before or size + 2 * (count - fit) >= best_bytes:
            continue
        size += _apart_size(residuals, width) - 1
        if size < best_bytes:
            best = (2, width)
            best_bytes = size
    return best


def _apart_size(residuals: list, width: int) -> int:
    """Return the bytes of the exceptions of a width, their number included."""
    size = number = before = 0
    for i in range(len(residuals)):
        if residuals[i] >> width:
            size += uvarint_size(i - before) + uvarint_size(residuals[i])
            before = i
            number += 1
    return size + uvarint_size(number)


def _bits(value: int) -> int:
    n = 0
    while value:
        value >>= 1
        n += 1
    return n


def _put_apart(out: bytearray, residuals: list, width: int) -> list:
    """Append the exceptions of a width and return the residuals with zero in their places."""
    apart = [i for i in range(len(residuals)) if residuals[i] >> width]
    put_uvarint(out, len(apart))
    before = 0
    kept = list(residuals)
    for i in apart:
        put_uvarint(out, i - before)
        put_uvarint(out, residuals[i])
        kept[i] = 0
        before = i
    return kept


def _pack(out: bytearray, residuals: list, width: int) -> None:
    room = 0
    held = 0
    for residual in residuals:
        held |= residual << room
        room += width
        while room >= 8:
            out.append(held & 0xFF)
            held >>= 8
            room -= 8
    if room:
        out.append(held)


def get_column(data: bytes, at: int, count: int) -> tuple:
    """Return (list of count integers, end). Raises ProtocolError, never anything else."""
    if at >= len(data):
        raise ProtocolError(MALFORMED, "column cut off at byte {}".format(at))
    mode = data[at]
    if mode > 2:
        raise ProtocolError(MALFORMED, "column mode {} at byte {} is not 0..2".format(mode, at))
    first, at = get_uvarint(data, at + 1)
    if mode == 0:
        steps = []
        for _ in range(count - 1):
            step, at = get_uvarint(data, at)
            steps.append(unzigzag(step))
    else:
        steps, at = _get_packed(data, at, count - 1, mode)
    return _sum_up(unzigzag(first), steps), at


def _sum_up(value: int, steps: list) -> list:
    values = [value]
    for step in steps:
        value += step
        values.append(value)
    for value in values:
        if not -_VALUE_MAX <= value <= _VALUE_MAX:
            raise ProtocolError(TOO_LARGE, "column value {} is beyond 2**62".format(value))
    return values


def _get_packed(data: bytes, at: int, count: int, mode: int) -> tuple:
    base, at = get_uvarint(data, at)
    base = unzigzag(base)
    if at >= len(data):
        raise ProtocolError(MALFORMED, "column width cut off at byte {}".format(at))
    width = data[at]
    at += 1
    if width > _WIDTH_MAX:
        raise ProtocolError(TOO_LARGE, "column width {} exceeds {}".format(width, _WIDTH_MAX))
    apart = {}
    if mode == 2:
        apart, at = _get_apart(data, at, count)
    end = at + (count * width + 7) // 8
    if end > len(data):
        raise ProtocolError(
            MALFORMED, "packed column cut off: {} bytes of {}".format(len(data) - at, end - at)
        )
    residuals = _unpack(data, at, count, width)
    for i in apart:
        if residuals[i]:
            raise ProtocolError(MALFORMED, "the place of exception {} is not zero".format(i))
        residuals[i] = apart[i]
    return [base + unzigzag(residual) for residual in residuals], end


def _get_apart(data: bytes, at: int, count: int) -> tuple:
    number, at = get_uvarint(data, at)
    if not 1 <= number <= count:
        raise ProtocolError(MALFORMED, "{} exceptions in a column of {} differences".format(number, count))
    apart = {}
    index = 0
    for i in range(number):
        step, at = get_uvarint(data, at)
        if i and not step:
            raise ProtocolError(MALFORMED, "exception named twice before byte {}".format(at))
        index += step
        if index >= count:
            raise ProtocolError(MALFORMED, "exception {} beyond {} differences".format(index, count))
        apart[index], at = get_uvarint(data, at)
    return apart, at


def _unpack(data: bytes, at: int, count: int, width: int) -> list:
    if not width:
        return [0] * count
    residuals = []
    held = room = 0
    mask = (1 << width) - 1
    for _ in range(count):
        while room < width:
            held |= data[at] << room
            at += 1
            room += 8
        residuals.append(held & mask)
        held >>= width
        room -= width
    if held:
        raise ProtocolError(MALFORMED, "packed column ends in bits that are not zero")
    return residuals

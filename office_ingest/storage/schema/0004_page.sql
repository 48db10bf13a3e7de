-- What the page asks every second: who is in trouble now, among all that once was.
CREATE INDEX gaps_not_filled ON gaps (device, state) WHERE state <> 'filled';
CREATE INDEX findings_open ON findings (device, kind) WHERE state = 'open';

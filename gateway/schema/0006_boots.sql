-- In which order contexts became a device's current one: each boot of a device brings one, and only the newest of the retired are kept.
ALTER TABLE sessions ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;

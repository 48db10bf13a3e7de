"""Where the office keeps what it took: the interface and the SQLite store."""

"""The program run without an engine, a plugin or a credential: what it would declare, as data."""

"""Components, one a file. They take a frozen dataclass, never read config, and never ask which cloud they are on."""

"""Tables of external codes and units as TOML, each with its source."""

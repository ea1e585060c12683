"""One shard as a pure fold of bytes: raw records in, encoded outputs and states out. Live and replay both use it."""

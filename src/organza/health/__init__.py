"""Is the machine, and is the run, in good health? Typed findings with what to do; nothing here prints."""

"""Building blocks that know no model, one family per file; import from the file: `organza.layers.resample`."""

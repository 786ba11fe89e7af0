"""Workers: launched, forked warm, given memory and processors."""

"""The Grid Master's role: who has it, and what it does with deals, converters and the line."""

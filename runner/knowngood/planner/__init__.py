"""Pure decisions: versions, rules, plans, evictions. No I/O, no clock."""

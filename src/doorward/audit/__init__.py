"""The audit trail: what happened to whom, from where, with what outcome."""

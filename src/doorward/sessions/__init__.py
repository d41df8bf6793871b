"""Sessions: the truth that every credential is a lease on."""

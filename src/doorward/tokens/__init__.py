"""Access tokens: their form (compact), their signature (signature), their claims (access), remembering them (cache)."""

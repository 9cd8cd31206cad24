"""A corpus of requests that must be refused, or borne, and never break anything."""

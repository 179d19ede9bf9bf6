"""Policy: what plugins say at each stage, and what happens when they say nothing."""

"""The DNS: what it says, remembered as long as it may be."""

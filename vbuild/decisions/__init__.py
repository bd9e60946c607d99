"""What chooses among clips, by what stages measured; in no key."""

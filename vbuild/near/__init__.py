"""Which vectors lie near one another, exactly, however many there are."""

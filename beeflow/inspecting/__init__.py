"""What an archive is and what it would run, for a person to read before anything of it is: nothing is evaluated."""

"""Ask beeflow on another system, over the system's ssh: hosts, keys and jumps are the user's ssh configuration."""

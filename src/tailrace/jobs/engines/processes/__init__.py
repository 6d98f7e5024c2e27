"""Where jobs run under every engine: worker processes, each with one job at a time, held to its limits from outside."""

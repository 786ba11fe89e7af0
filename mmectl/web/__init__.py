"""The console in the browser: pages over the values of commands, live, on 127.0.0.1 alone."""

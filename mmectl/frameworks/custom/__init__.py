"""A user's own handler: a script that loads, reads requests and answers by itself."""

"""The endpoint's specification in parts; each a value that gives its fragment of a request."""

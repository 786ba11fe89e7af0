"""Models in a bucket: names, versions, which is current, what is cached of them."""

"""Model archives: packed reproducibly, unpacked without trusting them."""

"""The smoke payloads: what they compute, and how what they computed is judged by value."""

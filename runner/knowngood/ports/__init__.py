"""One Protocol a file, with its values. The engine sees these only; adapters and fakes subclass them."""

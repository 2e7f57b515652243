"""Writing of videos: segments, their joining with the sound of the source, and verification."""

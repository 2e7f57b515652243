"""Reading of videos, animations, pictures and sequences of pictures as frames with exact times."""

"""The best pictures of each person: chosen while frames pass, exported when the person has gone."""

from jdsr_cli.restoration.shots.export import FACES, Exported, export_track, track_name, write_pair
from jdsr_cli.restoration.shots.gallery import Gallery
from jdsr_cli.restoration.shots.shot import Shot

__all__ = ["FACES", "Exported", "Gallery", "Shot", "export_track", "track_name", "write_pair"]

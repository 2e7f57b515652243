"""Networks that only training uses: critic, identity network and face parser."""

from jdsr_train.networks.critic import Critic
from jdsr_train.networks.face_analysis import IdentityNetwork, MarginHead, Parser, labels

__all__ = ["Critic", "IdentityNetwork", "MarginHead", "Parser", "labels"]

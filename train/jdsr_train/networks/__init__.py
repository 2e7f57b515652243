"""Networks that only training needs: critic, identity network and face parser."""

from jdsr_train.networks.critic import Critic
from jdsr_train.networks.identity import IdentityNetwork, MarginHead
from jdsr_train.networks.parser import Parser, labels

__all__ = ["Critic", "IdentityNetwork", "MarginHead", "Parser", "labels"]

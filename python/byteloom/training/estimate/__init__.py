"""What a run costs and whether it fits, before it starts.

``ledger`` puts down what a computation holds and does, ``trace`` has it watch a training step on
tensors that hold nothing; ``parameters``, ``memory``, ``operations`` and ``duration`` say what
follows, ``machine`` what there is, ``verdict`` whether that is enough.
"""

from byteloom.training.estimate.estimate import Estimate, estimate
from byteloom.training.estimate.machine import Machine, machine_here, machine_named
from byteloom.training.estimate.shortage import shortage

__all__ = ["Estimate", "Machine", "estimate", "machine_here", "machine_named", "shortage"]

"""What a run costs and whether it fits, before it starts.

``ledger`` puts down what a computation holds and does, ``trace`` has it watch a training step on
tensors that hold nothing; ``parameters``, ``memory`` and ``operations`` say what follows.
``rehearsal`` times a few steps of few blocks, and ``duration`` says what follows from that.
``machine`` knows what there is, ``verdict`` whether that is enough.
"""

from byteloom.training.estimate.estimate import Estimate, estimate
from byteloom.training.estimate.machine import Machine, machine_here, machine_named
from byteloom.training.estimate.shortage import shortage

__all__ = ["Estimate", "Machine", "estimate", "machine_here", "machine_named", "shortage"]

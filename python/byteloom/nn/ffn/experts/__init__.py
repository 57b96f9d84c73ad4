"""Experts: a router sends each token through a few of many feed-forward networks."""

from byteloom.nn.ffn.experts.bank import Bank
from byteloom.nn.ffn.experts.experts import Experts, ExpertsConfig
from byteloom.nn.ffn.experts.router import Router, balance_loss, router_z_loss

__all__ = [
    "Bank",
    "Experts",
    "ExpertsConfig",
    "Router",
    "balance_loss",
    "router_z_loss",
]

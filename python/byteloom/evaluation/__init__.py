"""Multiple-choice questions: what a model thinks of the answers it may choose from."""

from byteloom.evaluation.judging import SCORES, Judgement, Mean, judge, scores
from byteloom.evaluation.likelihood import Request, encode_requests, log_likelihoods
from byteloom.evaluation.prompts import prompts
from byteloom.evaluation.questions import Question, read_questions

__all__ = [
    "SCORES",
    "Judgement",
    "Mean",
    "Question",
    "Request",
    "encode_requests",
    "judge",
    "log_likelihoods",
    "prompts",
    "read_questions",
    "scores",
]

"""``train-lm``: a configuration and token files -> a run folder with a trained model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from signal import SIG_DFL, Signals
from typing import TYPE_CHECKING, NoReturn

from byteloom.cli.common import (
    DONE,
    FAILED,
    INTERRUPTED,
    WRONG_USAGE,
    add_json,
    execute,
    say,
)
from byteloom.cli.extra import needs_training_extra
from byteloom.cli.outcome import is_lack_of_memory, report, what_is_kept
from byteloom.cli.process import run_as_process, start_collecting

if TYPE_CHECKING:
    from byteloom.training.run_folder import RunFolder
    from byteloom.training.state import Run

DESCRIPTION = """\
Train a language model on token files, as a TOML file says. Any key of the file can be given on
the command line instead. Ctrl-C, or SIGTERM, ends the run with a checkpoint; --resume goes on.

examples:
  train-lm configs/tiny.toml -o runs/tiny
  train-lm configs/tiny.toml --model.d_model 512 --training.steps 2000 -o runs/wide
  train-lm configs/tiny.toml --model.ffn.kind silu --optimizer.betas '[0.9, 0.99]' -o runs/silu
  train-lm configs/tiny.toml --data.train '["web.npy", "code.npy"]' --data.weights '[3, 1]' -o mix
  train-lm --resume runs/tiny
  train-lm configs/tiny.toml --model.preset llama3 --model.num_heads 8 --model.ffn.d_ff 384 -o small
  train-lm runs/gpt2/config.toml --training.start runs/gpt2 --data.train my.npy -o runs/tuned

a configuration can be as short as:
  [data]
  train = "train.npy"
  valid = "valid.npy"
  tokenizer = "tokenizer.json"
  [model]
  d_model = 256
  [training]
  steps = 2000
"""


def build_parser() -> argparse.ArgumentParser:
    """The command's own arguments, without the configuration's keys."""
    parser = argparse.ArgumentParser(
        "train-lm",
        usage="train-lm CONFIG.toml [--KEY VALUE ...] -o RUN\n       train-lm --resume RUN",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,  # the keys tell their defaults
        allow_abbrev=False,
    )
    parser.add_argument("config", nargs="?", type=Path, metavar="CONFIG.toml", help="the run to do")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="RUN", help="folder to make, with all results"
    )
    parser.add_argument("--resume", type=Path, metavar="RUN", help="go on with this run")
    add_json(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser()
    try:
        with needs_training_extra("train-lm"):
            from byteloom import config
            from byteloom.training.config import RunConfig
    except ImportError as error:
        if {"-h", "--help"} & set(arguments):
            parser.epilog = "The keys are listed here when the extra `train` is installed."
            parser.parse_args(arguments)
        say(f"error: {error}")
        return FAILED
    config.add_options(parser, RunConfig)
    args, unknown = parser.parse_known_args(arguments)
    if unknown:
        option = next((word for word in unknown if word.startswith("-")), unknown[0])
        say(f"error: {config.explain_unknown(option, RunConfig)}")
        say("`train-lm --help` lists all keys")
        return WRONG_USAGE
    if args.resume is None and (args.config is None or args.output is None):
        parser.error("give CONFIG.toml and -o RUN, or --resume RUN")
    over = config.overrides(vars(args))
    if args.resume is not None and (args.config or args.output or over):
        parser.error("a resumed run keeps its configuration and folder: give --resume RUN alone")
    return execute(lambda: run(args))


def run(args: argparse.Namespace) -> int:
    """Trains or resumes, and says what came out."""
    if args.resume is not None:
        state, folder = resume(args.resume)
        if state.is_finished() and (folder.sample_file.exists() or not owes_sample(state, folder)):
            say(f"the run in {folder.path} is finished; nothing to do")
            return DONE
    else:
        state, folder = begin(args)
    return train(state, folder, args.json)


def begin(args: argparse.Namespace) -> tuple[Run, RunFolder]:
    """A new run: nothing is left on the disk if anything is wrong with it."""
    from byteloom import config
    from byteloom.training.build import build
    from byteloom.training.config import resolve
    from byteloom.training.metrics import require_tensorboard, require_wandb
    from byteloom.training.run_folder import RunFolder

    RunFolder(args.output).refuse_existing()
    tables = config.merge(config.read(args.config), config.overrides(vars(args)))
    run_config = resolve(tables, args.config)
    if run_config.logging.wandb.mode != "off":
        require_wandb()
    if run_config.logging.tensorboard:
        require_tensorboard()
    first = run_config.training.start
    state = build(run_config, None if first is None else RunFolder.open(first).load_any_model())
    return state, RunFolder.create(args.output, run_config)


def resume(path: Path) -> tuple[Run, RunFolder]:
    """A run as its newest checkpoint left it."""
    from byteloom.training.build import build
    from byteloom.training.changes import accept_changes
    from byteloom.training.config import check_data
    from byteloom.training.run_folder import RunFolder

    folder = RunFolder.open(path)
    run_config = folder.load_config()
    if not run_config.data.sources:
        raise ValueError(
            f"the model in {path} was imported, and has no run to go on with: begin one with "
            f"`train-lm {folder.config_file} --training.start {path} --data.train FILE -o NEW`"
        )
    found = folder.newest(say)
    if found is not None:
        accept_changes(found.config, run_config, folder.config_file, say)
    state = build(run_config)
    if found is None:
        say(f"{path} has no checkpoint yet: it starts at the beginning")
    else:
        tokenizer = folder.load_tokenizer()
        if found.tokenizer != ("" if tokenizer is None else tokenizer.fingerprint):
            raise ValueError(
                f"{folder.tokenizer_file} is not the tokenizer that the checkpoints were made with"
            )
        state.restore(found)
        if state.is_finished():
            return state, folder
        say(f"going on after step {state.step:,} of {run_config.training.steps:,}")
    check_data(run_config)
    return state, folder


def train(state: Run, folder: RunFolder, as_json: bool) -> int:
    """Trains to the end, or to a signal; reports; returns the exit code."""
    from byteloom import config
    from byteloom.training.loop import NonFiniteError
    from byteloom.training.loop import train as train_loop
    from byteloom.training.metrics import Progress, Sink, TensorBoard, Wandb
    from byteloom.training.sample import write_sample
    from byteloom.training.signals import StopRequest

    run_config, tokenizer = state.config, folder.load_tokenizer()
    describe(state)
    sinks: list[Sink] = []
    try:
        if run_config.logging.wandb.mode != "off":
            sinks.append(Wandb(run_config.logging.wandb, folder.path, config.dump(run_config)))
        if run_config.logging.tensorboard:
            sinks.append(TensorBoard(folder.path, state.step))
        sinks.append(Progress(run_config.training.steps, state.step))
        fingerprint = tokenizer.fingerprint if tokenizer else ""
        start_collecting()
        signal = train_loop(state, folder, sinks, fingerprint, StopRequest(second=SIG_DFL))
    except NonFiniteError as error:
        say(f"error: {error}")
        return FAILED
    except OSError as error:  # the disk is full, say
        say(f"error: {error}\n{what_is_kept(folder)}")
        return FAILED
    except RuntimeError as error:
        if not is_lack_of_memory(error):
            raise
        say(f"error: {str(error).splitlines()[0]}\n{what_is_kept(folder)}")
        say(
            "less memory is taken by a smaller training.batch_size with as much more "
            "training.accumulation, or by training.recompute: `byteloom estimate` says what fits"
        )
        return FAILED
    finally:
        for sink in sinks:
            sink.close()
    if signal is not None:
        say(
            f"{signal.name}: stopped after step {state.step:,} with a checkpoint; "
            f"continue with `train-lm --resume {folder.path}`"
        )
        return INTERRUPTED if signal == Signals.SIGINT else DONE
    if tokenizer is not None and owes_sample(state, folder):
        write_sample(state, folder, tokenizer)
    report(state, folder, as_json)
    return DONE


def owes_sample(state: Run, folder: RunFolder) -> bool:
    """Whether a finished run has something to write, which a killed one may not have written."""
    from byteloom.training.sample import owes_sample as is_owed

    return is_owed(state.config) and folder.tokenizer_file.exists()


def describe(state: Run) -> None:
    """Says what is about to be trained, and warns if there is not enough memory for it."""
    from byteloom.training.data_config import files_of_another_tokenizer, sources_without_separators
    from byteloom.training.estimate import shortage

    steps = state.config.training.steps
    parameters = sum(parameter.numel() for parameter in state.parameters)
    tokens = state.tokens_before(steps)
    at_last = tokens - state.tokens_before(steps - 1)
    say(
        f"model     {parameters:,} parameters on {state.device}, {state.config.training.dtype}\n"
        f"training  {steps:,} steps, the last of {at_last:,} tokens, "
        f"{tokens:,} in all"
    )
    batches, files = state.batches, state.config.data.sources
    epochs, shares = batches.epochs_at(state.plan.before(steps)), batches.mixture.shares
    for path, source, epoch, share in zip(files, batches.sources, epochs, shares, strict=True):
        which = f", {float(share):.2%} of the windows, {path}" if len(files) > 1 else ""
        say(f"data      {len(source.ids):,} tokens, gone through {epoch:.2f} times{which}")
    for path in sources_without_separators(state.config.data):
        say(
            f"warning: data.separate_documents, but the beginning of {path} has no separator: "
            "its windows are read as one text each"
        )
    for path in files_of_another_tokenizer(state.config.data):
        say(
            f"warning: {state.config.data.tokenizer} would make other ids of their text than those "
            f"in {path}: they seem to be another tokenizer's"
        )
    if lack := shortage(state):
        say(f"warning: {lack}")


def command() -> NoReturn:
    """The command of the shell."""
    run_as_process(main)


if __name__ == "__main__":
    command()

"""The training of a model: a configuration and token files -> checkpoints and metrics.

``config`` says what a run is asked to be, ``state`` what it is, ``step`` what one step does,
``loop`` when things happen, ``run_folder`` where they are kept.
"""
